"""Freezes the present JSON Schemas as published: `python -m tests.contract.publish_schemas`, once a release.

Afterwards nothing may be taken back that they promise. What is not published yet may change freely.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from polylogue.schemas.compatibility import all_breaks
from polylogue.schemas.json_schema import GENERATED

PUBLISHED = Path(__file__).parent / "published"


def stored(folder: Path) -> dict[Path, dict[str, Any]]:
    """The schemas of a folder by their path below it."""
    return {
        file.relative_to(folder): json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(folder.rglob("*.json"))
    }


def publish(published: Path = PUBLISHED, generated: Path = GENERATED) -> list[str]:
    """Copies what is new or has grown; where something would break, it copies nothing and returns the sentences."""
    present = stored(generated)
    found = all_breaks(dict(stored(published)), dict(present))
    for path in present if not found else ():
        (published / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(generated / path, published / path)
    return found


if __name__ == "__main__":
    sentences = publish()
    print(*sentences or [f"{len(stored(PUBLISHED))} schemas are published."], sep="\n")
    sys.exit(bool(sentences))
