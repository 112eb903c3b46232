"""The adapter for chat completions: every recorded shape becomes the right events, however the bytes are cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.streams.gateway.audio import wrap_pcm16
from polylogue.streams.gateway.chat_completions import ChatCompletions
from polylogue.streams.gateway.events import (
    AudioDelta,
    BadMedia,
    Finished,
    MediaBytes,
    Noted,
    ReasoningDelta,
    TextDelta,
    UpstreamError,
)
from polylogue.streams.gateway.framing import Framing, JsonBody
from polylogue.streams.gateway.sse import SseEvent
from tests.unit.gateway.corpus import (
    CASES,
    DONE,
    PCM,
    PNG,
    STOP,
    Case,
    audio,
    b64,
    chunk,
    data_url,
    image,
    picture,
    run,
    sse,
)

NAMES = [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_stream_becomes_its_events(case: Case):
    assert run(case.stream, audio_format=case.audio_format) == case.events


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_one_byte_at_a_time_gives_the_same_events(case: Case):
    assert run(case.stream, list(range(len(case.stream))), case.audio_format) == case.events


@given(st.sampled_from(CASES), st.data())
def test_any_fragmentation_gives_the_same_events(case: Case, data: st.DataObject):
    cuts = data.draw(st.lists(st.integers(0, len(case.stream)), max_size=30))
    assert run(case.stream, cuts, case.audio_format) == case.events


@given(st.sampled_from(CASES), st.data())
def test_comments_between_events_change_nothing(case: Case, data: st.DataObject):
    if case.stream[:1] != b"d" or b"\r" in case.stream:
        return
    events = case.stream.split(b"\n\n")
    comment = st.sampled_from([b"", b": OPENROUTER PROCESSING\n\n", b":\n", b"\n\n: \xff data: x\n"])
    between = data.draw(st.lists(comment, min_size=len(events), max_size=len(events)))
    stream = b"".join(c + e + (b"\n\n" if e else b"") for c, e in zip(between, events, strict=True))
    if case.stream.endswith(b"\n\n"):
        assert run(stream, audio_format=case.audio_format) == case.events


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "message",
                        "content",
                        "images",
                        "image_url",
                        "url",
                        "audio",
                        "data",
                        "transcript",
                        "error",
                        "code",
                        "type",
                        "text",
                        "usage",
                        "cost",
                        "index",
                        "finish_reason",
                        "reasoning",
                        "reasoning_details",
                        "tool_calls",
                        "thinking",
                        "detail",
                        "metadata",
                        "headers",
                        "raw",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=25,
    )
)
def test_no_shape_of_json_raises(document: object):
    stream = b"data: " + json.dumps(document).encode() + b"\n\n"
    assert isinstance(run(stream + DONE)[-1], Finished | UpstreamError)
    framing, adapter = Framing(), ChatCompletions()
    assert framing.feed(stream)[0]
    assert isinstance(
        (adapter.feed(JsonBody(json.dumps(document).encode())) or [None])[-1], Finished | UpstreamError
    )


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60))
def test_audio_cut_anywhere_in_its_base64_is_whole(sizes: list[int]):
    text, pieces = b64(PCM), []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    pieces.append(text)
    events = run(b"".join(chunk({"audio": {"data": piece}}) for piece in pieces) + DONE, audio_format="pcm16")
    assert events[-2:] == [audio(wrap_pcm16(PCM), "audio/wav"), STOP]
    assert sum(event.size_bytes for event in events if isinstance(event, AudioDelta)) == len(PCM)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=20))
def test_audio_pieces_padded_one_by_one_are_whole(pieces: list[bytes]):
    pieces = [bytes(16), *pieces]  # silence first, or the samples may look like a file of some format
    events = run(b"".join(chunk({"audio": {"data": b64(p)}}) for p in pieces) + DONE, audio_format="pcm16")
    assert events[-2] == audio(wrap_pcm16(b"".join(pieces)), "audio/wav")


def test_large_image_is_the_same_as_a_small_one():
    large = PNG * 500
    text = "x" * 200_000 + '"\\ü'
    stream = (
        chunk({"content": text, **picture(large)})
        + chunk({"images": [{"image_url": b64(large + b"1")}]})
        + DONE
    )
    assert run(stream) == [TextDelta(text), image(large), image(large + b"1", None), STOP]


def test_image_above_the_limit_is_refused_and_the_answer_goes_on():
    adapter = ChatCompletions(max_media_bytes=100)
    first = adapter.feed(SseEvent(chunk(picture(PNG))[6:]))
    assert first == [BadMedia("image", "too_large", "The model sent a picture above the size limit.")]
    assert adapter.feed(SseEvent(b"[DONE]")) == [STOP]


def test_audio_above_the_limit_is_refused_once():
    adapter = ChatCompletions(audio_format="pcm16", max_media_bytes=700)
    for _ in range(3):
        adapter.feed(SseEvent(chunk({"audio": {"data": b64(b"x" * 300)}})[6:]))
    events = adapter.feed(SseEvent(b"[DONE]"))
    assert events == [BadMedia("audio", "too_large", "The model sent a sound above the size limit."), STOP]


def test_broken_connection_keeps_the_text_and_the_usage():
    adapter = ChatCompletions()
    error = UpstreamError("connection", "gone", retryable=True)
    assert adapter.feed(SseEvent(chunk({"content": "<thi"}, usage={"prompt_tokens": 1})[6:])) == []
    events = adapter.fail(error)
    assert events[0] == TextDelta("<thi")
    assert events[-1] == error
    assert adapter.usage in events
    assert adapter.fail(error) == []


def test_surrogates_cut_apart_do_not_fail_the_answer():
    stream = b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n' + DONE
    assert run(stream) == [TextDelta("a"), TextDelta("\ufffd"), STOP]


def test_surrogates_cut_between_deltas_are_one_character():
    halves = (
        b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\ude00b","reasoning":""}}]}\n\n',
    )
    assert run(b"".join(halves) + DONE) == [TextDelta("a"), TextDelta("\U0001f600b"), STOP]
    thoughts = b"".join(halves).replace(b'"reasoning":""', b'"x":""').replace(b"content", b"reasoning")
    assert run(thoughts + DONE) == [ReasoningDelta("a"), ReasoningDelta("\U0001f600b"), STOP]


def test_whole_wav_files_as_pieces_become_one():
    pieces = [wrap_pcm16(PCM[:100]), wrap_pcm16(PCM[100:400])]
    events = run(b"".join(chunk({"audio": {"data": b64(p)}}) for p in pieces) + DONE, audio_format="wav")
    assert events[-2] == audio(wrap_pcm16(PCM[:400]), "audio/wav")


def test_format_that_the_server_ignored_is_not_wrapped():
    frame = b"\xff\xfb\x90\x00" + b"\0" * 413  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz: 417 bytes
    events = run(chunk({"audio": {"data": b64(frame * 3)}}) + DONE, audio_format="pcm16")
    assert events[-2] == audio(frame * 3, None)


def test_loud_pcm_that_begins_like_an_mp3_is_still_wrapped():
    loud = b"\xff\xfb\x90\x00" * 500
    events = run(chunk({"audio": {"data": b64(loud)}}) + DONE, audio_format="pcm16")
    assert events[-2] == audio(wrap_pcm16(loud), "audio/wav")


def test_audio_part_of_a_list_is_a_medium():
    wav = wrap_pcm16(PCM)
    stream = (
        chunk({"content": [{"type": "input_audio", "input_audio": {"data": b64(wav), "format": "wav"}}]})
        + DONE
    )
    assert run(stream) == [audio(wav, "audio/wav"), STOP]


def test_l16_data_url_is_wrapped_at_its_own_rate():
    url = "data:audio/L16;codec=pcm;rate=16000;base64," + b64(PCM)
    events = run(chunk({"content": [{"type": "audio", "audio": {"url": url}}]}) + DONE)
    assert events == [audio(wrap_pcm16(PCM, 16_000), "audio/wav"), STOP]


def test_the_same_bad_image_twice_is_refused_once():
    bad = {"images": [{"image_url": {"url": "data:image/png;base64,*"}}]}
    stream = chunk(bad) + sse({"choices": [{"message": bad}]}) + DONE
    assert [type(event) for event in run(stream)] == [BadMedia, Finished]


def test_payloads_stay_out_of_representations():
    medium = image(PNG)
    assert isinstance(medium, MediaBytes)
    assert "PNG\\r" not in repr(medium)
    assert data_url(PNG)[30:60] not in repr(SseEvent(chunk(picture(PNG))))
    assert Noted("a", "b") == Noted("a", "b")
