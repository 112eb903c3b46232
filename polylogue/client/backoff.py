"""How long to wait before the next attempt: doubling, with jitter, and not for ever."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST_S = 0.25
LONGEST_S = 8.0
PATIENCE_S = 90.0  # a restart of every server behind the API, and some


@dataclass
class Backoff:
    """Waits add up until `reset`, which says that something has arrived."""

    patience_s: float = PATIENCE_S
    _attempts: int = 0
    _waited_s: float = 0.0
    _random: random.Random = field(default_factory=random.Random)

    @property
    def fresh(self) -> bool:
        """Whether nothing has been waited for since something arrived."""
        return self._attempts == 0

    def next(self, at_least_s: float = 0.0) -> float | None:
        """Seconds to wait now; None when the patience is used up."""
        if self._waited_s >= self.patience_s:
            return None
        longest = min(FIRST_S * 2.0**self._attempts, LONGEST_S)
        self._attempts += 1
        # Jitter, so that a thousand clients that dropped together do not come back together.
        wait_s = max(at_least_s, longest * self._random.uniform(0.5, 1.0))
        self._waited_s += wait_s
        return wait_s

    def reset(self) -> None:
        self._attempts = 0
        self._waited_s = 0.0
