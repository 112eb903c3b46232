"""A small HTTP server in the test's own loop: serves what a handler says, and remembers what it was asked."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CERTIFICATE = Path(__file__).parent / "tls" / "media.test.pem"  # self-signed, for the name media.test


class FileServer:
    def __init__(self, port: int, *, secure: bool) -> None:
        self.port = port
        self.origin = f"http{'s' if secure else ''}://127.0.0.1:{port}"
        self.requests: list[web.Request] = []

    def named(self, host: str) -> str:
        """The origin under another name."""
        return self.origin.replace("127.0.0.1", host)


@asynccontextmanager
async def file_server(handler: Handler, *, secure: bool = False) -> AsyncIterator[FileServer]:
    async def remembered(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.BaseRequest)
        server.requests.append(request)  # type: ignore[arg-type]
        return await handler(request)  # type: ignore[arg-type]

    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))
    runner = web.ServerRunner(web.Server(remembered), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server = FileServer(runner.addresses[0][1], secure=secure)
    try:
        yield server
    finally:
        await runner.cleanup()


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the test's certificate and nothing else."""
    return ssl.create_default_context(cafile=CERTIFICATE)


class Names(AbstractResolver):
    """Answers with one list of addresses after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=10 if ":" in address else 2, proto=0, flags=0
            )
            for address in answer
        ]

    async def close(self) -> None:
        return
