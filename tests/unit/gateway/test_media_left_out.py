"""Where media are switched off nothing is decoded, every place says so once, and the text is unharmed."""

from __future__ import annotations

import orjson
import pytest

from polylogue.streams.gateway import media_intake
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.events import BadMedia, Finished, GatewayEvent, TextDelta
from polylogue.streams.gateway.sse import SseEvent


def delta(**fields: object) -> SseEvent:
    return SseEvent(orjson.dumps({"choices": [{"index": 0, "delta": fields}]}))


def picture(data: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def test_pictures_and_sound_are_left_out_undecoded_and_text_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("a medium was decoded")

    monkeypatch.setattr(media_intake, "decode_media", decoded)
    adapter = ChatCompletions(media_wanted=False)
    stream = [
        delta(content="before "),
        delta(images=[picture("AAAA")]),
        delta(images=[picture("AAAA"), picture("BBBB")]),
        delta(audio={"data": "AAAA"}),
        delta(audio={"data": "BBBB", "transcript": "spoken "}),
        delta(content="after"),
        SseEvent(b"[DONE]"),
    ]
    events: list[GatewayEvent] = [event for frame in stream for event in adapter.feed(frame)]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "before spoken after"
    left_out = [(event.media_type, event.reason) for event in events if isinstance(event, BadMedia)]
    assert left_out == [("image", "disabled"), ("image", "disabled"), ("audio", "disabled")]
    assert isinstance(events[-1], Finished)
