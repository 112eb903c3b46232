"""`polylogue costs`: what a month costs at AWS, with every assumption and price in sight."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from polylogue.cli.problems import Problem

if TYPE_CHECKING:
    import msgspec

    from polylogue.infra.costs.estimate import Line
    from polylogue.infra.costs.prices import PriceList

S = TypeVar("S", bound="msgspec.Struct")


def costs(
    assume: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another assumption; the output lists the names."),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Another price; the output lists the names."),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Another prices file, of the form of the one that comes along.")
    ] = None,
    plan_assumptions: Annotated[
        bool, typer.Option(help="The figures of the original plan, and what is wrong with them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Estimate the monthly bill of AWS."""
    from polylogue.infra.costs.estimate import Assumptions, AssumptionsError, estimate
    from polylogue.infra.costs.prices import PricesError, read_prices

    if plan_assumptions:
        if assume or price or prices:
            raise Problem("--plan-assumptions stands alone: it has assumptions and prices of its own.")
        _show_plan(as_json=as_json)
        return
    try:
        listed = read_prices(prices)
    except PricesError as error:
        raise Problem(str(error)) from error
    try:
        given = _changed(Assumptions(lifecycle_days=_lifecycle_days()), assume or (), "--set")
        asked = _changed(listed.prices, price or (), "--price")
    except AssumptionsError as error:
        raise Problem(str(error)) from error
    found = estimate(given, asked)
    if as_json:
        content = {
            "total_usd": round(found.total_usd, 2),
            "lines": [asdict(line) for line in found.lines],
            "assumptions": _fields(given),
            "prices": {"as_of": listed.as_of.isoformat(), "region": listed.region, **_fields(asked)},
        }
        print(json.dumps(content))
        return
    _show_values("Assumptions (--set NAME=VALUE)", _fields(given))
    _show_values(_origin(listed), _fields(asked))
    _show_lines("A month", found.lines)
    print(
        f"\n{found.files:,.0f} files a month, {found.uploaded_gb:,.1f} GB; the bucket holds {found.stored_gb:,.1f} GB."
    )
    print(f"Total: ${found.total_usd:,.2f} a month")


def _lifecycle_days() -> int:
    from polylogue.infra.settings import load_settings

    return load_settings().media_lifecycle_days


def _changed(struct: S, given: Sequence[str], option: str) -> S:
    """The struct with some fields set from NAME=VALUE."""
    import msgspec

    fields = _fields(struct)
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or name not in fields:
            raise Problem(f"{option} {one}: there is no such name; it is one of {', '.join(fields)}.")
        switch = isinstance(fields[name], bool)
        value = {"true": True, "false": False}.get(text.lower()) if switch else text
        if value is None:
            raise Problem(f"{option} {one}: the value is true or false.")
        fields[name] = value
    try:
        return msgspec.convert(fields, type(struct), strict=False)
    except msgspec.ValidationError as error:
        raise Problem(f"{option}: {error}.") from error


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(struct)


def _origin(listed: PriceList) -> str:
    return f"Prices in {listed.currency}, {listed.region}, as of {listed.as_of} (--price NAME=VALUE, --prices FILE)"


def _show_values(title: str, values: Mapping[str, Any]) -> None:
    print(title)
    for name, value in values.items():
        print(f"  {name} = {str(value).lower() if isinstance(value, bool) else f'{value:.12g}'}")
    print()


def _show_lines(title: str, lines: Sequence[Line]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in ("quantity", "each", "USD"):
        table.add_column(column, justify="right")
    for line in lines:
        table.add_row(
            line.what,
            f"{line.quantity:,.0f} {line.unit}",
            f"{line.price:.8f}".rstrip("0"),
            f"{line.usd:,.3f}",
        )
    Console(soft_wrap=True, highlight=False).print(table)


def _show_plan(*, as_json: bool) -> None:
    from polylogue.infra.costs.plan_figures import PLAN, PLAN_WITH_LIFECYCLE, corrections

    if as_json:
        content = {
            "total_usd": round(PLAN.total_usd, 2),
            "total_with_lifecycle_usd": round(PLAN_WITH_LIFECYCLE.total_usd, 2),
            "corrections": [
                {"what": one.what, "total_usd": round(one.figures.total_usd, 2)} for one in corrections()
            ],
        }
        print(json.dumps(content))
        return
    _show_values("Assumptions and prices of the plan", vars(PLAN))
    for title, figures in (("A month", PLAN), ("With the plan's lifecycle line", PLAN_WITH_LIFECYCLE)):
        _show_lines(title, figures.lines())
        print(f"Total: ${figures.total_usd:,.2f} a month\n")
    print("Put right, one after the other:")
    for one in corrections():
        print(f"  {one.what}: ${one.figures.total_usd:,.2f}")
    print("Without --plan-assumptions every line of the bill is estimated, at the prices of today's list.")
