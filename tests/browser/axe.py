"""Asks axe, the checker of accessibility, about a page as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """What axe finds, a line for each element."""
    # As a script of the test's own world: the page's policy refuses scripts from elsewhere, as it should.
    page.evaluate(f"() => {{ {AXE.read_text(encoding='utf-8')} }}")
    found: list[dict[str, Any]] = page.evaluate(
        "tags => window.axe.run(document, {runOnly: tags}).then(result => result.violations)", STANDARDS
    )
    return [
        f"{one['id']}: {node['html'][:150]} {node['failureSummary'][:250]}"
        for one in found
        for node in one["nodes"]
    ]


def in_both_schemes(page: Page, where: str) -> list[str]:
    """What axe finds in light and in dark, each line with the place."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=cast("Literal['light', 'dark']", scheme))
        found += [f"{where}, {scheme}: {one}" for one in violations(page)]
    return found
