"""What stands beside the fan-out: the same frames from the same topic by a plain FastAPI StreamingResponse.

A consumer a process, a queue and a task a subscriber: what one writes first.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import orjson
import uvicorn
from aiokafka import AIOKafkaConsumer
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

QUEUED = 10_000  # frames a subscriber


def create_app(brokers: str, topic: str) -> FastAPI:
    subscribers: defaultdict[str, set[asyncio.Queue[bytes]]] = defaultdict(set)

    async def tail(consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            event = orjson.loads(record.value)
            frame = orjson.dumps(
                {
                    "type": "chunk",
                    "id": f"{record.partition}-{record.offset}",
                    "conversation_id": event["conversation_id"],
                    "turn_id": event["turn_id"],
                    "model": "sim/text",
                    "response_id": event.get("response_id"),
                    "content": event["data"].get("text", ""),
                }
            )
            data = b"id: %d-%d\nevent: chunk\ndata: %b\n\n" % (record.partition, record.offset, frame)
            for queue in subscribers[event["conversation_id"]]:
                queue.put_nowait(data)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=brokers, fetch_max_wait_ms=5)
        await consumer.start()
        running = asyncio.create_task(tail(consumer))
        yield
        running.cancel()
        await consumer.stop()

    app = FastAPI(lifespan=lifespan)

    @app.get("/events/{conversation_id}")
    async def events(conversation_id: str) -> StreamingResponse:
        queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)
        subscribers[conversation_id].add(queue)

        async def frames() -> AsyncGenerator[bytes]:
            try:
                yield b": hello\n\n"
                while True:
                    yield await queue.get()
            finally:
                subscribers[conversation_id].discard(queue)

        return StreamingResponse(frames(), media_type="text/event-stream")

    return app


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m bench.plain_sse", description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--brokers", required=True)
    arguments.add_argument("--topic", required=True)
    chosen = arguments.parse_args()
    app = create_app(chosen.brokers, chosen.topic)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=chosen.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        backlog=2048,
    )


if __name__ == "__main__":
    main()
