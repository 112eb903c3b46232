"""For tests of projections: `ProjectionSpec` says given, when, then on real Postgres; `Story` writes the events."""

from __future__ import annotations

from polylogue.projections.testing.answer import Answer
from polylogue.projections.testing.spec import ProjectionSpec, SpecFailedError
from polylogue.projections.testing.story import Story

__all__ = ["Answer", "ProjectionSpec", "SpecFailedError", "Story"]
