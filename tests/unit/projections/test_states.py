"""What a follower remembers of the reducer's states: lent to a transaction, kept after it, and never too much."""

from __future__ import annotations

import pytest

from polylogue.projections.states import StateMemory
from polylogue.schemas.conversation_state import ConversationState

STATES = {name: ConversationState(first_command_offset=number) for number, name in enumerate("abc")}
PARTITIONS = {"a": 0, "b": 1, "c": 0}


@pytest.fixture
def memory() -> StateMemory:
    memory = StateMemory(most_bytes=30)
    memory.keep(STATES, PARTITIONS, dict.fromkeys(STATES, 10))
    return memory


def test_what_is_lent_and_not_kept_again_is_forgotten(memory: StateMemory) -> None:
    assert memory.lend({"a": 0, "b": 1, "unknown": 0}) == {"a": STATES["a"], "b": STATES["b"]}
    assert memory.lend(PARTITIONS) == {"c": STATES["c"]}
    assert memory.lend(PARTITIONS) == {}


def test_what_was_not_used_for_longest_gives_way(memory: StateMemory) -> None:
    memory.keep(memory.lend({"a": 0}), PARTITIONS, {"a": 10})
    memory.keep({"d": ConversationState()}, {"d": 2}, {"d": 10})
    assert memory.lend(PARTITIONS | {"d": 2}).keys() == {"a", "c", "d"}


def test_a_state_that_grows_takes_the_room_of_others(memory: StateMemory) -> None:
    memory.keep(STATES, PARTITIONS, dict.fromkeys(STATES, 10))
    assert memory.lend(PARTITIONS).keys() == STATES.keys()
    memory.keep(STATES, PARTITIONS, {"a": 10, "b": 10, "c": 11})
    assert memory.lend(PARTITIONS).keys() == {"b", "c"}


def test_a_state_larger_than_all_room_is_not_kept(memory: StateMemory) -> None:
    memory.keep({"d": ConversationState()}, {"d": 2}, {"d": 31})
    assert memory.lend(PARTITIONS | {"d": 2}) == {}


def test_a_partition_is_forgotten_with_all_its_conversations(memory: StateMemory) -> None:
    memory.forget(0)
    assert memory.lend(PARTITIONS) == {"b": STATES["b"]}


def test_a_conversation_that_comes_in_another_partition_is_not_remembered(memory: StateMemory) -> None:
    assert memory.lend({"a": 1}) == {}
    assert memory.lend({"a": 0}) == {}


def test_nothing_is_remembered_once_it_is_cleared(memory: StateMemory) -> None:
    memory.clear()
    assert memory.lend(PARTITIONS) == {}
    memory.keep(STATES, PARTITIONS, dict.fromkeys(STATES, 10))
    assert memory.lend(PARTITIONS) == STATES
