"""What stands beside the log: the same route as a plain FastAPI proxy, which passes the gateway's stream on."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

QUEUED = 1000  # pieces of all models together


class Question(BaseModel):
    input_data: str
    models: list[str]


def create_app(gateway: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            app.state.session = session
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/api/compare-stream")
    async def compare(question: Question, request: Request) -> StreamingResponse:
        session: aiohttp.ClientSession = request.app.state.session
        return StreamingResponse(_answers(session, gateway, question), media_type="text/event-stream")

    return app


async def _answers(session: aiohttp.ClientSession, gateway: str, question: Question) -> AsyncGenerator[bytes]:
    """The bytes of all models as they come; what is passed on is not looked at."""
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED)

    async def ask(model: str) -> None:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": question.input_data}],
            "stream": True,
        }
        async with session.post(f"{gateway}/chat/completions", json=body) as response:
            async for piece in response.content.iter_any():
                await pieces.put(piece)
        await pieces.put(None)

    async with asyncio.TaskGroup() as group:
        for model in question.models:
            group.create_task(ask(model))
        running = len(question.models)
        while running:
            piece = await pieces.get()
            if piece is None:
                running -= 1
            else:
                yield piece


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench.direct_proxy", description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--gateway", required=True)
    chosen = arguments.parse_args()
    uvicorn.run(
        create_app(chosen.gateway),
        host="127.0.0.1",
        port=chosen.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
    )


if __name__ == "__main__":
    main()
