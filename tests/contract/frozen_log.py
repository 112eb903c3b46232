"""The log of all events and versions there ever were, and what must come of it: `tests/contract/logs`.

Records are only ever appended to `every_event.jsonl`; what is there stands for what lies in the logs of users.
`python -m tests.contract.frozen_log` writes anew what is expected, for a change that is meant; it needs DATABASE_URL.
Look at the difference: it is what users' tables will say after an upgrade.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import orjson

from polylogue.infra.settings import Settings, load_settings
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.protocol import Projection
from polylogue.projections.testing import ProjectionSpec
from polylogue.schemas.codec import event_codec
from polylogue.schemas.conversation_state import ConversationState
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import LogCreated
from polylogue.schemas.visibility import admit

LOGS = Path(__file__).parent / "logs"
LOG = LOGS / "every_event.jsonl"
VERDICTS = LOGS / "verdicts.txt"
ROWS = LOGS / "rows"


def records() -> list[dict[str, Any]]:
    """In the order of their offsets; the first is the log's name."""
    # By line feeds alone: a text may hold other characters that end a line.
    lines = LOG.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [json.loads(line) for line in lines]


def values() -> list[bytes]:
    """As they lie in Kafka, from offset 1 on."""
    return [orjson.dumps(record) for record in records()[1:]]


def verdicts() -> str:
    """A line for each record: its offset, its type, and whether a reader is shown it."""
    states: dict[str, ConversationState] = {}
    lines = []
    for offset, record in enumerate(records()):
        event = event_codec.decode(orjson.dumps(record))
        assert isinstance(event, Event), (offset, event)
        name = f"{type(event.data).__name__} v{record['version']}"
        if isinstance(event.data, LogCreated):
            lines.append(f"{offset:>3} {name}")
            continue
        verdict = admit(states.setdefault(event.conversation_id, ConversationState()), event, offset)
        done = f", round {verdict.completed.round} complete" if verdict.completed else ""
        lines.append(f"{offset:>3} {name}: {'shown' if verdict.visible else 'hidden'}{done}")
    return "\n".join(lines) + "\n"


def rows_file(projection: Projection) -> Path:
    return ROWS / f"{projection.name}.v{projection.version}.json"


async def rows(settings: Settings, projection: Projection) -> dict[str, list[dict[str, Any]]]:
    """Every row of the projection's tables, without what is NULL."""
    found = await ProjectionSpec(settings, projection).given_records(*values()).rows()
    return {
        table: [{name: value for name, value in row.items() if value is not None} for row in table_rows]
        for table, table_rows in found.items()
    }


def rendered(found: dict[str, list[dict[str, Any]]]) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


async def main() -> None:
    VERDICTS.write_text(verdicts(), encoding="utf-8")
    settings = load_settings()
    for projection in PROJECTIONS:
        rows_file(projection).write_text(rendered(await rows(settings, projection)), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
