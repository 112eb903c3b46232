"""Every wire case that the simulator can produce: pure data, one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Endpoint = Literal["chat", "responses", "images", "speech", "videos"]

# The entry of the list of models under which the cases of an endpoint are asked for.
MODELS: dict[Endpoint, str] = {
    "chat": "sim/case",
    "responses": "sim/case-responses",
    "images": "sim/case-images",
    "speech": "sim/case-speech",
    "videos": "sim/case-videos",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    id: str
    endpoint: Endpoint
    meaning: str

    @property
    def switch(self) -> str:
        """The model name that produces the case."""
        return f"{MODELS[self.endpoint]}:case={self.id}"


# Where no endpoint is named between the bars, it is chat.
_TABLE = """
row-01-delta-image || A picture as data URL in `delta.images`, whole in one delta.
row-01-https || The URL of a picture in `delta.images` is an https address.
row-01-bare-base64 || The URL of a picture in `delta.images` is base64 without `data:`.
row-01-no-type || A picture in `delta.images` without its `type`.
row-02-message-images || A buffered reply: the pictures come in `message.images` of the last chunk.
row-02-message-repeats-deltas || `message.images` repeats what the deltas have sent.
row-03-delta-audio || Sound in many base64 pieces, each delta with another part of the fields.
row-03-format-wrong || PCM16 was asked for and a WAV file came.
row-04-pcm-type-lost || Raw samples without type, the transcript empty.
row-05-part-list || Content is a list of parts: text, picture, sound.
row-05-part-https || A picture part of the content names an https address.
row-05-dict-image || Content is one object of type image.
row-05-dict-audio || Content is one object of type audio.
row-05-dict-video || Content is one object of type video with an https address.
row-06-modality-audio || `modality:"audio"` at the top, each piece a whole WAV with its own header.
row-06-modality-image || `modality:"image"` at the top, the content is base64.
row-07-bare-data-url || The text holds a bare data URL.
row-07-markdown-image || The text holds a markdown picture with a data URL.
row-07-split-across-deltas || The markdown picture in the text is split over many deltas.
row-07-broken-off || The stream breaks off within a data URL in the text.
row-08-partials-then-result | responses | Previews of a picture, then its result.
row-08-two-items-interleaved | responses | Previews and results of two pictures interleave.
row-09-partials-then-completed | images | Previews of a picture, then the finished one.
row-09-buffered-json | images | Buffered JSON although a stream was asked for.
row-09-svg-as-text | images | An SVG comes as text where base64 belongs.
row-10-reasoning || Reasoning under `reasoning`.
row-10-reasoning-content || Reasoning under `reasoning_content`.
row-10-reasoning-details || Reasoning under `reasoning_details`.
row-11-error-number || An error object at the top with a number as code and `finish_reason:"error"`.
row-11-error-string || An error object at the top with a word as code.
row-12-usage-empty-choices || Usage with `choices:[]` in the last chunk.
row-12-usage-empty-delta || Usage beside an empty delta in the last chunk.
row-12-cost-details || Cost only in `cost_details`.
row-12-absent-after-abort || The provider ends the connection in mid-answer and sends no usage.
video-relative-polling-url | videos | The polling URL is relative.
video-states | videos | The job goes through pending and in_progress to completed.
video-unknown-state | videos | A state that nobody has heard of counts as pending.
video-never-ends | videos | The job is pending for ever: a deadline ends it.
video-failed | videos | The job fails with an error.
video-cancelled | videos | The provider cancels the job.
video-expired | videos | The job expires.
video-poll-refused-for-a-moment | videos | A poll is answered by 503, the next one works.
video-unsigned-own-origin | videos | `unsigned_urls` at the gateway's origin: the key is needed.
video-unsigned-other-origin | videos | `unsigned_urls` at another origin: the key must not be sent there.
video-signed-urls | videos | Signed `urls` that die at `expires_at`.
video-no-url | videos | A finished job without any URL: the film is at the job's own content address.
stream-comments || Comment lines before and between events.
stream-generation-id || A header names the generation; no event does.
stream-pcm16 || PCM16 as streamed gpt-audio sends it: 24 kHz mono, to be wrapped as WAV.
finish-length || `finish_reason` length with its native reason.
finish-content-filter || `finish_reason` content_filter before anything was said.
finish-tool-calls || `finish_reason` tool_calls with a native reason.
error-retry-after || HTTP 429 with `Retry-After` in seconds.
error-retry-after-date || HTTP 503 with `Retry-After` as a date.
error-retry-after-in-body || HTTP 429 whose wait is only in `error.metadata.headers`.
framing-large-line || A `data:` line of 30 MB (or as `size` says) in arbitrary fragments.
framing-split-utf8 || Fragments split within UTF-8 characters.
framing-split-crlf || Fragments split between CR and LF.
framing-no-space || `data:` without a space.
framing-multi-line-data || One event of several `data:` lines.
framing-comments-between || Comments between the lines of an event.
framing-bom || A byte order mark at the start.
framing-no-final-newline || The end of the file without newline or `[DONE]`.
framing-no-done || The end without `[DONE]`, after a finish reason.
framing-json-body || A JSON body in place of events.
framing-charset || `text/event-stream; charset=utf-8`.
framing-drop-mid-line || The socket drops within the line of a picture.
order-text-image-text || Text, a delta with nothing but a picture, text.
order-image-with-finish-reason || A picture in the chunk that carries the finish reason.
order-image-after-stop || A picture after `stop`.
order-error-after-text || An error after text.
order-error-empty-choices || An error with `choices:[]`.
order-no-choices || A chunk without `choices`.
order-delta-null || `delta:null`.
order-content-null || `content:null`.
order-finish-every-chunk || A finish reason on every chunk.
image-twice || The same picture in two deltas.
image-same-pixels || The same pixels in two deltas, encoded differently: the receiver compares.
image-interim-then-final || An interim picture, then the final one: the receiver decides.
image-two-of-index-0 || Two pictures, both of `index:0`.
image-no-index || A picture without `index`.
image-declared-png-is-jpeg || Declared PNG, in truth JPEG: both are kept.
image-svg-in-b64-json | images | An SVG as text in `b64_json` of a stream.
image-tokens-without-image || Image tokens are billed and no picture came.
image-https-without-name || An https address whose end names no type.
base64-padded-pieces || Pieces of a sound padded one by one.
base64-rest-carried || Pieces of a sound cut at lengths that are no multiple of 4.
base64-url-safe || The URL-safe alphabet.
base64-no-padding || Padding is missing.
base64-percent || Padding as `%3D`.
base64-newlines || Newlines within the base64.
base64-spaces || Spaces that were `+`.
base64-l16-parameters || `data:audio/L16;codec=pcm;rate=16000;base64,` with parameters.
base64-no-media-type || `data:;base64,`.
base64-capitals || `BASE64` in capitals.
base64-nested-data-url | images | A data URL within `b64_json`.
base64-broken || What is no base64 at all is refused, and the answer goes on.
audio-format-ignored || MP3 came, whatever was asked for.
audio-repeated-wav-headers || Each piece of the sound is a WAV with its own header.
audio-odd-byte || Pieces of PCM16 cut within a sample, and half a sample at the end.
audio-transcript-only || Deltas with nothing but the transcript.
audio-expires-only || A delta with nothing but `expires_at`.
resource-32-images || 32 pictures of 20 MB each (or as `size` says).
resource-endless-line || A line without end.
resource-slow-consumer || 64 pieces of 256 KiB (or as `size` says) as fast as the reader takes them.
resource-client-gone || Stalls within a picture until the client leaves.
stall-before-first-byte || Nothing comes, not even headers.
stall-mid-answer || Silence after some text.
rec-error-field || The failure on a field named `error:`, then the end.
rec-error-event-bare || `event: error` with an object that has no id, model or choices.
rec-error-after-length || An error object beside `finish_reason:null`, after two chunks with length, with usage.
rec-no-finish-reason || A whole stream without any finish reason.
rec-truncated || Neither finish reason nor `[DONE]`.
rec-finish-twice || The finish reason comes again beside usage.
rec-finish-absent || The key `finish_reason` is absent in every chunk but the last.
rec-tool-arguments-cut || `tool_calls` as finish reason while the arguments are cut in mid-string.
rec-no-blank-line || The last event without its blank line.
rec-usage-every-chunk || Usage in every chunk: the last one counts.
rec-usage-in-choice || Usage within the choice.
rec-usage-vendor-field || Usage only in a vendor's field.
rec-usage-then-more || More data after the usage.
rec-usage-odd-sums || Sums of the usage that do not add up.
rec-cost-string || The cost is a string.
rec-cost-object || The cost is an object.
rec-cost-ticks || The cost is counted in ticks.
rec-http-error-object || HTTP 400 whose error is an object.
rec-http-error-string || HTTP 400 whose error is a bare string.
rec-http-error-detail || HTTP 422 with `detail`.
rec-http-error-code-beside || HTTP 404 with a code beside a string.
rec-reset-seconds || The time of a reset in seconds.
rec-reset-milliseconds || The time of a reset in milliseconds.
rec-message-cumulative || `message` beside `delta` holds all so far.
rec-message-piece || `message` beside `delta` holds the same piece.
rec-message-only || `message` in every chunk and never a delta.
rec-content-alternates || Content alternates between string and list.
rec-thinking-parts || A list with `thinking` beside text: a list is no medium by itself.
rec-refusal || `delta.refusal` streams while content is empty.
rec-inline-think || `<think>` within the text, split over deltas.
rec-reasoning-two-names || The same thought under two names at once.
rec-reasoning-encrypted || Reasoning that is only encrypted.
rec-choices-interleave || Several choices interleave.
rec-new-ids || A new id in every chunk.
rec-no-ids || No id in any chunk.
rec-chunks-without-choices || Three chunks in four of a stream with sound have no choices.
rec-sandbox-link || Text that links to a sandbox path is text.
rec-base64-in-url || Text with an address that holds `base64/` is text.
rec-tool-call-index-1 || Tool calls begin at index 1, arguments null, the id repeated.
rec-surrogates-cut || A character cut into its two surrogates between deltas.
rec-audio-id-twice || The id of a sound twice, then never.
rec-audio-19200 || Pieces of 19,200 bytes, the transcript ahead of the sound.
rec-audio-ogg-unnamed || Ogg, named nowhere.
rec-audio-mp3-unnamed || MP3, named nowhere.
rec-speech-events | speech | `speech.audio.delta` and `.done` with CRLF and padded pieces.
rec-transcript-events | speech | `transcript.text.delta` and `.done` with CRLF.
speech-raw-body | speech | The sound itself in place of events.
speech-raw-samples | speech | Raw samples in place of events, their type in the header.
rec-code-interpreter-image | responses | A picture as data URL in the outputs of the code interpreter.
rec-result-repeated | responses | A result repeats in `output_item.done` and `response.completed`.
rec-generating-never-completes | responses | A picture ends as generating: its preview is no result.
rec-result-few-bytes | responses | A result of a few bytes of text is refused.
rec-image-media-type-item | images | `media_type` at each picture.
rec-image-output-format-top | images | `output_format` at the top.
rec-image-url-mime-type | images | `url` with `mime_type`.
rec-video-completed | videos | The job ends as completed, the URL under `video.url`.
rec-video-done | videos | The job ends as done, the URL under `urls`.
rec-video-succeeded | videos | The job ends as succeeded, the URL under `unsigned_urls`.
rec-video-202 | videos | 202 while pending, and a finished job without any state.
rec-video-request-id | videos | The first answer holds only `request_id`.
"""


def _read(line: str) -> Case:
    case_id, endpoint, meaning = (part.strip() for part in line.split("|", 2))
    known: dict[str, Endpoint] = {name: name for name in MODELS}
    return Case(id=case_id, endpoint=known[endpoint or "chat"], meaning=meaning)


CASES: dict[str, Case] = {case.id: case for case in map(_read, _TABLE.strip().splitlines())}
