"""The log of all events and versions ever, replayed through the reducer and the projections on real Postgres."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from polylogue.infra.settings import Settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.protocol import Projection
from polylogue.projections.testing import ProjectionSpec
from tests.contract.frozen_log import rows, rows_file, values

pytestmark = pytest.mark.stack

HELP = "if it is meant, run: python -m tests.contract.frozen_log, and look at the difference"


def expected_rows(projection: Projection) -> Mapping[str, list[dict[str, Any]]]:
    file = rows_file(projection)
    assert file.exists(), HELP
    rows: Mapping[str, list[dict[str, Any]]] = json.loads(file.read_text("utf-8"))
    return rows


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: f"{one.name} v{one.version}")
async def test_the_tables_hold_what_they_always_held(settings: Settings, projection: Projection) -> None:
    expected = expected_rows(projection)
    found = await rows(settings, projection)
    for table, table_rows in expected.items():
        assert found[table] == table_rows, HELP
    assert found.keys() == expected.keys()


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda one: f"{one.name} v{one.version}")
async def test_however_it_is_cut_or_repeated(settings: Settings, projection: Projection) -> None:
    expected = expected_rows(projection)
    # What a record that is written twice takes up moves the later ones on.
    places = ("first_offset", "start_offset", "last_offset")
    stripped = {
        table: [{name: value for name, value in row.items() if name not in places} for row in table_rows]
        for table, table_rows in expected.items()
    }
    await ProjectionSpec(settings, projection).given_records(*values()).then(**stripped)
