"""The AsyncAPI document is valid by the official schema, names every topic, and its references lead somewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from typer.testing import CliRunner

from polylogue.cli.asyncapi import described
from polylogue.cli.main import app
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CATALOGUE
from polylogue.schemas.json_schema import MESSAGES

OFFICIAL = json.loads((Path(__file__).parent / "asyncapi" / "3.0.0-without-$id.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    settings = Settings(_env_file=None, kafka_topic_prefix="eu.")  # type: ignore[call-arg]  # pydantic-settings' own
    return json.loads(json.dumps(described(settings)))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def errors(document: dict[str, Any]) -> list[str]:
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error in Draft7Validator(OFFICIAL).iter_errors(document)
    ]


def test_the_document_is_valid_by_the_official_schema(document: dict[str, Any]) -> None:
    assert errors(document) == []


def test_the_official_schema_refuses_a_document_that_is_none(document: dict[str, Any]) -> None:
    """The check can fail: deep within, too."""
    assert errors({**document, "asyncapi": "2.0.0"})
    broken = json.loads(json.dumps(document))
    broken["channels"]["media-usage"]["bindings"]["kafka"]["partitions"] = "six"
    assert errors(broken)


def test_every_topic_is_a_channel_with_its_prefix_and_settings(document: dict[str, Any]) -> None:
    assert list(document["channels"]) == [topic.name for topic in CATALOGUE]
    usage = document["channels"]["media-usage"]
    assert usage["address"] == "eu.media-usage"
    assert usage["bindings"]["kafka"]["partitions"] == 6
    assert usage["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] == 400 * 86_400_000


def test_every_version_of_every_message_is_described(document: dict[str, Any]) -> None:
    wanted = {
        f"{name}.v{version}"
        for _, payloads in MESSAGES.values()
        for name, payload in payloads.items()
        for version in range(1, payload.VERSION + 1)
    }
    assert wanted <= set(document["components"]["messages"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert len(found) > 100
    for reference in found:
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_example_fits_the_schema_of_its_message(document: dict[str, Any]) -> None:
    checked = 0
    for name, message in document["components"]["messages"].items():
        if "examples" not in message:
            continue
        schema = Draft202012Validator(
            {"$ref": message["payload"]["$ref"], "components": document["components"]}
        )
        for example in message["examples"]:
            assert [error.message for error in schema.iter_errors(example["payload"])] == [], name
            checked += 1
    assert checked > 60


def test_the_command_prints_the_document() -> None:
    result = CliRunner().invoke(app, ["topics", "asyncapi"], env={"KAFKA_TOPIC_PREFIX": "eu."})
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["channels"]["commands"]["address"] == "eu.commands"
