"""`polylogue version`."""

from __future__ import annotations

import platform

from polylogue import __version__


def version() -> None:
    """Print the version."""
    print(
        f"polylogue {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})"
    )
