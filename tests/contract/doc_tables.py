"""Keeps the tables of the documentation true to the code: `python -m tests.contract.doc_tables` writes them anew.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. Its first columns come from the code; the others are
prose, which is kept for every row whose first cell is still there.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric

from polylogue.api.metrics import Metrics
from polylogue.infra.settings import Settings
from polylogue.infra.topics import CATALOGUE, DAY_MS, HOUR_MS, MIB, Topic
from polylogue.projections import metrics as projector_metrics
from polylogue.schemas import events, frames
from polylogue.schemas.base import Payload
from polylogue.schemas.claims import REQUESTS
from polylogue.schemas.commands import COMMANDS
from polylogue.schemas.controls import CONTROLS
from polylogue.schemas.usage import USAGE
from polylogue.streams import admission, runner_metrics, sweeper_metrics, webhook_delivery

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "polylogue"
AGENT_FILES = frozenset(
    {
        "claim_settlement.py",
        "media_agent.py",
        "media_outcomes.py",
        "media_removal.py",
        "media_renditions.py",
        "media_storing.py",
        "media_work.py",
    }
)
NOBODY = "nobody yet"

Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class DocTable:
    page: str
    heads: tuple[str, ...]  # of the columns that the code decides
    rows: Callable[[], Rows]
    prose: tuple[str, ...] = ("Meaning",)  # heads of the columns that people write


def code(text: object) -> str:
    return f"`{text}`"


def fields(struct: type[msgspec.Struct], without: Iterable[str] = ()) -> str:
    """The names of the fields as on the wire; `?` after those that may be absent."""
    skipped = set(without)
    names = [
        field.encode_name + ("" if field.required else "?")
        for field in msgspec.structs.fields(struct)
        if field.encode_name not in skipped
    ]
    return ", ".join(code(name) for name in names) or "–"


def settings_rows() -> Rows:
    return [(code(name.upper()), shown(field.default)) for name, field in Settings.model_fields.items()]


def shown(default: Any) -> str:
    if default is None or default == "":
        return "–"
    return code(str(default).lower() if isinstance(default, bool) else default)


def frame_rows() -> Rows:
    rows = []
    for name, frame in sorted(frames.FRAME_TYPES.items()):
        base = next(
            one for one in (frames.ResponseFrame, frames.PlacedFrame, frames.Frame) if issubclass(frame, one)
        )
        carries = {frames.ResponseFrame: "place, response", frames.PlacedFrame: "place"}.get(base, "–")
        rows.append((code(name), carries, fields(frame, (one.name for one in msgspec.structs.fields(base)))))
    return rows


def event_rows() -> Rows:
    return [
        (code(name), str(event.VERSION), fields(event), writers(name))
        for name, event in events.EVENTS.items()
    ]


def writers(event: str) -> str:
    """Which parts of the system write such an event today, by what their sources do with its class."""
    found = set()
    for path in [*(SOURCES / "streams").glob("*.py"), SOURCES / "infra" / "topic_admin.py"]:
        if path.name != "takeover_plan.py" and event in used_names(path):
            agent = "media agent" if path.name in AGENT_FILES else "runner"
            found.add("`topics apply`" if path.name == "topic_admin.py" else agent)
    return ", ".join(sorted(found)) or NOBODY


@cache
def used_names(path: Path) -> frozenset[str]:
    """The names that a source uses as values: not in patterns, annotations or `isinstance`."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            names.add(node.id)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            return
        for name, value in ast.iter_fields(node):
            if name in ("pattern", "annotation", "returns"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(names)


def message_rows() -> Rows:
    kinds: list[tuple[str, dict[str, type[Payload]]]] = [
        ("commands", COMMANDS),
        ("media-requests", REQUESTS),
        ("media-usage", USAGE),
        ("controls", CONTROLS),
    ]
    return [
        (code(name), code(topic), str(payload.VERSION), fields(payload))
        for topic, payloads in kinds
        for name, payload in payloads.items()
    ]


def topic_rows() -> Rows:
    return [(code(topic.name), str(topic.partitions), kept(topic)) for topic in CATALOGUE]


def kept(topic: Topic) -> str:
    config = topic.config
    retention = int(config["retention.ms"])
    days, hours = divmod(retention, DAY_MS)
    told = "for ever" if retention < 0 else f"{days} days" if not hours else f"{retention // HOUR_MS} h"
    limit = config.get("retention.bytes")
    return told + (f", at most {int(limit) // MIB} MiB a partition" if limit else "")


def literal_rows(*literals: Any) -> Rows:
    return [(code(value),) for literal in literals for value in get_args(literal)]


def metric_rows() -> Rows:
    assert {
        projector_metrics.STOPPED,
        runner_metrics.ACTIVE,
        admission.BACKLOG,
        sweeper_metrics.CLAIMS,
        webhook_delivery.DELIVERIES,
    }  # their import registers them
    found = [("api", one) for one in Metrics().registry.collect()]
    found += [
        (one.name.split("_")[1], one) for one in REGISTRY.collect() if one.name.startswith("polylogue_")
    ]
    return [
        (code(metric_name(one)), one.type, process, one.documentation)
        for process, one in sorted_by_name(found)
    ]


def metric_name(metric: Metric) -> str:
    return metric.name + ("_total" if metric.type == "counter" else "")


def sorted_by_name(found: list[tuple[str, Metric]]) -> list[tuple[str, Metric]]:
    return sorted(found, key=lambda one: one[1].name)


def make_rows() -> Rows:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return [
        (code(f"make {name}"), told)
        for name, told in re.findall(r"^([a-z-]+):.*?## (.*)$", text, re.MULTILINE)
    ]


TABLES: dict[str, DocTable] = {
    "settings": DocTable("docs/operations.md", ("Setting", "Default"), settings_rows),
    "metrics": DocTable("docs/operations.md", ("Metric", "Kind", "Process", "Meaning"), metric_rows, ()),
    "frames": DocTable("docs/api.md", ("Type", "Carries", "Fields"), frame_rows, ("When",)),
    "topics": DocTable("docs/events.md", ("Topic", "Partitions", "Kept"), topic_rows, ("Key", "Value")),
    "events": DocTable("docs/events.md", ("Event", "Version", "Fields", "Written by"), event_rows),
    "messages": DocTable("docs/events.md", ("Type", "Topic", "Version", "Fields"), message_rows),
    "refusals": DocTable("docs/events.md", ("Reason",), lambda: literal_rows(events.RefusalReason)),
    "rejections": DocTable("docs/events.md", ("Reason",), lambda: literal_rows(events.RejectionReason)),
    "media-failures": DocTable(
        "docs/events.md", ("Reason",), lambda: literal_rows(events.MediaFailureReason)
    ),
    "failures": DocTable(
        "docs/response-flow.md",
        ("Class",),
        lambda: literal_rows(events.FailureClass),
        ("Meaning", "Set by", "Retryable"),
    ),
    "cancels": DocTable("docs/response-flow.md", ("Reason",), lambda: literal_rows(events.CancelReason)),
    "targets": DocTable("docs/development.md", ("Target", "What it does"), make_rows, ()),
}


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- table: {re.escape(name)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def written_rows(page: str, name: str) -> list[list[str]]:
    """The rows of a table as the page has them, without the head."""
    found = block(name).search(page)
    assert found is not None, f"the table {name} is missing"
    return [cells(line) for line in found[2].strip().splitlines()[2:]]


def line_of(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"


def rendered(name: str, page: str) -> str:
    """The page with the table as the code has it, and the prose that the page had."""
    table = TABLES[name]
    told = {row[0]: row[len(table.heads) :] for row in written_rows(page, name)}
    heads = [*table.heads, *table.prose]
    lines = [line_of(heads), "| " + " | ".join("---" for _ in heads) + " |"]
    for row in table.rows():
        prose = told.get(row[0], [])
        lines.append(line_of([*row, *prose, *([""] * (len(table.prose) - len(prose)))]))
    return block(name).sub(lambda found: found[1] + "\n".join(lines) + "\n" + found[3], page)


def main() -> None:
    for name, table in TABLES.items():
        path = ROOT / table.page
        before = path.read_text(encoding="utf-8")
        after = rendered(name, before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{table.page}: wrote the table {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
