"""Writes the table of wire cases into docs/simulator.md: `python -m polylogue.simulator.cases_page`."""

from __future__ import annotations

from pathlib import Path

from polylogue.simulator.cases import CASES

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"
BEGIN = "<!-- begin: written by python -m polylogue.simulator.cases_page -->"
END = "<!-- end -->"


def table() -> str:
    rows = [f"| `{case.id}` | {case.meaning} | `{case.switch}` |" for case in CASES.values()]
    return "\n".join(("| id | meaning | model |", "| --- | --- | --- |", *rows))


def renewed(page: str) -> str:
    """The page with the present table. Raises ValueError where it has no place for one."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError("the page has no marks for the table")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def is_fresh(page: Path = PAGE) -> bool:
    text = page.read_text(encoding="utf-8")
    return text == renewed(text)


def write(page: Path = PAGE) -> None:
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
