"""When the first prompt would work."""

from __future__ import annotations

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, GroupLoadInProgressError, KafkaError

from polylogue.cli.readiness import Group, until_nothing_missing, when_loaded


def group(state: str = "Stable", **members: set[int]) -> Group:
    return Group(state, {name: {"commands": frozenset(owned)} for name, owned in members.items()})


def owns(one: Group, *before: str) -> bool:
    return one.owns("commands", 3, known_before=before)


def test_a_group_that_owns_every_partition_is_ready() -> None:
    assert owns(group(new={0, 1, 2}))
    assert owns(group(new={0, 1}, elsewhere={2}), "elsewhere")


def test_a_group_that_lacks_a_partition_or_is_rebalancing_is_not() -> None:
    assert not owns(group(new={0, 2}))
    assert not owns(group("PreparingRebalance", new={0, 1, 2}))
    assert not owns(group())
    assert not group(new={0, 1, 2}).owns("media-requests", 1, known_before=())


def test_a_dead_member_that_still_owns_all_does_not_count() -> None:
    assert not owns(group(dead={0, 1, 2}), "dead")


async def test_what_is_missing_is_asked_for_until_it_is_there() -> None:
    answers = [["runner"], ["runner"], []]

    async def ask() -> list[str]:
        return answers.pop(0)

    assert await until_nothing_missing([ask], timeout_s=10) == []
    assert answers == []


async def test_what_is_missing_in_the_end_is_named() -> None:
    async def ready() -> list[str]:
        return []

    async def away() -> list[str]:
        return ["api (kafka)"]

    assert await until_nothing_missing([ready, away], timeout_s=0) == ["api (kafka)"]


async def test_a_broker_that_is_still_loading_its_groups_is_asked_again() -> None:
    answers: list[KafkaError | str] = [GroupLoadInProgressError(), GroupLoadInProgressError(), "groups"]

    async def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, KafkaError):
            raise answer
        return answer

    assert await when_loaded(ask, within_s=10) == "groups"


@pytest.mark.parametrize(
    ("error", "within_s"), [(GroupAuthorizationFailedError, 10), (GroupLoadInProgressError, 0)]
)
async def test_what_will_not_mend_itself_is_told(error: type[KafkaError], within_s: float) -> None:
    async def ask() -> str:
        raise error

    with pytest.raises(error):
        await when_loaded(ask, within_s=-1 if within_s == 0 else within_s)
