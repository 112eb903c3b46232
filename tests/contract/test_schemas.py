"""The checked-in JSON Schemas are those of the code: none missing, none stale, none left over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from polylogue.schemas.json_schema import GENERATED, MESSAGES, differences, rendered, schemas, write
from polylogue.schemas.upcasters import UPCASTERS


def test_the_checked_in_schemas_are_those_of_the_code() -> None:
    assert differences() == [], "run: python -m polylogue.schemas.json_schema"


@pytest.mark.parametrize("path", sorted(schemas()), ids=str)
def test_a_schema_is_valid_and_names_itself(path: Path) -> None:
    schema = json.loads((GENERATED / path).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$id"].startswith("urn:polylogue:")
    assert "type" in schema["required"]


def test_every_schema_has_an_id_of_its_own() -> None:
    ids = [schema["$id"] for schema in schemas().values()]
    assert len(ids) == len(set(ids))


def test_a_missing_a_stale_and_an_orphaned_schema_are_found_and_mended(tmp_path: Path) -> None:
    write(tmp_path)
    assert differences(tmp_path) == []
    (tmp_path / "event" / "TextAppended.v1.json").unlink()
    stale = schemas()[Path("frame/chunk.json")] | {"title": "Something else"}
    (tmp_path / "frame" / "chunk.json").write_text(rendered(stale), encoding="utf-8")
    (tmp_path / "event" / "TextRemoved.v1.json").write_text("{}", encoding="utf-8")
    assert differences(tmp_path) == [
        "event/TextAppended.v1.json is missing",
        "event/TextRemoved.v1.json is an orphan",
        "frame/chunk.json is stale",
    ]
    write(tmp_path)
    assert differences(tmp_path) == []


def test_every_earlier_version_has_an_upcaster_and_a_schema() -> None:
    for kind, (_, payloads) in MESSAGES.items():
        for name, payload in payloads.items():
            for version in range(1, payload.VERSION):
                assert (name, version) in UPCASTERS
                assert (GENERATED / kind / f"{name}.v{version}.json").is_file()
    known = {name: payload for _, payloads in MESSAGES.values() for name, payload in payloads.items()}
    assert all(name in known and version < known[name].VERSION for name, version in UPCASTERS)
