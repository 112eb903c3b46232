"""A port is held from when it is chosen, though the API listens on it seconds later."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager

import pytest

from polylogue.cli.api_port import held, is_free
from polylogue.cli.problems import Problem
from tests.support.processes import free_port

HOST = "127.0.0.1"


def hold(port: int, said: list[str], *, asked: bool = False) -> AbstractContextManager[int]:
    return held(HOST, port, asked=asked, say=said.append)


def test_two_that_start_at_the_same_moment_choose_different_ports() -> None:
    said: list[str] = []
    wanted = free_port()
    with hold(wanted, said) as first:
        assert is_free(HOST, wanted)  # nobody listens yet
        assert said == []
        with hold(wanted, said) as second, hold(wanted, said) as third:
            assert len({first, second, third}) == 3
            assert said == [f"Port {wanted} is taken; using {number}." for number in (second, third)]
    with hold(wanted, said) as again:
        assert (first, again) == (wanted, wanted)


def test_the_api_listens_on_the_port_that_is_held_for_it() -> None:
    with hold(free_port(), []) as port, socket.create_server((HOST, port)):
        assert not is_free(HOST, port)


def test_a_port_that_was_asked_for_is_not_exchanged_for_another() -> None:
    wanted = free_port()
    with socket.create_server((HOST, wanted)):
        with hold(wanted, []) as other:
            assert other != wanted
        with pytest.raises(Problem, match=f"Port {wanted} is taken; name another with --port"):
            hold(wanted, [], asked=True).__enter__()
    with hold(wanted, []), pytest.raises(Problem, match=f"Port {wanted} is taken"):
        hold(wanted, [], asked=True).__enter__()
    with hold(wanted, [], asked=True) as mine:
        assert mine == wanted
