"""`polylogue projections new`: writes a projection and its test to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polylogue.cli.problems import Problem


def new(
    name: Annotated[str, typer.Argument(help="What it builds, such as words_daily.")],
    root: Annotated[Path, typer.Option("--dir", help="The checkout of Polylogue.")] = Path(),
) -> None:
    """Write a projection that works, and its test; change both to what you want to know."""
    from polylogue.projections.skeleton import NameRefusedError, class_name, skeleton

    folder = root / "polylogue" / "projections"
    if not (folder / "catalogue.py").is_file():
        raise Problem(f"{root.resolve()} is no checkout of Polylogue; go there, or name it with --dir.")
    try:
        texts = skeleton(name, {file.stem for file in folder.iterdir()})
    except NameRefusedError as error:
        raise Problem(str(error)) from None
    for path in texts:
        if (root / path).exists():
            raise Problem(f"{path} is there already; nothing was written.")
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    print(
        f"Next: name {class_name(name)}() in polylogue/projections/catalogue.py, and run"
        f" python -m pytest tests/integration/test_{name}.py. docs/projections.md tells the rest."
    )
