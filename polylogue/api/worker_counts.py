"""What processes that share a port have counted, told by whichever is asked: each has a socket beside the others'."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from polylogue.infra.logs import get_logger

ANSWER_S = 1.0  # a process that is slower than that is left out
_LABEL = "worker"

log = get_logger("polylogue.api")


class _Family(msgspec.Struct, array_like=True):
    name: str
    documentation: str
    type: str
    samples: list[tuple[str, dict[str, str], float]]


class WorkerCounts:
    """One of the processes; the name of its socket is its name."""

    def __init__(self, own: CollectorRegistry, socket: Path) -> None:
        self._own, self._socket = own, socket

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """Answers the others."""
        self._socket.unlink(missing_ok=True)  # of the one that died in our place
        server = await asyncio.start_unix_server(self._tell, self._socket)
        try:
            yield
        finally:
            server.close()
            self._socket.unlink(missing_ok=True)

    async def of_all(self) -> CollectorRegistry:
        """Every count with the process that has it; those that do not answer are left out."""
        others = sorted(one for one in self._socket.parent.glob("*.sock") if one != self._socket)
        answers = await asyncio.gather(*map(_ask, others))
        found = {self._socket.stem: _families(self._own)}
        for other, families in zip(others, answers, strict=True):
            if families is not None:
                found[other.stem] = families
        registry = CollectorRegistry()
        registry.register(_Together(found))
        return registry

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(msgspec.msgpack.encode(_families(self._own)))
            await writer.drain()
        except OSError:
            return  # the one that asked has gone
        finally:
            writer.close()


class _Together:
    def __init__(self, found: dict[str, list[_Family]]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        merged: dict[str, Metric] = {}
        for worker, families in self._found.items():
            for family in families:
                metric = merged.get(family.name)
                if metric is None:
                    metric = merged[family.name] = Metric(family.name, family.documentation, family.type)
                for name, labels, value in family.samples:
                    metric.add_sample(name, {_LABEL: worker} | labels, value)
        return merged.values()


async def _ask(socket: Path) -> list[_Family] | None:
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                return msgspec.msgpack.decode(await reader.read(), type=list[_Family])
            finally:
                writer.close()
    except (OSError, TimeoutError, msgspec.MsgspecError) as error:
        log.warning("another process of this port did not tell its counts", error=type(error).__name__)
        return None


def _families(registry: CollectorRegistry) -> list[_Family]:
    return [
        _Family(
            metric.name,
            metric.documentation,
            metric.type,
            [(sample.name, sample.labels, sample.value) for sample in metric.samples],
        )
        for metric in registry.collect()
    ]
