"""All that an operator can do with projections, for the command line and the API alike; each is a plain function."""

from __future__ import annotations

from polylogue.projections.builders import TakenOverError
from polylogue.projections.checkpoints import CheckpointRefusedError
from polylogue.projections.filling_worker import FillingStoppedError
from polylogue.projections.lag import (
    Listed,
    PartitionLag,
    VersionStatus,
    list_versions,
    status,
    wait_for_lag,
)
from polylogue.projections.orders import Reset, pause, reset, resume, skip
from polylogue.projections.promotion import Swapped, promote, prune, rollback
from polylogue.projections.rebuilding import Progress, rebuild
from polylogue.projections.verification import Difference, Verified, verify
from polylogue.projections.versions import OperationRefusedError, Skip

# What the functions raise beside KafkaError and psycopg.Error; the message of each is a sentence for the operator.
REFUSALS = (OperationRefusedError, FillingStoppedError, TakenOverError, CheckpointRefusedError)

__all__ = [
    "REFUSALS",
    "CheckpointRefusedError",
    "Difference",
    "FillingStoppedError",
    "Listed",
    "OperationRefusedError",
    "PartitionLag",
    "Progress",
    "Reset",
    "Skip",
    "Swapped",
    "TakenOverError",
    "Verified",
    "VersionStatus",
    "list_versions",
    "pause",
    "promote",
    "prune",
    "rebuild",
    "reset",
    "resume",
    "rollback",
    "skip",
    "status",
    "verify",
    "wait_for_lag",
]
