"""Row changes as values: what a batch does to each row, merged until one change a row is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

ON_CONVERSATION = "conversation_id"


@dataclass(frozen=True, eq=False)
class Table:
    """A table as the framework makes it, in the schema of its projection's version.

    `columns` maps each column that rows are written with, the key's included, to its SQL definition, whose first word
    is the type: "bigint NOT NULL DEFAULT 0". `derived` are columns that follow from others (filled by a Refresh, or
    GENERATED). Each of `indexes` is what stands after the table's name: "(owner_id) WHERE NOT deleted". Those in
    `readers_indexes` find nothing that a projector looks for, so that a rebuild makes them when the table is full.
    A table whose rows belong to one conversation each has a `conversation_id`.
    """

    name: str
    key: str | tuple[str, ...]
    columns: Mapping[str, str]
    kept: frozenset[str] = frozenset()  # columns that a second insert of the same key leaves as they are
    derived: Mapping[str, str] = field(default_factory=dict)
    indexes: tuple[str, ...] = ()
    readers_indexes: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key,) if isinstance(self.key, str) else self.key

    def type_of(self, column: str) -> str:
        definition = self.columns.get(column) or self.derived[column]
        return definition.split(maxsplit=1)[0]


@dataclass(frozen=True)
class Append:
    """Adds to the end of a text column; NULL counts as empty."""

    text: str


@dataclass(frozen=True)
class Add:
    """Adds to an integer column; NULL counts as zero. Commutative: events of several partitions may meet in a row."""

    number: int


Scalar = str | int | bool | None
Change = Scalar | Append | Add
Key = str | tuple[Scalar, ...]


def json_text(value: object) -> str:
    """The value of a json column."""
    return msgspec.json.encode(value).decode()


@dataclass
class Row:
    """The change of one row. A `whole` one is inserted or replaces what is there; another finds its row or is lost."""

    conversation_id: str
    whole: bool
    values: dict[str, Change] = field(default_factory=dict)

    def merge(self, column: str, change: Change) -> None:
        before = self.values.get(column)
        if column not in self.values:
            self.values[column] = change
        elif isinstance(change, Append):
            if isinstance(before, Append):
                self.values[column] = Append(before.text + change.text)
            else:
                self.values[column] = ("" if before is None else str(before)) + change.text
        elif isinstance(change, Add):
            if isinstance(before, Add):
                self.values[column] = Add(before.number + change.number)
            else:
                self.values[column] = int(before or 0) + change.number  # type: ignore[arg-type]  # the column is a number's
        else:
            self.values[column] = change


@dataclass(frozen=True, eq=False)
class Refresh:
    """Columns of a table that follow from other rows; `sql` takes the array of the touched rows' keys."""

    sql: str


class RowChanges:
    """The changes of one batch. To be carried out in this order: blanks and removals, rows, sums, refreshes."""

    def __init__(self) -> None:
        self.rows: dict[Table, dict[Key, Row]] = {}
        self.sums: dict[Table, dict[tuple[Scalar, ...], dict[str, int]]] = {}
        self.blanks: dict[Table, dict[str, dict[str, Scalar]]] = {}
        self.removals: dict[Table, set[str]] = {}
        self.refreshes: dict[Refresh, set[str]] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to carry out."""
        return bool(self.rows or self.sums or self.blanks or self.removals or self.refreshes)

    def insert(self, table: Table, /, **values: Scalar) -> None:
        """Inserts the row, or replaces it but for the kept columns. Columns that are not named become NULL."""
        key = values[table.key] if isinstance(table.key, str) else tuple(values[name] for name in table.key)
        conversation_id = values[ON_CONVERSATION]
        assert isinstance(key, str | tuple)
        assert isinstance(conversation_id, str)
        rows = self.rows.setdefault(table, {})
        row = Row(conversation_id, whole=True, values=dict.fromkeys(table.columns, None) | values)
        before = rows.get(key)
        if before is not None and before.whole:
            row.values |= {column: before.values[column] for column in table.kept}
        rows[key] = row

    def update(self, table: Table, key: Key, conversation_id: str, /, **changes: Change) -> None:
        """Changes the named columns of the row if it exists."""
        rows = self.rows.setdefault(table, {})
        row = rows.get(key)
        if row is None:
            row = rows[key] = Row(conversation_id, whole=False)
        for column, change in changes.items():
            row.merge(column, change)

    def add(self, table: Table, /, **values: Scalar) -> None:
        """Adds to the row of the named key, made of zeros where there is none. Columns but the key's are integers.

        The way to write rows that events of several conversations meet in; such a table knows no other change.
        """
        key = tuple(values.pop(name) for name in table.keys)
        row = self.sums.setdefault(table, {}).setdefault(key, {})
        for column, number in values.items():
            if number is not None:
                assert isinstance(number, int)
                row[column] = row.get(column, 0) + number

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
