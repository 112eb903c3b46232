"""The probe takes nothing for Kafka that is not, and never raises."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.infra.local.kafka_probe import Cluster, describe, parse, request


def _string(text: str | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text.encode())) + text.encode()


def _answer(cluster_id: str | None, hosts: list[tuple[str, str | None]]) -> bytes:
    brokers = b"".join(
        struct.pack(">i", node) + _string(host) + struct.pack(">i", 9092) + _string(rack)
        for node, (host, rack) in enumerate(hosts)
    )
    rest = struct.pack(">ii", 1, 0)  # controller, no topics
    return struct.pack(">iii", 1, 0, len(hosts)) + brokers + _string(cluster_id) + rest


TEXT = st.text(max_size=20)


@given(st.none() | TEXT, st.lists(st.tuples(TEXT, st.none() | TEXT), max_size=4))
def test_parses_what_a_broker_answers(cluster_id: str | None, hosts: list[tuple[str, str | None]]) -> None:
    assert parse(_answer(cluster_id, hosts)) == Cluster(cluster_id=cluster_id, brokers=len(hosts))


@given(st.lists(st.tuples(TEXT, st.none() | TEXT), max_size=3), st.data())
def test_answer_cut_before_the_cluster_id_is_refused(
    hosts: list[tuple[str, str | None]], data: st.DataObject
) -> None:
    whole = _answer("some-cluster", hosts)
    end = len(whole) - 8  # controller and topics are not read
    with pytest.raises(ValueError):
        parse(whole[: data.draw(st.integers(0, end - 1))])


@given(st.binary(max_size=200))
def test_garbage_gives_a_cluster_or_a_value_error_and_nothing_else(garbage: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse(garbage), Cluster)


def test_request_is_a_metadata_request_that_asks_for_no_topic() -> None:
    sent = request()
    size, key, version = struct.unpack_from(">ihh", sent)
    assert (size, key, version) == (len(sent) - 4, 3, 4)
    assert sent.endswith(struct.pack(">i?", 0, False))


@contextlib.contextmanager
def _server(reply: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_broker_is_described() -> None:
    answer = _answer("this-one", [("127.0.0.1", None)])
    with _server(struct.pack(">i", len(answer)) + answer) as port:
        assert describe("127.0.0.1", port) == Cluster(cluster_id="this-one", brokers=1)


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", struct.pack(">i", 3) + b"abc", struct.pack(">i", -5)]
)
def test_other_servers_are_not_kafka(reply: bytes) -> None:
    with _server(reply) as port:
        assert describe("127.0.0.1", port) is None


def test_nobody_listening_is_not_kafka() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert describe("127.0.0.1", port) is None
