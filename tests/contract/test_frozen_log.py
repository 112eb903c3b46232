"""The checked-in log holds every event in every version, decodes, and means what it always meant."""

from __future__ import annotations

from polylogue.projections.catalogue import PROJECTIONS
from polylogue.schemas.events import EVENTS
from tests.contract.frozen_log import LOG, ROWS, VERDICTS, records, rows_file, verdicts


def test_the_log_holds_every_event_in_every_version() -> None:
    wanted = {(name, version) for name, event in EVENTS.items() for version in range(1, event.VERSION + 1)}
    held = {(record["type"], record["version"]) for record in records()}
    assert wanted - held == set(), f"append a record of each to {LOG}"
    assert held - wanted == set()


def test_each_record_is_shown_or_hidden_as_it_always_was() -> None:
    assert verdicts() == VERDICTS.read_text(encoding="utf-8")


def test_the_log_has_what_real_logs_have() -> None:
    """Doubles, late records, several attempts, a deleted conversation."""
    told = verdicts()
    assert told.count("hidden") >= 6
    ids = [record["event_id"] for record in records()]
    assert len(ids) > len(set(ids))
    assert {record.get("attempt") for record in records()} >= {1, 2}
    assert "ConversationDeleted v1: shown" in told
    assert told.count("complete") >= 5


def test_there_are_expected_rows_for_every_projection_and_no_others() -> None:
    assert {rows_file(projection) for projection in PROJECTIONS} == set(ROWS.glob("*.json")), (
        "run: python -m tests.contract.frozen_log, and look at the difference"
    )
