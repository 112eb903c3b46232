"""What answers hold: streams as gateways send them, each with the events they must become."""

from __future__ import annotations

from polylogue.schemas.events import Usage
from polylogue.streams.gateway.audio import wrap_pcm16
from polylogue.streams.gateway.events import (
    AudioDelta,
    BadMedia,
    Finished,
    MediaRemote,
    Noted,
    ReasoningDelta,
    TextDelta,
    UsageReported,
)
from tests.unit.gateway.corpus_words import (
    DONE,
    JPEG,
    PCM,
    PNG,
    PNG_2,
    REPORTED,
    STOP,
    USAGE,
    Case,
    audio,
    b64,
    chunk,
    data_url,
    image,
    picture,
    sse,
)

CONTENTS: list[Case] = [
    Case(
        "plain_text",
        b": OPENROUTER PROCESSING\n\n"
        + chunk({"role": "assistant", "content": ""})
        + chunk({"content": "Grüße "})
        + b": OPENROUTER PROCESSING\n\n"
        + chunk({"content": "🌍"})
        + chunk({"content": ""}, "stop", usage=None)
        + sse({"choices": [], "usage": USAGE})
        + DONE,
        [TextDelta("Grüße "), TextDelta("🌍"), REPORTED, STOP],
    ),
    Case(
        "text_image_text",
        chunk({"content": "a"})
        + chunk({"content": "", **picture(PNG)})
        + chunk({"content": "b"}, "stop")
        + DONE,
        [TextDelta("a"), image(PNG), TextDelta("b"), STOP],
    ),
    Case(
        "image_with_finish_reason_and_image_after_stop",
        chunk(picture(PNG), "stop") + chunk(picture(PNG_2)) + DONE,
        [image(PNG), image(PNG_2), STOP],
    ),
    Case(
        "two_images_of_one_index_bare_base64_and_without_type",
        chunk(
            {
                "images": [
                    {"image_url": {"url": b64(PNG)}, "index": 0},
                    {"image_url": data_url(JPEG), "index": 0},
                ]
            }
        )
        + DONE,
        [image(PNG, None), image(JPEG), STOP],
    ),
    Case(
        "remote_image",
        chunk({"images": [{"image_url": {"url": "https://cdn.example/a.png?sig=1"}}]}) + DONE,
        [MediaRemote("image", "https://cdn.example/a.png?sig=1"), STOP],
    ),
    Case(
        "message_repeats_the_delta_image",
        chunk({"content": "x"})
        + chunk(picture(PNG))
        + sse({"choices": [{"message": {"content": "x", **picture(PNG)}, "finish_reason": "stop"}]})
        + DONE,
        [TextDelta("x"), image(PNG), STOP],
    ),
    Case(
        "only_a_message_in_the_last_chunk",
        sse({"choices": [{"message": {"content": "see", **picture(PNG)}, "finish_reason": "stop"}]}) + DONE,
        [TextDelta("see"), image(PNG), STOP],
    ),
    Case(
        "cumulative_message_beside_delta",
        sse({"choices": [{"delta": {"content": "a"}, "message": {"content": "a"}}]})
        + sse({"choices": [{"delta": {"content": "b"}, "message": {"content": "ab"}}]})
        + DONE,
        [TextDelta("a"), TextDelta("b"), STOP],
    ),
    Case(
        "content_alternates_between_string_and_list",
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]})
        + chunk({"content": "A"})
        + chunk(
            {
                "content": [
                    {"type": "text", "text": "B"},
                    {"type": "image_url", "image_url": {"url": data_url(PNG)}},
                ]
            }
        )
        + chunk({"content": {"type": "image", "mime_type": "image/jpeg", "data": b64(JPEG)}})
        + chunk({"content": [{"type": "video", "video_url": {"url": "https://v.example/x.mp4"}}]}, "stop")
        + DONE,
        [
            ReasoningDelta("hm"),
            TextDelta("A"),
            TextDelta("B"),
            image(PNG),
            image(JPEG, "image/jpeg"),
            MediaRemote("video", "https://v.example/x.mp4"),
            STOP,
        ],
    ),
    Case(
        "reasoning_under_two_names_and_only_in_details",
        chunk({"reasoning": "one", "reasoning_content": "one", "reasoning_details": [{"text": "one"}]})
        + chunk({"content": "", "reasoning_details": [{"type": "reasoning.summary", "summary": "two"}]})
        + chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}]})
        + chunk({"content": "x"}, "stop")
        + DONE,
        [ReasoningDelta("one"), ReasoningDelta("two"), TextDelta("x"), STOP],
    ),
    Case(
        "inline_think_split_over_deltas",
        b"".join(chunk({"content": piece}) for piece in ("<thi", "nk>hm", "m</th", "ink>\n", "\nyes <think>"))
        + DONE,
        [ReasoningDelta("hm"), ReasoningDelta("m"), TextDelta("yes <think>"), STOP],
    ),
    Case(
        "refusal",
        chunk({"content": "", "refusal": "I cannot."}, "stop") + DONE,
        [TextDelta("I cannot."), STOP],
    ),
    Case(
        "nothing_where_something_is_expected",
        sse({"id": "x"})
        + sse({"choices": None})
        + sse({"choices": []})
        + chunk(None)
        + chunk({"content": None})
        + sse({"choices": [{"index": 0}]})
        + b"data:\n\n"
        + chunk({"content": "ok"}, "stop")
        + DONE,
        [TextDelta("ok"), STOP],
    ),
    Case(
        "finish_reason_on_every_chunk_and_again_beside_usage",
        chunk({"content": "a"}, "stop")
        + chunk({"content": "b"}, "stop")
        + chunk({}, "stop", usage=USAGE)
        + DONE,
        [TextDelta("a"), TextDelta("b"), REPORTED, STOP],
    ),
    Case(
        "several_choices_interleaved",
        sse(
            {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]}
        )
        + sse({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]})
        + chunk({}, "stop")
        + DONE,
        [TextDelta("yes"), STOP],
    ),
    Case(
        "tool_call_is_noted_once",
        chunk({"tool_calls": [{"index": 1, "id": "c", "function": {"name": "f", "arguments": None}}]})
        + chunk({"tool_calls": [{"index": 1, "function": {"arguments": '{"a": "cut'}}]}, "tool_calls")
        + DONE,
        [
            Noted("tool_call", "The model asked to call a tool; tools are not offered, so nothing was run."),
            Finished("tool_calls"),
        ],
    ),
    Case(
        "usage_in_every_chunk_keeps_the_last",
        chunk({"content": "a"}, usage={"prompt_tokens": 1, "cost": "0.5"})
        + sse({"choices": [], "usage": {**USAGE, "cost": {"total_cost": 0.0012}}})
        + sse({"choices": [], "moderation": {}})
        + DONE,
        [TextDelta("a"), REPORTED, STOP],
    ),
    Case(
        "pcm16_audio_with_transcript",
        chunk({"audio": {"id": "a", "transcript": "Hel"}})
        + chunk({"audio": {"id": "a", "data": b64(PCM[:300])}})
        + chunk({"audio": {"transcript": "lo", "data": b64(PCM[300:601])}})
        + chunk({"audio": {"data": b64(PCM[601:])}})
        + chunk({"audio": {"expires_at": 1}})
        + sse({"usage": USAGE})
        + DONE,
        [
            TextDelta("Hel"),
            AudioDelta(300),
            TextDelta("lo"),
            AudioDelta(301),
            AudioDelta(399),
            audio(wrap_pcm16(PCM), "audio/wav"),
            REPORTED,
            STOP,
        ],
        "pcm16",
    ),
    Case(
        "modality_named_at_the_top",
        sse({"modality": "text", "choices": [{"delta": {"content": "a"}}]})
        + sse({"modality": "image", "choices": [{"delta": {"content": b64(PNG)}}]})
        + sse({"modality": "audio", "choices": [{"delta": {"content": b64(wrap_pcm16(PCM[:600]))}}]})
        + sse({"modality": "audio", "choices": [{"delta": {"content": b64(wrap_pcm16(PCM[600:]))}}]})
        + DONE,
        [
            TextDelta("a"),
            image(PNG, None),
            AudioDelta(644),
            AudioDelta(444),
            audio(wrap_pcm16(PCM), None),
            STOP,
        ],
    ),
    Case(
        "bad_base64_leaves_the_rest",
        chunk({"content": "a"})
        + chunk({"images": [{"image_url": {"url": "data:image/png;base64,@@@@"}}]})
        + DONE,
        [
            TextDelta("a"),
            BadMedia("image", "bad_base64", "The model sent a picture that is not valid base64."),
            STOP,
        ],
    ),
    Case(
        "image_counted_but_not_sent",
        chunk({"content": "a"}, "stop", usage={**USAGE, "completion_tokens_details": {"image_tokens": 1290}})
        + DONE,
        [
            TextDelta("a"),
            Noted("no_image", "The model counted a picture but sent none."),
            UsageReported(
                Usage(prompt_tokens=5, completion_tokens=7, total_tokens=12, image_tokens=1290), 1200
            ),
            STOP,
        ],
    ),
    Case(
        "text_that_looks_like_media",
        chunk({"content": "[x](sandbox:/mnt/data/x.png) https://a.example/base64/x"}, "stop") + DONE,
        [TextDelta("[x](sandbox:/mnt/data/x.png) https://a.example/base64/x"), STOP],
    ),
]
