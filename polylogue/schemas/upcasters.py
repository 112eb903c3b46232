"""Old payloads, one version at a time: `<event>_v<n>_to_v<n+1>`, pure functions over the `data` dict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""(type, version it reads) → the step to the next version."""
