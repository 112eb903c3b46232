"""The app factory: routes under /api/v1 with /api as alias, and the services that live as long as the app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from fastapi import FastAPI

from polylogue import __version__
from polylogue.api import (
    admin,
    compare_stream,
    conversations,
    export,
    gallery,
    health,
    media,
    models,
    my_streams,
    rounds_and_branches,
    search,
    share,
    stats,
    usage,
)
from polylogue.api.ai_sdk import routes as ai_sdk
from polylogue.api.attachments import most_body_bytes
from polylogue.api.auth import routes as sign_in
from polylogue.api.auth.access import Access
from polylogue.api.auth.cors import add_cors
from polylogue.api.auth.guard import Guard
from polylogue.api.body_limit import BodyLimit
from polylogue.api.caching import EntityTags
from polylogue.api.compression import Compression
from polylogue.api.contract import describe
from polylogue.api.direct_streams import DirectStreams
from polylogue.api.errors import add_error_answers
from polylogue.api.metrics import Metrics
from polylogue.api.openai import routes as openai
from polylogue.api.services import running_services
from polylogue.api.trace import Trace
from polylogue.api.web_ui import WebUi, built_ui
from polylogue.api.worker_counts import WorkerCounts
from polylogue.infra.settings import Settings


def create_app(
    settings: Settings, operator: admin.ProjectionOperator | None = None, worker: Path | None = None
) -> FastAPI:
    """`app.state.services` is a `Services` between the start and the end of the app's lifespan.

    `worker`: the socket on which this one of several processes tells the others what it has counted.
    """

    access, metrics = Access(settings), Metrics()
    counts = WorkerCounts(metrics.registry, worker) if worker else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with access.running(), running_services(settings, metrics) as services:
            app.state.services = services
            async with counts.told() if counts else nullcontext():
                yield

    app = FastAPI(
        title="Polylogue",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.operator = operator
    app.state.access = access
    app.state.counts = counts
    add_error_answers(app, metrics.refused)
    app.include_router(health.router)
    for routes in (
        compare_stream.router,
        conversations.router,
        export.router,
        share.router,
        rounds_and_branches.router,
        models.router,
        my_streams.router,
        gallery.router,
        media.router,
        search.router,
        usage.router,
        stats.router,
        admin.router,
        sign_in.router,
        ai_sdk.router,
    ):
        app.include_router(routes, prefix="/api/v1")
        app.include_router(routes, prefix="/api", include_in_schema=False)
    app.include_router(openai.router)
    describe(app)
    ui = built_ui(settings)
    if ui is not None:
        app.mount("/", WebUi(ui, settings))
    app.add_middleware(EntityTags, url_life_s=settings.media_url_life_s)
    app.add_middleware(Compression)
    app.add_middleware(BodyLimit, most_bytes=most_body_bytes(settings))
    app.add_middleware(DirectStreams)
    app.add_middleware(Guard, access=access, metrics=metrics)
    add_cors(app, access.allowed_origins)
    app.add_middleware(Trace)
    return app
