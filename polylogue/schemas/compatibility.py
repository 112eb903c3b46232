"""What would break between a published JSON Schema and the present one, as sentences; additions break nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

Schema = Mapping[str, Any]
ANYTHING = "anything"

_LOWER_LIMITS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_LIMITS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_FORMS = ("pattern", "format", "multipleOf")


@dataclass(frozen=True)
class Promise:
    """To whom a kind of message is promised: what was written stays readable, or others' code reads what is written."""

    read_back: bool
    read_outside: bool


PROMISES: Mapping[str, Promise] = {
    "event": Promise(read_back=True, read_outside=False),
    "command": Promise(read_back=True, read_outside=False),
    "request": Promise(read_back=True, read_outside=False),
    "control": Promise(read_back=True, read_outside=False),
    "usage": Promise(read_back=True, read_outside=True),
    "frame": Promise(read_back=False, read_outside=True),  # never stored
}
"""By the first folder of a schema's path. Our own readers are deployed before writers, so they need no promise."""


def all_breaks(published: Mapping[PurePath, Schema], present: Mapping[PurePath, Schema]) -> list[str]:
    """One sentence for each thing that breaks. Both map paths such as `event/TextAppended.v1.json` to schemas.

    `present` holds the earlier versions too: they never change once they are published.
    """
    newest = _newest(present)
    found: list[str] = []
    for path, before in sorted(published.items()):
        kind, name, version = _parts(path)
        told = f"{kind} {name}" + (f" v{version}" if version else "")
        if path not in present:
            found.append(f"{told} was removed: records, or readers, of it remain")
        elif version < newest[kind, name]:
            if _without_prose(before) != _without_prose(present[path]):
                found.append(f"{told} was changed: an earlier version stays as it was published")
        else:
            found += [f"{told}: {sentence}" for sentence in breaks(before, present[path], PROMISES[kind])]
    return found


def breaks(before: Schema, after: Schema, promise: Promise) -> list[str]:
    """One sentence for each thing that `after` breaks of what `before` promised."""
    return list(dict.fromkeys(_Comparison(before, after, promise).node("", before, after)))


def _parts(path: PurePath) -> tuple[str, str, int]:
    """Kind, name and version; frames have version 0."""
    name, _, version = path.name.removesuffix(".json").partition(".v")
    return path.parts[0], name, int(version or 0)


def _newest(schemas: Mapping[PurePath, Schema]) -> dict[tuple[str, str], int]:
    newest: dict[tuple[str, str], int] = {}
    for kind, name, version in map(_parts, schemas):
        newest[kind, name] = max(version, newest.get((kind, name), 0))
    return newest


@dataclass
class _Comparison:
    before: Schema
    after: Schema
    promise: Promise
    _under_way: set[tuple[str, str]] = field(default_factory=set)  # definitions may name themselves

    def node(self, path: str, before: Schema, after: Schema) -> Iterator[str]:
        pair = (str(before.get("$ref")), str(after.get("$ref")))
        if pair != ("None", "None"):
            if pair in self._under_way:
                return
            self._under_way.add(pair)
        yield from self._alternatives(path or "it", _kinds(self.before, before), _kinds(self.after, after))
        self._under_way.discard(pair)

    def _alternatives(self, path: str, before: dict[str, Schema], after: dict[str, Schema]) -> Iterator[str]:
        if ANYTHING not in after and not any(_taken(kind, after) for kind in before):
            yield f"{path} has changed from {_listed(before)} to {_listed(after)}"
            return
        if self.promise.read_back and ANYTHING not in after:
            for kind in before:
                if not _taken(kind, after):
                    yield f"{path} no longer takes {kind}"
        if self.promise.read_outside and ANYTHING not in before:
            for kind in after:
                if not _taken(kind, before):
                    yield f"{path} may now be {kind}, which no reader expects"
        for kind, old in before.items():
            new = _taken(kind, after)
            if new is not None:
                yield from self._same_kind(path, kind, old, new)

    def _same_kind(self, path: str, kind: str, before: Schema, after: Schema) -> Iterator[str]:
        if self.promise.read_back:
            yield from _narrowed(path, before, after)
        if kind == "object":
            yield from self._object("" if path == "it" else f"{path}.", before, after)
        if kind == "array" and "items" in before and "items" in after:
            yield from self.node(f"each of {path}", before["items"], after["items"])

    def _object(self, prefix: str, before: Schema, after: Schema) -> Iterator[str]:
        old, new = before.get("properties", {}), after.get("properties", {})
        was_required, is_required = set(before.get("required", ())), set(after.get("required", ()))
        for name in old:
            path = prefix + name
            if name not in new:
                yield f"{path} was removed"
                continue
            if self.promise.read_outside and name in was_required - is_required:
                yield f"{path} may now be absent"
            # What has its default is not written: with another default, old records say something else.
            was, now = old[name].get("default"), new[name].get("default")
            if self.promise.read_back and name not in was_required | is_required and was != now:
                yield f"{path} has another default, {now!r}, and {was!r} was left out of what is stored"
            yield from self.node(path, old[name], new[name])
        if self.promise.read_back:
            for name in sorted(is_required - was_required):
                yield f"{prefix}{name} {'has become' if name in old else 'is new and'} required"
        open_before, open_after = before.get("additionalProperties"), after.get("additionalProperties")
        if isinstance(open_before, dict) and isinstance(open_after, dict):
            yield from self.node(f"each of {prefix.removesuffix('.')}", open_before, open_after)


def _narrowed(path: str, before: Schema, after: Schema) -> Iterator[str]:
    old, new = _values(before), _values(after)
    if new is not None:
        if old is None:
            yield f"{path} could be any {before.get('type')} and is now one of {_listed(new)}"
        elif gone := [value for value in old if value not in new]:
            yield f"{path} no longer knows {_listed(gone)}"
    for name in (*_LOWER_LIMITS, *_UPPER_LIMITS, *_FORMS):
        was, now = before.get(name), after.get(name)
        if now is None or now == was:
            continue
        if was is None or name in _FORMS or ((now > was) if name in _LOWER_LIMITS else (now < was)):
            yield f"{path} is narrower: {name} is {now!r}" + ("" if was is None else f" and was {was!r}")


def _kinds(root: Schema, node: Schema) -> dict[str, Schema]:
    """The JSON types that a node takes, each with the part of the schema that speaks of it."""
    if "$ref" in node:
        return _kinds(root, root["$defs"][node["$ref"].rsplit("/", 1)[1]])
    for union in ("anyOf", "oneOf"):
        if union in node:
            return {kind: part for one in node[union] for kind, part in _kinds(root, one).items()}
    if (values := _values(node)) is not None:
        return {
            kind: {"type": kind, "enum": [one for one in values if _kind_of(one) == kind]}
            for kind in map(_kind_of, values)
        }
    types = node.get("type", ANYTHING)
    return dict.fromkeys([types] if isinstance(types, str) else types, node)


def _values(node: Schema) -> list[Any] | None:
    return [node["const"]] if "const" in node else node.get("enum")


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return {str: "string", int: "integer", float: "number", type(None): "null"}[type(value)]


def _taken(kind: str, by: Mapping[str, Schema]) -> Schema | None:
    return by.get(kind) or (by.get("number") if kind == "integer" else None) or by.get(ANYTHING)


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def _without_prose(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_prose(value) for key, value in schema.items() if key != "description"}
    return [_without_prose(value) for value in schema] if isinstance(schema, list) else schema
