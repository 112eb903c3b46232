"""Row changes as values: what a batch does to each row, merged until one change a row is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ON_CONVERSATION = "conversation_id"


@dataclass(frozen=True, eq=False)
class Table:
    """`columns` maps each column, the key included, to its Postgres type; every table has a `conversation_id`."""

    name: str
    key: str
    columns: Mapping[str, str]
    kept: frozenset[str] = frozenset()  # columns that a second insert of the same key leaves as they are


@dataclass(frozen=True)
class Append:
    """Adds to the end of a text column; NULL counts as empty."""

    text: str


Scalar = str | int | bool | None
Change = Scalar | Append


@dataclass
class Row:
    """The change of one row. A `whole` one is inserted or replaces what is there; another finds its row or is lost."""

    conversation_id: str
    whole: bool
    values: dict[str, Change] = field(default_factory=dict)

    def merge(self, column: str, change: Change) -> None:
        if isinstance(change, Append) and column in self.values:
            before = self.values[column]
            if isinstance(before, Append):
                self.values[column] = Append(before.text + change.text)
            else:
                self.values[column] = ("" if before is None else str(before)) + change.text
        else:
            self.values[column] = change


@dataclass(frozen=True, eq=False)
class Refresh:
    """Columns of a table that follow from other rows; `sql` takes the array of the touched rows' keys."""

    sql: str


class RowChanges:
    """The changes of one batch. To be carried out in this order: blanks and removals, rows, refreshes."""

    def __init__(self) -> None:
        self.rows: dict[Table, dict[str, Row]] = {}
        self.blanks: dict[Table, dict[str, dict[str, Scalar]]] = {}
        self.removals: dict[Table, set[str]] = {}
        self.refreshes: dict[Refresh, set[str]] = {}

    def insert(self, table: Table, /, **values: Scalar) -> None:
        """Inserts the row, or replaces it but for the kept columns. Columns that are not named become NULL."""
        key, conversation_id = values[table.key], values[ON_CONVERSATION]
        assert isinstance(key, str)
        assert isinstance(conversation_id, str)
        rows = self.rows.setdefault(table, {})
        row = Row(conversation_id, whole=True, values=dict.fromkeys(table.columns, None) | values)
        before = rows.get(key)
        if before is not None and before.whole:
            row.values |= {column: before.values[column] for column in table.kept}
        rows[key] = row

    def update(self, table: Table, key: str, conversation_id: str, /, **changes: Change) -> None:
        """Changes the named columns of the row if it exists."""
        row = self.rows.setdefault(table, {}).setdefault(key, Row(conversation_id, whole=False))
        for column, change in changes.items():
            row.merge(column, change)

    def blank(self, table: Table, conversation_id: str, /, **values: Scalar) -> None:
        """Sets the named columns in every row of a conversation."""
        self.blanks.setdefault(table, {}).setdefault(conversation_id, {}).update(values)
        for row in self.rows.get(table, {}).values():
            if row.conversation_id == conversation_id:
                row.values |= values

    def remove(self, table: Table, conversation_id: str) -> None:
        """Deletes every row of a conversation."""
        self.removals.setdefault(table, set()).add(conversation_id)
        rows = self.rows.get(table, {})
        for key in [key for key, row in rows.items() if row.conversation_id == conversation_id]:
            del rows[key]

    def refresh(self, refresh: Refresh, key: str) -> None:
        self.refreshes.setdefault(refresh, set()).add(key)
