"""Row changes → SQL: few statements whatever the number of rows, in an order that any two copies share."""

from __future__ import annotations

from polylogue.projections.rows import Append, RowChanges, Table
from polylogue.projections.statements import Statement, statements

NOTES = Table(
    "notes",
    key="note_id",
    columns={"note_id": "text", "conversation_id": "text", "body": "text", "size": "bigint"},
    kept=frozenset({"size"}),
)


def _told(statement: Statement) -> str:
    return statement.sql.as_string()


def test_updates_of_one_kind_are_one_statement_however_many_rows() -> None:
    changes = RowChanges()
    for number in range(500):
        changes.update(NOTES, f"n{number % 50}", "c", body=Append(f"{number} "))

    (update,) = statements(changes)

    assert "coalesce" in _told(update)
    keys, bodies = update.parameters
    assert len(keys) == len(bodies) == 50  # type: ignore[arg-type]


def test_rows_come_sorted_by_key_in_whatever_order_they_were_changed() -> None:
    changes = RowChanges()
    for key in ("b", "c", "a"):
        changes.insert(NOTES, note_id=key, conversation_id="c", body=key)
        changes.update(NOTES, f"{key}2", "c", size=1)

    insert, update = statements(changes)

    assert insert.parameters[0] == ["a", "b", "c"]
    assert update.parameters[0] == ["a2", "b2", "c2"]


def test_a_change_after_an_insert_becomes_part_of_it() -> None:
    changes = RowChanges()
    changes.insert(NOTES, note_id="a", conversation_id="c", body="one")
    changes.update(NOTES, "a", "c", body=Append(" two"), size=7)

    (insert,) = statements(changes)

    assert insert.parameters == [["a"], ["c"], ["one two"], [7]]
    assert '"size" = EXCLUDED' not in _told(insert)


def test_what_was_set_and_added_to_is_set() -> None:
    changes = RowChanges()
    changes.update(NOTES, "a", "c", body=Append("old"))
    changes.update(NOTES, "a", "c", body=None)
    changes.update(NOTES, "a", "c", body=Append("new"))

    (update,) = statements(changes)

    assert "coalesce" not in _told(update)
    assert update.parameters == [["a"], ["new"]]


def test_removal_comes_first_and_forgets_what_the_batch_had_for_the_conversation() -> None:
    changes = RowChanges()
    changes.insert(NOTES, note_id="a", conversation_id="gone", body="x")
    changes.insert(NOTES, note_id="b", conversation_id="kept", body="y")
    changes.remove(NOTES, "gone")

    removal, insert = statements(changes)

    assert _told(removal).startswith("DELETE")
    assert removal.parameters == [["gone"]]
    assert insert.parameters[0] == ["b"]


def test_blanking_reaches_the_rows_of_the_batch_and_those_before_it() -> None:
    changes = RowChanges()
    changes.insert(NOTES, note_id="a", conversation_id="c", body="x", size=3)
    changes.update(NOTES, "b", "c", body=Append("y"))
    changes.blank(NOTES, "c", body=None)

    blank, insert, update = statements(changes)

    assert blank.parameters == [None, "c"]
    assert insert.parameters == [["a"], ["c"], [None], [3]]
    assert update.parameters == [["b"], [None]]


def test_a_null_character_is_replaced_because_postgres_holds_none() -> None:
    changes = RowChanges()
    changes.update(NOTES, "a", "c", body=Append("x\x00y"))

    (update,) = statements(changes)

    assert update.parameters == [["a"], ["x\ufffdy"]]
