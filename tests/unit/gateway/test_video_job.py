"""What a video endpoint says about a job, in any form, is read or counts as pending."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.gateway.video_job import FilmUrl, read_job

URL = "https://media.example/a.mp4"


@pytest.mark.parametrize("state", ["completed", "done", "succeeded", "Completed", "success"])
def test_every_word_for_done_is_done(state: str):
    assert read_job({"status": state, "urls": [URL]}).state == "done"


@pytest.mark.parametrize("state", ["pending", "in_progress", "queued", "tempering", "", None, 5])
def test_other_words_are_pending(state: Any):
    assert read_job({"status": state}).state == "pending"


@pytest.mark.parametrize("state", ["failed", "cancelled", "canceled", "expired"])
def test_every_word_for_failed_is_failed_with_a_sentence(state: str):
    view = read_job({"status": state})
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.message.startswith("The video job ")


def test_202_is_pending_whatever_it_says():
    assert read_job({"status": "completed", "urls": [URL]}, http_status=202).state == "pending"


def test_an_error_without_a_state_is_failed():
    view = read_job({"error": {"code": 400, "message": "No."}})
    assert view.error is not None
    assert (view.state, view.error.message, view.error.retryable) == ("failed", "No.", False)


@pytest.mark.parametrize(
    ("where", "film"),
    [
        ({"video": {"url": URL, "content_type": "video/mp4"}}, FilmUrl(URL, "video/mp4", signed=False)),
        ({"urls": [URL]}, FilmUrl(URL, None, signed=True)),
        ({"unsigned_urls": [URL]}, FilmUrl(URL, None, signed=False)),
        ({"unsigned_urls": [URL + "?"], "urls": [URL]}, FilmUrl(URL, None, signed=True)),
        ({"data": [{"url": URL}]}, FilmUrl(URL, None, signed=False)),
        ({"output": URL}, FilmUrl(URL, None, signed=False)),
    ],
)
def test_the_film_is_found_wherever_it_is(where: dict[str, Any], film: FilmUrl):
    assert read_job({"status": "done", **where}).films == (film,)
    assert read_job(where).state == "done"


def test_ids_and_dates():
    view = read_job({"request_id": "r", "polling_url": "/p", "expires_at": 1_900_000_000_000})
    assert (view.job_id, view.polling_url, view.expires_at_s) == ("r", "/p", 1_900_000_000.0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["status", "id", "error", "video", "urls", "url", "expires_at", "usage"]),
                inner,
                max_size=5,
            )
        ),
        max_leaves=15,
    ),
    st.sampled_from([200, 201, 202]),
)
def test_no_shape_of_json_raises(document: object, status: int):
    view = read_job(document, http_status=status)
    assert (view.state == "failed") == (view.error is not None)
