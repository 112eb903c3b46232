"""Lets pages of the origins that CORS_ORIGINS names, exactly as they are named, use the API with their users' cookies."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ASKED_WITH = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "traceparent",
)
SHOWN = (
    "ETag",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Conversation-Id",
    "X-Turn-Id",
    "traceparent",
    "x-vercel-ai-ui-message-stream",
)
PREFLIGHT_S = 600


def add_cors(app: FastAPI, origins: Collection[str]) -> None:
    if not origins:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=sorted(origins),
        allow_methods=METHODS,
        allow_headers=ASKED_WITH,
        expose_headers=SHOWN,
        allow_credentials=True,
        max_age=PREFLIGHT_S,
    )
