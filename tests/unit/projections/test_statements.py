"""Row changes → SQL: few statements whatever the number of rows, in an order that any two copies share."""

from __future__ import annotations

from polylogue.projections.rows import Add, Append, RowChanges, Table
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


SUMS = Table(
    "sums",
    key=("model_id", "day"),
    columns={
        "model_id": "text",
        "day": "date",
        "words": "bigint NOT NULL DEFAULT 0",
        "answers": "bigint NOT NULL DEFAULT 0",
    },
)


def test_sums_of_one_key_are_one_row_and_what_was_not_named_counts_nothing() -> None:
    changes = RowChanges()
    changes.add(SUMS, model_id="b", day="2026-03-01", words=2)
    changes.add(SUMS, model_id="a", day="2026-03-02", words=5)
    changes.add(SUMS, model_id="b", day="2026-03-01", words=3, answers=1)

    (addition,) = statements(changes)

    assert addition.parameters == [["a", "b"], ["2026-03-02", "2026-03-01"], [5, 5], [0, 1]]
    assert '"words" = t."words" + EXCLUDED."words"' in _told(addition)
    assert '("model_id", "day")' in _told(addition)


def test_tables_that_conversations_share_are_written_in_one_order_whatever_came_first() -> None:
    others = Table("another", key="day", columns={"day": "date", "n": "bigint NOT NULL DEFAULT 0"})
    told = []
    for tables in ((SUMS, others), (others, SUMS)):
        changes = RowChanges()
        for table in tables:
            key = {"model_id": "a"} if table is SUMS else {}
            changes.add(table, **key, day="2026-03-01")
        told.append([_told(statement).split()[2] for statement in statements(changes)])

    assert told[0] == told[1] == ['"another"', '"sums"']


def test_a_number_is_added_to_what_the_row_holds() -> None:
    changes = RowChanges()
    changes.update(NOTES, "a", "c", size=Add(2))
    changes.update(NOTES, "a", "c", size=Add(3))
    changes.insert(NOTES, note_id="b", conversation_id="c", body="x", size=1)
    changes.update(NOTES, "b", "c", size=Add(4))

    insert, update = statements(changes)

    assert insert.parameters == [["b"], ["c"], ["x"], [5]]
    assert update.parameters == [["a"], [5]]
    assert 'coalesce(t."size", 0) + u."size"' in _told(update)
