"""The adapter for image endpoints: previews are no result, bodies of any form are read, no picture is a failure."""

from __future__ import annotations

import base64
import json

import pytest

from polylogue.simulator.case_media import SVG, picture
from polylogue.streams.gateway.events import BadMedia, MediaRemote, Noted, UpstreamError
from polylogue.streams.gateway.image_endpoint import ImageEndpoint
from polylogue.streams.gateway.sse import SseEvent
from tests.unit.gateway.cases.expected import STOP, TRUNCATED, drawn, medium
from tests.unit.gateway.feeding import streamed, whole

B64 = base64.b64encode(picture()).decode()
PREVIEW = {"type": "image_generation.partial_image", "partial_image_index": 0, "b64_json": B64}
COMPLETED = {"type": "image_generation.completed", "b64_json": B64, "output_format": "png"}


def test_a_preview_equal_to_the_result_does_not_swallow_it():
    assert streamed(ImageEndpoint(), PREVIEW, COMPLETED) == [drawn(), STOP]


def test_events_may_be_named_by_the_stream_only():
    adapter = ImageEndpoint()
    completed = {name: value for name, value in COMPLETED.items() if name != "type"}
    event = SseEvent(json.dumps(completed).encode(), "image_edit.completed")
    assert adapter.feed(event) + adapter.end() == [drawn(), STOP]


def test_several_pictures_are_several_media():
    second = {**COMPLETED, "b64_json": base64.b64encode(picture(2)).decode()}
    assert streamed(ImageEndpoint(), COMPLETED, second, b"[DONE]") == [drawn(1), drawn(2), STOP]


def test_nothing_but_previews_is_truncated_and_says_so():
    note, end = streamed(ImageEndpoint(), PREVIEW)
    assert isinstance(note, Noted)
    assert end == TRUNCATED


@pytest.mark.parametrize("body", [{"data": []}, {"images": []}])
def test_no_picture_at_all_is_a_failure(body: dict[str, object]):
    (end,) = whole(ImageEndpoint(), body)
    assert end == UpstreamError("upstream", "The model sent no picture.", retryable=True)
    assert streamed(ImageEndpoint(), b"[DONE]") == [end]


def test_the_type_of_an_item_counts_before_that_of_the_whole():
    body = {"output_format": "png", "data": [{"b64_json": B64, "media_type": "image/webp"}]}
    assert whole(ImageEndpoint(), body) == [medium(picture(), "image/webp"), STOP]


def test_the_whole_body_as_one_event():
    assert streamed(ImageEndpoint(), {"output_format": "png", "data": [{"b64_json": B64}]}) == [drawn(), STOP]


def test_an_address_is_a_reference():
    body = {"data": [{"url": "https://media.example/a", "mime_type": "image/webp"}]}
    assert whole(ImageEndpoint(), body) == [
        MediaRemote("image", "https://media.example/a", "image/webp"),
        STOP,
    ]


@pytest.mark.parametrize("svg", [SVG, f'<?xml version="1.0"?>{SVG}', f"\n{SVG}"])
def test_a_drawing_as_text_is_taken_as_it_is(svg: str):
    assert whole(ImageEndpoint(), {"data": [{"b64_json": svg}]}) == [
        medium(svg.encode(), "image/svg+xml"),
        STOP,
    ]


def test_a_page_in_place_of_a_picture_is_refused():
    bad, end = whole(ImageEndpoint(), {"data": [{"b64_json": "<html>busy</html>"}]})
    assert isinstance(bad, BadMedia)
    assert end == STOP


def test_an_error_after_a_preview_ends_the_answer():
    *_, end = streamed(ImageEndpoint(), PREVIEW, {"type": "error", "error": {"code": 400, "message": "No."}})
    assert end == UpstreamError("invalid_request", "No.", retryable=False)


def test_garbage_and_half_bodies_fail():
    assert [type(event) for event in streamed(ImageEndpoint(), b"{nope")] == [UpstreamError]
    assert streamed(ImageEndpoint(), 5, "x") == [TRUNCATED]
