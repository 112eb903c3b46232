"""Serves the built web UI beside the API, under a content security policy that allows exactly the media's origin."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import polylogue
from polylogue.api.compression import LEAST_BYTES, takes_gzip
from polylogue.infra.settings import Settings
from polylogue.media.keys import PRIVATE
from polylogue.media.urls import public_url

INDEX = "index.html"
_FOR_EVER = "public, max-age=31536000, immutable"
_COMPRESSED = frozenset({".css", ".html", ".js", ".json", ".svg", ".txt", ".webmanifest"})
_LEVEL = 9  # once for each file
_PACKAGE = Path(polylogue.__file__).parent


def built_ui(settings: Settings) -> Path | None:
    """Where the built UI lies: what WEB_DIR names, else in the package, else in the checkout; None where it is not built."""
    places = (
        [settings.web_dir] if settings.web_dir else [_PACKAGE / "web_dist", _PACKAGE.parent / "web" / "dist"]
    )
    return next((place for place in places if (place / INDEX).is_file()), None)


def media_origins(settings: Settings) -> list[str]:
    """The origins that pictures, sound and film are read from: the CDN's, and the bucket's for what is private."""
    without_cdn = settings.model_copy(update={"cloudfront_domain": None})
    urls = (public_url(settings, "media/"), public_url(without_cdn, PRIVATE))
    parts = [urlsplit(url) for url in urls]
    return sorted({f"{part.scheme}://{part.netloc}" for part in parts})


def content_security_policy(settings: Settings) -> str:
    """No inline script, nothing from elsewhere but media; KaTeX places its glyphs by style attributes."""
    media = " ".join(media_origins(settings))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "style-src-attr 'unsafe-inline'",
            "font-src 'self'",
            f"img-src 'self' blob: {media}",
            f"media-src 'self' blob: {media}",
            f"connect-src 'self' {media}",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class WebUi(StaticFiles):
    """Files of the build; every other address is a page of the UI, which finds out for itself what to show there."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        super().__init__(directory=directory)
        self._small: dict[
            tuple[str, str], bytes
        ] = {}  # path and entity tag → the file compressed; as many as there are
        self._headers = {
            "Content-Security-Policy": content_security_policy(settings),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
        }

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            # An asset that is gone must not become a page: the browser would take it for a script.
            if error.status_code != 404 or path.startswith(("assets/", "api/", "v1/")):
                raise
            path, response = INDEX, await super().get_response(INDEX, scope)
        if Path(path).suffix in _COMPRESSED:
            response = await self._compressed(response, Headers(scope=scope))
        response.headers.update(self._headers)
        # Names in assets/ carry a hash of their content.
        response.headers["Cache-Control"] = _FOR_EVER if path.startswith("assets/") else "no-cache"
        return response

    async def _compressed(self, response: Response, asked: Headers) -> Response:
        """For whoever takes it; what is compressed is kept, and has the same tag as what is not, marked as weak."""
        response.headers.add_vary_header("Accept-Encoding")
        if not isinstance(response, FileResponse) or "range" in asked:
            return response
        if not takes_gzip(asked.get("accept-encoding", "")):
            return response
        if int(response.headers["content-length"]) < LEAST_BYTES:
            return response
        tag = response.headers["etag"]
        key = (str(response.path), tag)
        if key not in self._small:
            self._small[key] = await asyncio.to_thread(_packed, Path(response.path))
        headers = {
            "Content-Type": response.headers["content-type"],
            "Content-Encoding": "gzip",
            "ETag": f"W/{tag}",
            "Last-Modified": response.headers["last-modified"],
            "Vary": response.headers["vary"],
        }
        return Response(self._small[key], headers=headers)


def _packed(file: Path) -> bytes:
    return gzip.compress(file.read_bytes(), _LEVEL, mtime=0)
