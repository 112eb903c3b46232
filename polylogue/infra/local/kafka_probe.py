"""Asks a Kafka broker which cluster it serves, with one Metadata request over a plain socket."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

METADATA = 3  # API key
VERSION = 4  # the newest version without compact encodings; every broker since 2017 and Kafka 4 knows it
ANSWER_TIMEOUT_S = 2.0
LARGEST_ANSWER = 1 << 20  # no topics are asked for: a longer answer is not Kafka's


@dataclass(frozen=True)
class Cluster:
    cluster_id: str | None
    brokers: int


def request(correlation: int = 1, client: bytes = b"polylogue-probe") -> bytes:
    header = struct.pack(">hhih", METADATA, VERSION, correlation, len(client)) + client
    body = struct.pack(">i?", 0, False)  # no topics; and none is to be made
    return struct.pack(">i", len(header) + len(body)) + header + body


def parse(answer: bytes) -> Cluster:
    """Read a Metadata v4 answer up to the cluster id; ValueError when it is something else."""
    try:
        brokers = struct.unpack_from(">i", answer, 8)[0]  # after the correlation id and the throttle time
        at = 12
        for _ in range(brokers):
            _, at = _string(answer, at + 4)  # node id, host
            _, at = _string(answer, at + 4)  # port, rack
        cluster_id, _ = _string(answer, at)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError("not a Metadata answer") from error
    return Cluster(cluster_id=cluster_id, brokers=brokers)


def describe(host: str, port: int) -> Cluster | None:
    """The cluster behind this address, or None while nothing there speaks Kafka."""
    try:
        with socket.create_connection((host, port), timeout=ANSWER_TIMEOUT_S) as connection:
            connection.sendall(request())
            with connection.makefile("rb") as stream:
                size = struct.unpack(">i", stream.read(4))[0]
                return parse(stream.read(size)) if 0 < size <= LARGEST_ANSWER else None
    except (OSError, ValueError, struct.error):
        return None


def _string(data: bytes, at: int) -> tuple[str | None, int]:
    length = struct.unpack_from(">h", data, at)[0]
    if length < 0:
        return None, at + 2
    end = at + 2 + length
    if end > len(data):
        raise ValueError("cut short")
    return data[at + 2 : end].decode(), end
