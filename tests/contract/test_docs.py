"""The documentation says what is: its tables, commands, routes and links are held against the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from urllib.parse import unquote, urlsplit

import pytest
import typer.main
from starlette.routing import Match

from polylogue.api.app import create_app
from polylogue.api.requests import CompareRequest
from polylogue.cli.main import app as command_line
from polylogue.infra.settings import Settings
from tests.contract.doc_tables import ROOT, TABLES, rendered, written_rows

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MOST_ADR_LINES = 60  # a page


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def shell_lines(page: Path) -> list[str]:
    """The lines of shell blocks, continued ones joined."""
    blocks = [body for language, body in FENCE.findall(text_of(page)) if language in ("sh", "bash")]
    return [line.strip() for body in blocks for line in body.replace("\\\n", " ").splitlines()]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_as_the_code_has_it(name: str) -> None:
    page = text_of(ROOT / TABLES[name].page)
    assert page == rendered(name, page), "run: python -m tests.contract.doc_tables"


@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_a_table_is_told_in_words(name: str) -> None:
    rows = written_rows(text_of(ROOT / TABLES[name].page), name)
    assert [row[0] for row in rows if not all(row)] == []


def test_a_setting_with_choices_names_each_of_them() -> None:
    told = {
        row[0].strip("`"): row[2] for row in written_rows(text_of(ROOT / "docs/operations.md"), "settings")
    }
    for name, field in Settings.model_fields.items():
        for choice in get_args(field.annotation):
            if isinstance(choice, str):
                assert f"`{choice}`" in told[name.upper()], name


def test_every_other_environment_variable_is_documented() -> None:
    documented = text_of(ROOT / "docs/operations.md")
    for source in (ROOT / "polylogue").rglob("*.py"):
        for name in environment_names(ast.parse(text_of(source))):
            assert f"`{name}`" in documented, f"{name}, read in {named(source)}"


def environment_names(tree: ast.AST) -> Iterator[str]:
    """Names given to `os.environ.get` and to Typer's `envvar`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func) == "os.environ.get" and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)
        yield from (
            str(keyword.value.value)
            for keyword in node.keywords
            if keyword.arg == "envvar" and isinstance(keyword.value, ast.Constant)
        )


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    spans = re.findall(r"`([^`\n]+)`", text_of(page)) + shell_lines(page)
    named_here = {found[1] for span in spans if (found := re.match(r"make ([a-z-]+)", span))}
    assert named_here <= targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_of_polylogue_that_is_named_exists(page: Path) -> None:
    root = typer.main.get_command(command_line)
    spans = re.findall(r"`([^`\n]+)`", text_of(page)) + shell_lines(page)
    for span in spans:
        words = re.sub(r"^\.venv/bin/", "", span).split()
        if words[:1] != ["polylogue"] or len(words) < 2 or not re.fullmatch(r"[a-z-]+", words[1]):
            continue
        commands = root.commands  # type: ignore[attr-defined]  # Typer's root is a group
        assert words[1] in commands, span
        known = {"--help"} | {name for option in commands[words[1]].params for name in option.opts}
        if not hasattr(commands[words[1]], "commands"):
            used = {word.split("=")[0] for word in words[2:] if word.startswith("--")}
            assert used <= known, span


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_address_that_curl_asks_is_a_route(page: Path) -> None:
    routes = create_app(Settings(_env_file=None)).routes  # type: ignore[call-arg]  # pydantic-settings' own
    for line in shell_lines(page):
        if not line.startswith("curl "):
            continue
        address = re.search(r"(?:http://127\.0\.0\.1:8000|\$API)(/[^\s'\"]*)", line)
        assert address is not None, line
        method = (
            found[1] if (found := re.search(r"-X ([A-Z]+)", line)) else "POST" if " -d " in line else "GET"
        )
        path = urlsplit(address[1]).path.replace("$", "")
        scope = {"type": "http", "path": path, "method": method, "root_path": "", "headers": []}
        assert any(route.matches(scope)[0] is Match.FULL for route in routes), line


def test_every_route_is_in_the_guide_to_the_api() -> None:
    guide = text_of(ROOT / "docs/api.md")
    paths = create_app(Settings(_env_file=None)).openapi()["paths"]  # type: ignore[call-arg]
    for path, methods in paths.items():
        for method in methods:
            assert f"`{method.upper()} {path.removeprefix('/api/v1')}`" in guide


def test_every_field_of_a_prompt_is_in_the_guide_to_the_api() -> None:
    guide = text_of(ROOT / "docs/api.md")
    assert [name for name in CompareRequest.model_fields if f"`{name}`" not in guide] == []


def test_every_error_is_in_the_guide_to_the_api() -> None:
    guide = text_of(ROOT / "docs/api.md")
    told = {
        (int(status), code)
        for statuses, codes in re.findall(r"^\| ([\d, ]+) \| (`.*?) \| .* \|$", guide, re.MULTILINE)
        for status in statuses.split(", ")
        for code in re.findall(r"`(\w+)`", codes)
    }
    answered = {
        error
        for source in (ROOT / "polylogue/api").rglob("*.py")
        for error in errors_in(ast.parse(text_of(source)))
    }
    assert answered
    assert answered - told == set()


def errors_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Status and code of every error that a source answers with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("ApiError", "answer"):
            match node.args:
                case [ast.Constant(value=int(status)), ast.Constant(value=str(code)), *_]:
                    yield status, code


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_resolve(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", text_of(page))):
        if urlsplit(target).scheme:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / unquote(path)).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_source_file_that_is_named_exists(page: Path) -> None:
    for path in re.findall(r"`((?:polylogue|tests|docs|requirements)/[\w./-]+)`", text_of(page)):
        assert (ROOT / path).exists(), path


def test_every_log_event_that_is_named_is_logged() -> None:
    table = text_of(ROOT / "docs/operations.md").partition("| event | meaning |")[2].partition("\n\n")[0]
    sources = "".join(text_of(source) for source in (ROOT / "polylogue").rglob("*.py"))
    events = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert events
    assert [event for event in events if f'"{event}"' not in sources] == []


@pytest.mark.parametrize("adr", ADRS, ids=named)
def test_a_decision_is_one_page_with_context_decision_and_consequences(adr: Path) -> None:
    text = text_of(adr)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert text.startswith(f"# {adr.name[:4]}. ")
    assert len(text.splitlines()) <= MOST_ADR_LINES


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    assert [int(adr.name[:4]) for adr in ADRS] == list(range(1, len(ADRS) + 1))
    listed = text_of(ROOT / "docs/architecture.md")
    assert [adr.name for adr in ADRS if f"adr/{adr.name}" not in listed] == []
