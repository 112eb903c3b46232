"""What is told of a bucket: its own objects and uploads, and nobody else's."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from polylogue.media.bucket_contents import BucketContents, HalfDoneUpload

BEGUN = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


class Client:
    """Lists the uploads of two pages."""

    PAGES = (
        ["media/image/c/m/20260102_a.png", "backups/of-another-program"],
        ["private/local/t/1.png", "media"],
    )

    def get_paginator(self, name: str) -> Client:
        assert name == "list_multipart_uploads"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [
            {"Uploads": [{"Key": key, "UploadId": f"of {key}", "Initiated": BEGUN} for key in page]}
            for page in self.PAGES
        ]


def test_uploads_of_another_program_in_the_same_bucket_are_left_alone() -> None:
    found = list(BucketContents(cast("Any", Client()), "b").half_done_uploads())
    begun_ms = int(BEGUN.timestamp() * 1000)
    assert found == [
        HalfDoneUpload(key, f"of {key}", begun_ms)
        for key in ("media/image/c/m/20260102_a.png", "private/local/t/1.png")
    ]
