"""Responses API, image, speech and video endpoints: what each case sends."""

from __future__ import annotations

from typing import Any

import orjson

from polylogue.simulator.case_media import SVG, b64, data_url, picture, samples, sound
from polylogue.simulator.case_replies import DONE, Job, Producer, Reply, body, events

REMOTE = "https://media.example/a.png"
REMOTE_FILM = "https://media.example/a.mp4"
EXPIRES_AT = 1_900_000_000
FILM_PATH = "/sim/case-film.mp4"  # the film itself, at the gateway's own origin
USAGE: dict[str, Any] = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


def _said(delta: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "item_id": "msg_1", "delta": delta}


def _partial(item: str, index: int, data: bytes) -> dict[str, Any]:
    return {
        "type": "response.image_generation_call.partial_image",
        "item_id": item,
        "partial_image_index": index,
        "partial_image_b64": b64(data),
    }


def _call(item: str, result: str | None, status: str = "completed") -> dict[str, Any]:
    return {
        "type": "image_generation_call",
        "id": item,
        "status": status,
        "result": result,
        "output_format": "png",
    }


def _item_done(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": 0, "item": item}


def _completed(*output: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "response.completed",
        "response": {"id": "resp_1", "status": "completed", "output": output, "usage": USAGE},
    }


def _drawn(item: str, number: int) -> dict[str, Any]:
    return _call(item, b64(picture(number)))


RESPONSES: dict[str, Producer] = {
    "row-08-partials-then-result": lambda _: events(
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
        _said("Here."),
        {"type": "response.image_generation_call.in_progress", "item_id": "ig_1"},
        _partial("ig_1", 0, picture(2)),
        _partial("ig_1", 1, picture(3)),
        _partial("ig_1", 1, picture(4)),
        {"type": "response.image_generation_call.completed", "item_id": "ig_1"},
        _item_done(_drawn("ig_1", 1)),
        _completed(),
    ),
    "row-08-two-items-interleaved": lambda _: events(
        _partial("ig_1", 0, picture(3)),
        _partial("ig_2", 0, picture(4)),
        _item_done(_drawn("ig_2", 2)),
        _item_done(_drawn("ig_1", 1)),
        _completed(_drawn("ig_1", 1), _drawn("ig_2", 2)),
    ),
    "rec-code-interpreter-image": lambda _: events(
        _said("Plotted."),
        _item_done(
            {
                "type": "code_interpreter_call",
                "id": "ci_1",
                "outputs": [
                    {"type": "logs", "logs": "done"},
                    {"type": "image", "url": data_url(picture())},
                ],
            }
        ),
        _completed(),
    ),
    "rec-result-repeated": lambda _: events(_item_done(_drawn("ig_1", 1)), _completed(_drawn("ig_1", 1))),
    "rec-generating-never-completes": lambda _: events(
        _said("Wait."),
        {"type": "response.image_generation_call.generating", "item_id": "ig_1"},
        _partial("ig_1", 0, picture(2)),
        _completed(_call("ig_1", None, "generating")),
    ),
    "rec-result-few-bytes": lambda _: events(
        _item_done(_call("ig_1", b64(b"no picture"))), _said("Sorry."), _completed()
    ),
}


def _preview(index: int, data: bytes) -> dict[str, Any]:
    return {"type": "image_generation.partial_image", "partial_image_index": index, "b64_json": b64(data)}


def _drawing(content: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_generation.completed", "b64_json": content, "usage": USAGE, **more}


IMAGES: dict[str, Producer] = {
    "row-09-partials-then-completed": lambda _: events(
        _preview(0, picture(2)),
        _preview(1, picture(3)),
        _drawing(b64(picture()), output_format="png"),
        end=DONE,
    ),
    "row-09-buffered-json": lambda _: body(
        {"created": 1, "data": [{"b64_json": b64(picture())}], "usage": USAGE}
    ),
    "row-09-svg-as-text": lambda _: body({"data": [{"b64_json": SVG, "media_type": "image/svg+xml"}]}),
    "image-svg-in-b64-json": lambda _: events(_drawing(SVG)),
    "base64-nested-data-url": lambda _: events(_drawing(data_url(picture()))),
    "rec-image-media-type-item": lambda _: body(
        {
            "data": [
                {"b64_json": b64(picture(1)), "media_type": "image/png"},
                {"b64_json": b64(picture(2)), "media_type": "image/webp"},
            ]
        }
    ),
    "rec-image-output-format-top": lambda _: body(
        {"output_format": "png", "data": [{"b64_json": b64(picture())}]}
    ),
    "rec-image-url-mime-type": lambda _: body({"data": [{"url": REMOTE, "mime_type": "image/png"}]}),
}


def _with_crlf(reply: Reply) -> Reply:
    return Reply(pieces=tuple(piece.replace(b"\n", b"\r\n") for piece in reply.pieces))


SPEECH: dict[str, Producer] = {
    "rec-speech-events": lambda _: _with_crlf(
        events(
            *(
                {"type": "speech.audio.delta", "audio": b64(samples(at, at + 1000))}
                for at in range(0, 6000, 1000)
            ),
            {"type": "speech.audio.done", "usage": USAGE},
        )
    ),
    "rec-transcript-events": lambda _: _with_crlf(
        events(
            {"type": "transcript.text.delta", "delta": "Hel"},
            {"type": "transcript.text.delta", "delta": "lo"},
            {"type": "transcript.text.done", "text": "Hello", "usage": USAGE},
        )
    ),
    "speech-raw-body": lambda _: Reply(pieces=(sound("mp3"),), content_type="audio/mpeg"),
    "speech-raw-samples": lambda _: Reply(pieces=(samples(0, 6000),), content_type="audio/L16;rate=24000"),
}


def _job(*polls: dict[str, Any] | Reply, order: dict[str, Any] | None = None, status: int = 200) -> Job:
    """`{job}` stands for the id of the job, `{origin}` for the gateway's origin."""
    first = {"id": "{job}", "polling_url": "/api/v1/videos/{job}", "status": "pending"}
    answers = (poll if isinstance(poll, Reply) else body(poll, status) for poll in polls)
    return Job(order=body(first if order is None else order, 202), polls=tuple(answers))


def _done(**where: Any) -> dict[str, Any]:
    return {"id": "{job}", "status": "completed", **where}


_WAITING = {"id": "{job}", "status": "in_progress"}
_OWN = "{origin}" + FILM_PATH

VIDEOS: dict[str, Producer] = {
    "video-relative-polling-url": lambda _: _job(_done(video={"url": REMOTE_FILM})),
    "video-states": lambda _: _job(
        {"status": "pending"}, _WAITING, {**_done(urls=[REMOTE_FILM]), "usage": {"cost": 0.0012}}
    ),
    "video-unknown-state": lambda _: _job({"status": "tempering"}, _done(urls=[REMOTE_FILM])),
    "video-never-ends": lambda _: _job({"status": "tempering"}),
    "video-failed": lambda _: _job({"status": "failed", "error": {"code": 500, "message": "No film."}}),
    "video-cancelled": lambda _: _job({"status": "cancelled"}),
    "video-expired": lambda _: _job({"status": "expired"}),
    "video-poll-refused-for-a-moment": lambda _: _job(
        body({"error": {"message": "Busy."}}, 503), _done(urls=[REMOTE_FILM])
    ),
    "video-unsigned-own-origin": lambda _: _job(_done(unsigned_urls=[_OWN])),
    "video-unsigned-other-origin": lambda _: _job(_done(unsigned_urls=[REMOTE_FILM])),
    "video-signed-urls": lambda _: _job(_done(urls=[REMOTE_FILM], expires_at=EXPIRES_AT)),
    "video-no-url": lambda _: _job(_done()),
    "rec-video-completed": lambda _: _job(_done(video={"url": REMOTE_FILM, "content_type": "video/mp4"})),
    "rec-video-done": lambda _: _job({"status": "done", "urls": [REMOTE_FILM]}),
    "rec-video-succeeded": lambda _: _job({"status": "succeeded", "unsigned_urls": [REMOTE_FILM]}),
    "rec-video-202": lambda _: _job(
        body({"status": "pending"}, 202), body({}, 202), {"video": {"url": REMOTE_FILM}}
    ),
    "rec-video-request-id": lambda _: _job(_done(urls=[REMOTE_FILM]), order={"request_id": "{job}"}),
}


def filled(reply: Reply, *, job: str, origin: str) -> Reply:
    """The answer about one job: the names in its braces replaced."""
    document = reply.body.replace(b"{job}", job.encode()).replace(b"{origin}", origin.encode())
    assert orjson.loads(document) is not None
    return Reply(
        pieces=(document,), status=reply.status, content_type=reply.content_type, headers=reply.headers
    )
