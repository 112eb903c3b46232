"""Server-sent events from bytes in any fragments: no transport, linear in time, one copy of a long line at most."""

from __future__ import annotations

import sys

import msgspec

from polylogue.streams.gateway.lifted import Lifted
from polylogue.streams.gateway.line_ahead import Arriving, Lifting

MIB = 1024 * 1024

# A longer line gives its buffer away instead of being copied out of it.
OWN_BUFFER_BYTES = 64 * 1024
SMALL_BYTES = (
    2 * OWN_BUFFER_BYTES
)  # what is taken as a whole: copying it costs nothing that could be measured

_BOM = b"\xef\xbb\xbf"
_LF = 0x0A
_NONE = sys.maxsize  # where the next line end is when there is none
_LONGEST_FIELD_NAME = 16  # no field that means something has a longer name


class ProtocolError(Exception):
    """What came is not what the protocol allows."""


class LineTooLongError(ProtocolError):
    """A line of the stream is longer than allowed."""


class EventTooLongError(ProtocolError):
    """An event of the stream is longer than allowed."""


class SseEvent(msgspec.Struct, frozen=True):
    data: bytes | bytearray
    name: str = ""
    cut: bool = False  # the input ended before the blank line: the last line may be incomplete
    lifted: Lifted | None = None  # what was taken out of `data`, where `lift` was called

    def __repr__(self) -> str:  # payloads must not reach a log through a traceback
        return f"SseEvent({self.name!r}, {len(self.data)} bytes)"


