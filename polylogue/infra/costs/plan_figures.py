"""The figures of the plan that this product began with, from its own assumptions, rounded as it rounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polylogue.infra.costs.estimate import Line


@dataclass(frozen=True)
class PlanFigures:
    """Where they differ from AWS's, `corrections` says by how much."""

    users: int = 1000
    files_per_user: int = 10
    average_mb: float = 7
    views_per_file: int = 3
    storage_gb_month: float = 0.023
    put_per_1000: float = 0.0004
    cdn_out_gb: float = 0.085
    cdn_out_free_gb: float = 0
    months_held: float = 1

    def lines(self) -> tuple[Line, ...]:
        files = self.users * self.files_per_user
        stored_gb = files * self.average_mb / 1000 * self.months_held
        sent_gb = files * self.views_per_file * self.average_mb / 1000
        if self.months_held < 1:
            stored_gb = int(stored_gb)  # 70 GB / 3 is 23 GB there
        put_price = self.put_per_1000 / 1000
        paid_gb = max(0.0, sent_gb - self.cdn_out_free_gb)
        return (
            Line("Storage", stored_gb, "GB", self.storage_gb_month, stored_gb * self.storage_gb_month),
            Line("Uploads", files, "PUT", put_price, files * put_price),
            Line("CDN, transfer out", sent_gb, "GB", self.cdn_out_gb, paid_gb * self.cdn_out_gb),
        )

    @property
    def total_usd(self) -> float:
        return sum(line.usd for line in self.lines())


PLAN = PlanFigures()
PLAN_WITH_LIFECYCLE = replace(PLAN, months_held=1 / 3)


@dataclass(frozen=True)
class Correction:
    what: str
    figures: PlanFigures  # with this and every earlier correction


def corrections() -> tuple[Correction, ...]:
    """From the plan's total to what AWS would ask for the same three lines."""
    average = replace(PLAN, average_mb=6.5)
    puts = replace(average, put_per_1000=0.005)
    held = replace(puts, months_held=3)
    free = replace(held, cdn_out_free_gb=1000)
    return (
        Correction("the plan's mix averages 6.5 MB a file, not 7", average),
        Correction("PUT costs $0.005 per 1,000, not $0.0004", puts),
        Correction("with a lifecycle of 90 days the bucket holds three months of uploads", held),
        Correction("the first 1,000 GB a month out of CloudFront are free", free),
    )
