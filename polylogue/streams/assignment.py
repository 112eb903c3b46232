"""Which partitions a rebalance leaves in a runner's hands, and which it has to take over anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Membership:
    """Who this consumer is in its group; the broker gives both."""

    member_id: str
    generation: int

    def continues(self, earlier: Membership | None) -> bool:
        """True where no generation can have passed in which a partition was somebody else's."""
        return (
            earlier is not None
            and bool(self.member_id)
            and self.member_id == earlier.member_id
            and self.generation == earlier.generation + 1
        )


@dataclass(frozen=True)
class Change:
    kept: frozenset[int]
    lost: frozenset[int]
    gained: frozenset[int]


def rebalance(
    owned: Iterable[int], assigned: Iterable[int], now: Membership, earlier: Membership | None
) -> Change:
    """`owned` are the partitions served so far, `assigned` those of the new generation."""
    before, after = frozenset(owned), frozenset(assigned)
    kept = before & after if now.continues(earlier) else frozenset()
    return Change(kept=kept, lost=before - kept, gained=after - kept)
