"""Tries every upcaster on the stored examples of the version that it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import polylogue.schemas
from polylogue.schemas.base import Payload
from polylogue.schemas.upcasters import Upcaster

EXAMPLES = Path(polylogue.schemas.__file__).parent / "examples"


def faults(
    payloads: Mapping[str, type[Payload]],
    upcasters: Mapping[tuple[str, int], Upcaster],
    examples: Path,
    frozen: Path,
) -> list[str]:
    """One sentence for each fault; `frozen` holds the JSON Schemas by kind, type and version."""
    found = []
    for name, payload in payloads.items():
        for version in range(1, payload.VERSION):
            found += _step_faults(name, version, upcasters, examples, frozen)
        found += [
            f"{name} v{version} has an upcaster and no successor"
            for upcast, version in upcasters
            if upcast == name and version >= payload.VERSION
        ]
    return found


def _step_faults(
    name: str,
    version: int,
    upcasters: Mapping[tuple[str, int], Upcaster],
    examples: Path,
    frozen: Path,
) -> Iterator[str]:
    files = sorted((examples / name / str(version)).glob("*.json"))
    if not files:
        yield f"{name} v{version} has no example"
    upcaster = upcasters.get((name, version))
    if upcaster is None:
        yield f"{name} v{version} has no upcaster"
        return
    (schema_file,) = frozen.glob(f"*/{name}.v{version + 1}.json")
    schema = json.loads(schema_file.read_text(encoding="utf-8"))
    fits = Draft202012Validator({**schema, **_data_schema(schema)})
    for file in files:
        told = f"{name} v{version}, {file.name}"
        data = json.loads(file.read_text(encoding="utf-8"))["data"]
        given = deepcopy(data)
        try:
            made = upcaster(given)
        except Exception as error:  # noqa: BLE001 (whatever it raises is its fault)
            yield f"{told}: the upcaster fails with {type(error).__name__}"
            continue
        if given != data:
            yield f"{told}: the upcaster changes what it is given"
        if made != upcaster(deepcopy(data)):
            yield f"{told}: the upcaster makes something else the second time"
        for error in fits.iter_errors(made):
            yield f"{told}: what the upcaster makes does not fit v{version + 1}: {error.message}"


def _data_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a message's schema that speaks of `data`, in the place of the whole."""
    part = schema["properties"]["data"]
    blank = {"properties": {}, "required": [], "title": "data"}
    return blank | part
