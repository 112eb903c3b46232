"""How many bytes each partition of a topic takes on the brokers' disks; aiokafka's admin client does not ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

DESCRIBE_LOG_DIRS = 35  # Kafka's number of the request


class _DescribedV1(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = DESCRIBE_LOG_DIRS
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(
                                ("partition", Int32),
                                ("size", Int64),
                                ("offset_lag", Int64),
                                ("is_future", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class _DescribeV1(RequestStruct):  # type: ignore[misc]
    API_KEY = DESCRIBE_LOG_DIRS
    API_VERSION = 1
    RESPONSE_TYPE = _DescribedV1
    SCHEMA = Schema(("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))))


class _Describe(Request[_DescribeV1]):  # type: ignore[misc]
    API_KEY = DESCRIBE_LOG_DIRS

    def __init__(self, topic: str, partitions: list[int]) -> None:
        self._asked = [(topic, partitions)]

    def build(self, request_struct_class: type[Any]) -> Any:
        return request_struct_class(self._asked)


async def partition_bytes(admin: AIOKafkaAdminClient, topic: str, count: int) -> Mapping[int, int]:
    """Bytes by partition; of several copies the largest. Raises KafkaError, also where it is not allowed to ask."""
    sizes: dict[int, int] = {}
    for broker in (await admin.describe_cluster())["brokers"]:
        answer = await admin._send_request(  # noqa: SLF001  # the only way to ask what the client has no method for
            _Describe(topic, list(range(count))), broker["node_id"]
        )
        for error, _, topics in answer.results:
            if error:
                raise for_code(error)
            for name, partitions in topics:
                for partition, size, _, _ in partitions:
                    if name == topic:
                        sizes[partition] = max(size, sizes.get(partition, 0))
    return sizes