class SseParser:
    """`feed` whatever arrives; `end` at a clean end of input.

    Beyond the standard: an event without its blank line is delivered by `end`, and the value of a field named
    `error`, which some gateways send in place of `data`, becomes an event named `error`. When a cap is exceeded
    the events before it are returned first, then every call raises. `lift` changes what is held, and nothing else: the
    events are the same, each beside what was taken out of it, and every cap counts what came.
    """

    def __init__(self, *, max_line_bytes: int = 144 * MIB, max_event_bytes: int = 144 * MIB) -> None:
        self._max_line = max_line_bytes
        self._max_event = max_event_bytes
        self._buffer = bytearray()  # the line that has not ended yet
        self._lifting: Lifting | None = None  # out of that line
        self._after_cr = False
        self._first_line = True
        self._data: list[bytes | bytearray] = []
        self._data_size = 0
        self._lifted: Lifted | None = None  # out of the only line of the data
        self._error: list[bytes | bytearray] = []
        self._name = ""
        self._refused: ProtocolError | None = None
        self.comments = 0
        self.bytes_scanned = 0  # the work done in search of line ends; a small multiple of the input

    def feed(self, data: bytes) -> list[SseEvent]:
        if self._refused is not None:
            raise self._refused
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == _LF:  # CRLF, split between two pieces
                data = data[1:]
        events: list[SseEvent] = []
        try:
            self._split(self._take_whole_events(data, events), events)
        except ProtocolError as error:
            self._refused = error
            self._buffer, self._lifting = bytearray(), None
            if not events:
                raise
        return events

    def end(self) -> list[SseEvent]:
        """The input has ended cleanly: what is left is a line, and the event is complete without its blank line."""
        if self._refused is not None:
            raise self._refused
        events: list[SseEvent] = []
        line, self._buffer = self._buffer, bytearray()
        lifting, self._lifting = self._lifting, None
        if line:
            self._take(line, events, lifting.lifted if lifting else None)
        self._dispatch(events, cut=True)
        return events

    def lift(self) -> Arriving | None:
        """Takes the medium that arrives out of the line that has not ended yet, where that is long, and decodes it: what
        has come of it since the last call."""
        if self._lifting is None:
            if len(self._buffer) < OWN_BUFFER_BYTES:
                return None
            self._lifting = Lifting()
        return self._lifting.lift(self._buffer)

    @property
    def held(self) -> int:
        """Bytes of what is not an event yet."""
        lifted = self._lifting.lifted if self._lifting else None
        return len(self._buffer) + self._data_size + (lifted.size_bytes if lifted else 0)

    def _find(self, end_mark: bytes, start: int) -> int:
        found = self._buffer.find(end_mark, start)
        self.bytes_scanned += (len(self._buffer) if found < 0 else found) - start
        return _NONE if found < 0 else found

    def _take_whole_events(self, data: bytes, events: list[SseEvent]) -> bytes:
        """Takes what nearly all of a stream is, whole events of one `data` line ended by LF, in a few passes over all of
        them; returns what is left for `_split`. Three times as fast as line by line (measured by `bench parser`)."""
        if self._data or self._error or self._name or self._first_line or self._lifting:
            return data
        if len(self._buffer) + len(data) > min(SMALL_BYTES, self._max_line, self._max_event):
            return data
        end = data.rfind(b"\n\n")
        if end < 0 or b"\r" in data:
            return data
        self.bytes_scanned += 3 * len(data)
        whole = bytes(self._buffer) + data[:end]
        self._buffer.clear()
        for block in whole.split(b"\n\n"):
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(SseEvent(block[6:]))
            else:
                for line in block.split(b"\n"):
                    self._take(line, events)
                self._dispatch(events, cut=False)
        return data[end + 2 :]

    def _split(self, data: bytes, events: list[SseEvent]) -> None:
        start = 0  # of the present line
        lifted = self._lifting.lifted if self._lifting else None  # out of it
        scanned = len(self._buffer)
        self._buffer += data
        # Each is searched for again only when it has been passed, so the work stays linear whatever ends the lines.
        lf = self._find(b"\n", scanned)
        cr = self._find(b"\r", scanned)
        while (end := min(lf, cr)) != _NONE:
            is_cr = end == cr
            after = end + 1
            if is_cr:
                if after == len(self._buffer):
                    self._after_cr = True
                elif self._buffer[after] == _LF:
                    after += 1
            size = end - start
            if lifted is not None:
                size += lifted.missing
            if size > self._max_line:
                raise LineTooLongError
            if size >= OWN_BUFFER_BYTES and len(self._buffer) - after <= size:
                # Copying the short rest is cheaper than copying the long line.
                line, self._buffer = self._buffer, self._buffer[after:]
                del line[end:]
                del line[:start]
                lf = lf if lf == _NONE else lf - after
                cr = cr if cr == _NONE else cr - after
                after = 0
                self._take(line, events, lifted)
            elif size >= OWN_BUFFER_BYTES:
                with memoryview(self._buffer) as view:
                    long_line = bytes(view[start:end])
                self._take(long_line, events, lifted)
            else:
                self._take(bytes(self._buffer[start:end]), events, lifted)
            start, lifted, self._lifting = after, None, None
            lf = lf if lf >= start else self._find(b"\n", start)
            cr = cr if cr >= start else self._find(b"\r", start)
        if start:
            del self._buffer[:start]
        if len(self._buffer) + (lifted.missing if lifted else 0) > self._max_line:
            raise LineTooLongError

    def _take(self, line: bytes | bytearray, events: list[SseEvent], lifted: Lifted | None = None) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events, cut=False)
            return
        colon = line.find(b":", 0, _LONGEST_FIELD_NAME)
        if colon == 0:
            self.comments += 1
            return
        if colon < 0:
            if len(line) >= _LONGEST_FIELD_NAME:
                return
            field, value = bytes(line), b""
        else:
            field = bytes(line[:colon])
            skip = colon + 2 if line[colon + 1 : colon + 2] == b" " else colon + 1
            if isinstance(line, bytearray):
                del line[:skip]  # moves a pointer, not the bytes
                value = line  # type: ignore[assignment]  # a line of either kind
            else:
                value = line[skip:]
        if lifted is not None and (field != b"data" or self._data):
            value, lifted = lifted.restored(value), None
        if field == b"data" or field == b"error":  # noqa: PLR1714  # no tuple to build in the hottest line
            self._data_size += len(value) + 1
            if lifted is not None:
                self._data_size += lifted.missing
            if self._data_size > self._max_event:
                raise EventTooLongError
            if field == b"data":
                if self._lifted is not None:
                    self._data[0] = self._lifted.restored(self._data[0])
                self._lifted = lifted
            (self._data if field == b"data" else self._error).append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")

    def _dispatch(self, events: list[SseEvent], *, cut: bool) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(SseEvent(data, self._name, cut, self._lifted))
            self._data, self._lifted = [], None
        if self._error:
            error = self._error[0] if len(self._error) == 1 else b"\n".join(self._error)
            events.append(SseEvent(error, "error", cut))
            self._error = []
        self._data_size = 0
        self._name = ""
