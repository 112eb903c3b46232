"""The model gateway adapter: from a chat request to a stream of typed events.

Layers, each pure but the last, one file each:

- `sse`                `SseParser.feed(bytes) -> list[SseEvent]`, `.end()`; raises `LineTooLongError` or `EventTooLongError`
- `framing`            `Framing.feed(bytes) -> list[Frame]`, `.end()`: SSE, or the JSON that came in its place
- `large_json`         JSON whose long strings stay bytes
- `chat_completions`   `ChatCompletions.feed(frame) -> list[GatewayEvent]`, `.end()`, `.fail(error)`, `.ended`
- `events`             what the adapters emit
- `request`            `ChatRequest`, `Message`
- `client`             `Gateway.stream(request)`, `Gateway.models()`, `Gateway.close()`

An adapter for another protocol is another file beside `chat_completions` with the same four members.
"""
