"""The difference between what is and what is wanted, as lines a person can read. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["create", "change", "remove"]
_SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Line:
    """One value that differs; None stands for nothing there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    resource: str
    action: Action
    lines: tuple[Line, ...]


def change(resource: str, found: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> Change | None:
    """None where nothing is to be done."""
    if wanted is None:
        return None if found is None else Change(resource, "remove", _lines(found, {}))
    if found is None:
        return Change(resource, "create", _lines({}, wanted))
    lines = _lines(found, wanted)
    return Change(resource, "change", lines) if lines else None


def restricted(found: Any, wanted: Any) -> Any:
    """Of what AWS says only what is ours to say: it fills in defaults that nobody asked for."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return {key: restricted(found[key], wanted[key]) for key in wanted if key in found}
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [restricted(one, other) for one, other in zip(found, wanted, strict=True)]
    return found


def _lines(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[Line, ...]:
    return tuple(_walk("", _normal(found), _normal(wanted)))


def _walk(path: str, before: Any, after: Any) -> Iterator[Line]:
    if before == after:
        return
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        before_map = before if isinstance(before, Mapping) else {}
        after_map = after if isinstance(after, Mapping) else {}
        if not isinstance(before, Mapping | None) or not isinstance(after, Mapping | None):
            yield Line(path, before, after)
            return
        for key in [*before_map, *(key for key in after_map if key not in before_map)]:
            yield from _walk(f"{path}.{key}" if path else key, before_map.get(key), after_map.get(key))
    else:
        yield Line(path, before, after)


def _normal(value: Any) -> Any:
    """Lists become comparable: plain ones sorted, one value like the value itself, named things by their names."""
    if isinstance(value, Mapping):
        return {key: _normal(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        inner = [_normal(one) for one in value]
        if all(isinstance(one, _SCALARS) for one in inner):
            return inner[0] if len(inner) == 1 else sorted(inner, key=json.dumps)
        for name in ("ID", "Id", "Sid", "Name"):
            if all(isinstance(one, Mapping) and name in one for one in inner):
                return {
                    str(one[name]): {key: part for key, part in one.items() if key != name} for one in inner
                }
        return inner
    return value
