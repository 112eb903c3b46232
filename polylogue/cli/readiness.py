"""Would the first prompt work? Asks the API whether it is ready and Kafka who owns which partitions."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import DescribeGroupsRequest, DescribeGroupsRequest_v2

from polylogue.infra.kafka import client_options
from polylogue.infra.settings import Settings

T = TypeVar("T")

ASK_EVERY_S = 0.1
ANSWER_TIMEOUT_S = 2.0
COORDINATOR_WITHIN_S = 15.0  # a broker that restarts reads its groups back before it answers
STABLE = "Stable"


@dataclass(frozen=True)
class Group:
    """One consumer group: its state, and the partitions of each member by topic."""

    state: str
    members: Mapping[str, Mapping[str, frozenset[int]]]

    def owns(self, topic: str, partitions: int, *, known_before: Collection[str]) -> bool:
        """Whether the group works on every partition of the topic, with a member that was not there before.

        A killed process stays a member until its session times out; it owns partitions and answers nothing. When a new
        member joins, it goes.
        """
        if self.state != STABLE or not set(self.members) - set(known_before):
            return False
        owned = frozenset[int]().union(*(topics.get(topic, ()) for topics in self.members.values()))
        return owned >= frozenset(range(partitions))


async def groups(admin: AIOKafkaAdminClient) -> list[Group]:
    """Every consumer group of the cluster. Raises KafkaError."""
    names = [group for group, protocol in await admin.list_consumer_groups() if protocol == "consumer"]
    by_node: dict[int, list[str]] = defaultdict(list)
    for name in names:
        by_node[await admin.find_coordinator(name)].append(name)
    answers = [
        await admin._send_request(_DescribeGroups(asked), node)  # noqa: SLF001  # see _DescribeGroups
        for node, asked in by_node.items()
    ]
    return [
        Group(state=state, members={member[0]: _assigned(member[4]) for member in members})
        for answer in answers
        for error, _, state, _, _, members, *_ in answer.groups
        if error == 0
    ]


async def when_loaded(ask: Callable[[], Awaitable[T]], *, within_s: float) -> T:
    """Asks a broker that may just have started and still be loading the groups of its former life.

    Raises KafkaError: at once where trying again cannot help, else after `within_s`.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if not error.retriable or loop.time() > until:
                raise
            await asyncio.sleep(ASK_EVERY_S)


class _DescribeGroups(DescribeGroupsRequest):  # type: ignore[misc]  # aiokafka ships no types
    """aiokafka 0.14 reads the answer to version 3 by the form of version 2, and so loses the connection."""

    def prepare(self, versions: dict[int, tuple[int, int]]) -> DescribeGroupsRequest_v2:
        del versions
        return self.build(DescribeGroupsRequest_v2)


def _assigned(raw: bytes) -> dict[str, frozenset[int]]:
    if not raw:
        return {}  # the group is rebalancing
    assignment = ConsumerProtocolMemberAssignment.decode(raw)
    return {topic: frozenset(partitions) for topic, partitions in assignment.assignment}


class Consumers:
    """The groups that must own their topics before a prompt works."""

    def __init__(self, settings: Settings, topics: Mapping[str, str]) -> None:
        """`topics`: by the name of the process that reads it."""
        self._admin = AIOKafkaAdminClient(**client_options(settings))
        self._topics = topics
        self._partitions: dict[str, int] = {}
        self._before: set[str] = set()

    async def start(self) -> None:
        """Remembers who is there before our processes are: call it before they join. Raises KafkaError."""
        await self._admin.start()
        described = await self._admin.describe_topics(list(self._topics.values()))
        self._partitions = {topic["topic"]: len(topic["partitions"]) for topic in described}
        there = await when_loaded(lambda: groups(self._admin), within_s=COORDINATOR_WITHIN_S)
        self._before = {member for group in there for member in group.members}

    async def missing(self) -> list[str]:
        """The processes whose partitions nobody of ours owns yet."""
        try:
            found = await groups(self._admin)
        except KafkaError as error:
            return [f"Kafka ({error})"]
        return [
            name
            for name, topic in self._topics.items()
            if not any(
                group.owns(topic, self._partitions[topic], known_before=self._before) for group in found
            )
        ]

    async def close(self) -> None:
        await self._admin.close()


def api_missing(host: str, port: int) -> list[str]:
    """What `/readyz` says is missing; blocks for a moment."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(65_536)
    except (OSError, http.client.HTTPException):
        return ["api"]
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.OK:
        return []
    try:
        missing = json.loads(body).get("missing") or []
    except (ValueError, AttributeError):
        missing = []
    return [f"api ({', '.join(map(str, missing))})" if missing else "api"]


async def until_nothing_missing(
    asks: Iterable[Callable[[], Awaitable[list[str]]]], timeout_s: float
) -> list[str]:
    """Asks until every answer is empty; returns what is still missing when the time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    waiting = list(asks)
    while True:
        answers = [await ask() for ask in waiting]
        # What was ready once is not asked again: a later hiccup is the supervisor's affair.
        waiting = [ask for ask, answer in zip(waiting, answers, strict=True) if answer]
        if not waiting or loop.time() > deadline:
            return [name for answer in answers for name in answer]
        await asyncio.sleep(ASK_EVERY_S)
