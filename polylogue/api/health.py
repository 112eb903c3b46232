"""Is it alive, would the first prompt work, and what has it counted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from polylogue import __version__
from polylogue.api.compare_stream import Working
from polylogue.api.worker_counts import WorkerCounts

router = APIRouter(tags=["health"])


# Who asks for health may do so with HEAD: an answer in place of theirs, of the web UI, would always be 200.
@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> dict[str, Any]:
    """The process answers."""
    return {"status": "ok", "version": __version__}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz")
async def readyz(services: Working) -> JSONResponse:
    """Whether a prompt would be accepted, and if not, what is missing."""
    missing = await services.missing()
    return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics")
async def metrics(services: Working, request: Request) -> Response:
    """Prometheus' text form; of all processes that share this port, each with its `worker`."""
    counts: WorkerCounts | None = request.app.state.counts
    registry = await counts.of_all() if counts else services.metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
