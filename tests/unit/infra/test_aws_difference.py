"""The comparison of documents: nothing for what is equal, a line for each value that differs."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from polylogue.infra.aws.difference import Line, change, restricted

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
DOCUMENTS = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(DOCUMENTS)
def test_a_document_differs_not_from_itself(document: dict[str, Any]):
    assert change("thing", document, document) is None


def test_nothing_there_is_created_with_every_value():
    found = change("thing", None, {"a": 1, "b": {"c": [1, 2]}})
    assert found is not None
    assert (found.action, found.lines) == ("create", (Line("a", None, 1), Line("b.c", None, [1, 2])))


def test_what_is_not_wanted_is_removed_and_what_was_there_is_shown():
    found = change("thing", {"a": 1}, None)
    assert found is not None
    assert (found.action, found.lines) == ("remove", (Line("a", 1, None),))


def test_neither_there_nor_wanted_is_no_change():
    assert change("thing", None, None) is None


def test_a_changed_value_is_named_by_its_path():
    found = change("thing", {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    assert found is not None
    assert found.lines == (Line("a.c", 2, 3),)


def test_lists_are_sets_and_rules_go_by_their_names():
    one = {"Actions": ["b", "a"], "Rules": [{"ID": "x", "n": 1}, {"ID": "y", "n": 2}]}
    other = {"Actions": ["a", "b"], "Rules": [{"ID": "y", "n": 2}, {"ID": "x", "n": 1}]}
    assert change("thing", one, other) is None
    found = change("thing", one, {**other, "Rules": [{"ID": "y", "n": 3}]})
    assert found is not None
    assert found.lines == (Line("Rules.x.n", 1, None), Line("Rules.y.n", 2, 3))


def test_a_list_of_one_is_the_one():
    assert change("thing", {"Action": ["s3:GetObject"]}, {"Action": "s3:GetObject"}) is None


@given(DOCUMENTS, st.dictionaries(st.integers(), SCALARS, max_size=3))
def test_what_aws_adds_does_not_count(document: dict[str, Any], added: dict[int, Any]):
    # The added keys are numbers, so that they are never among the wanted ones.
    assert change("thing", restricted({**document, **added}, document), document) is None


def test_a_value_that_turns_into_a_map_is_one_line():
    found = change("thing", {"a": 1}, {"a": {"b": 2}})
    assert found is not None
    assert found.lines == (Line("a", 1, {"b": 2}),)
