"""The model gateway adapters: from a question to a stream of typed events.

Pure, bytes to events:

- `sse`                `SseParser.feed(bytes) -> list[SseEvent]`, `.end()`; raises `LineTooLongError` or `EventTooLongError`
- `framing`            `Framing.feed(bytes) -> list[Frame]`, `.end()`: SSE, or the JSON that came in its place
- `line_ahead`, `lifted`: media are taken out of a line, decoded, while it arrives; `Framing.lift()`
- `large_json`         JSON whose long strings stay bytes
- `adapter`            what every adapter is: `feed(frame) -> list[GatewayEvent]`, `.end()`, `.fail(error)`, `.ended`
- `chat_completions`, `responses`, `image_endpoint`, `speech`: one adapter each; `typed_events` is common to the last three
- `video_job`          `read_job(document) -> JobView`: films are jobs, not streams
- `answer`             what an adapter gathers: text (`surrogates`, `thinking`, `text_media`), media once, one end
- `events`             what the adapters emit

Asking:

- `protocols`          which protocol a model is spoken to in, as the list of models says
- `questions`          path, body and adapter of each protocol
- `retries`            what is asked once more before the first event
- `transport`          HTTP, and what its failures mean
- `client`             `Gateway.stream(request)`, `.resume_job(...)`, `.models()`, `.close()`

An adapter for another protocol is another file beside these, a line in `protocols` and one in `questions`.
"""
