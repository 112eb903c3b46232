"""The frames of one response → parts of the AI SDK's UI message stream. Pure."""

from __future__ import annotations

from typing import Any, Literal

from starlette.responses import Response

from polylogue.schemas import frames

Part = dict[str, Any]
_FINISH = {"stop": "stop", "length": "length", "max_tokens": "length", "content_filter": "content-filter"}
CUT = "The stream was cut off; the answer goes on, and resuming shows all of it."
UNABLE = "The model could not answer."


class MessageParts:
    """One message: `start`, then text, reasoning and media as they come, then how it ended, then `finish`.

    A failure is told last, since clients stop reading at it, and media of a failed answer are kept.
    """

    refusal: Response | None = None

    def __init__(self, response_id: str, *, conversation_id: str, turn_id: str, model: str | None) -> None:
        self.over = False
        self._response_id = response_id
        self._about: Part = {"conversation_id": conversation_id, "turn_id": turn_id}
        if model is not None:
            self._about["model"] = model
        self._open: tuple[Literal["text", "reasoning"], str] | None = None
        self._opened = 0
        self._media: dict[str, Part] = {}
        self._done: frames.DoneFrame | None = None

    def begin(self) -> list[Part]:
        start = {"type": "start", "messageId": self._response_id, "messageMetadata": dict(self._about)}
        return [start, {"type": "start-step"}]

    def take(self, frame: frames.Frame) -> list[Part]:
        if self.over:
            return []
        if isinstance(frame, frames.GapFrame):
            return self.cut()
        if isinstance(frame, frames.CompleteFrame):
            return self._end() if self._done is not None else []
        if getattr(frame, "response_id", None) != self._response_id:
            return []
        if isinstance(frame, frames.ResponseFrame):
            self._about["model"] = frame.model
        match frame:
            case frames.StartFrame(attempt=attempt) if attempt > 1 and (self._opened or self._media):
                self._open = None
                self._media.clear()
                return [{"type": "reset-step"}]
            case frames.ChunkFrame():
                return self._said("text", frame.content)
            case frames.ReasoningFrame():
                return self._said("reasoning", frame.content)
            case frames.NoteFrame():
                note = {"code": frame.code, "message": frame.message}
                return [{"type": "data-note", "id": frame.id, "data": note}]
            case frames.DoneFrame():
                self._done = frame
                return self._closed()
        return self._medium(frame)

    def cut(self) -> list[Part]:
        return [] if self.over else self._end(failure=CUT)

    def _said(self, kind: Literal["text", "reasoning"], delta: str) -> list[Part]:
        made: list[Part] = []
        if self._open is None or self._open[0] != kind:
            made = self._closed()
            self._opened += 1
            self._open = (kind, f"{kind}-{self._opened}")
            made.append({"type": f"{kind}-start", "id": self._open[1]})
        return [*made, {"type": f"{kind}-delta", "id": self._open[1], "delta": delta}]

    def _closed(self) -> list[Part]:
        if self._open is None:
            return []
        kind, name = self._open
        self._open = None
        return [{"type": f"{kind}-end", "id": name}]

    def _medium(self, frame: frames.Frame) -> list[Part]:
        match frame:
            case frames.MediaPendingFrame():
                # Its status in this protocol is what the tables say: either it is being made or it has no outcome yet.
                status = "generating" if frame.phase == "generating" else "uploading"
                if status == self._media.get(frame.media_id, {}).get("status"):
                    return []
                return self._told(frame, {"status": status} | _size(frame))
            case frames.MediaFrame():
                told = {"status": "stored", "url": frame.url, "content_type": frame.content_type}
                known = self._media.get(frame.media_id, {})
                data = self._told(
                    frame,
                    told | _size(frame) | ({"duration_ms": frame.duration_ms} if frame.duration_ms else {}),
                )
                if known.get("status") == "stored":
                    return data
                return [*data, _file(frame)]
            case frames.MediaFailedFrame():
                return self._told(
                    frame, {"status": "failed", "reason": frame.reason, "message": frame.message}
                )
            case frames.MediaDeletedFrame() | frames.MediaExpiredFrame():
                status = "deleted" if isinstance(frame, frames.MediaDeletedFrame) else "expired"
                return self._told(frame, {"status": status, "reason": frame.reason})
        return []

    def _told(self, frame: Any, data: Part) -> list[Part]:
        """The medium as it stands now; the same id stands for the same part of the message."""
        known = self._media.get(frame.media_id)
        made = self._closed() if known is None else []
        fixed = {"media_id": frame.media_id}
        media_type = getattr(frame, "media_type", None) or (known or {}).get("media_type")
        if media_type is not None:
            fixed["media_type"] = media_type
        whole = fixed | {name: value for name, value in data.items() if value is not None}
        self._media[frame.media_id] = whole
        return [*made, {"type": "data-media", "id": frame.media_id, "data": whole}]

    def _end(self, failure: str | None = None) -> list[Part]:
        self.over = True
        made = self._closed()
        done = self._done
        if done is not None and done.error and failure is None:
            failure = done.message or UNABLE
        reason = "error" if failure is not None else "other"
        if failure is not None:
            made.append({"type": "error", "errorText": failure})
        elif done is not None and done.finish_reason == "cancelled":
            made.append({"type": "abort", "reason": done.message or "The answer was stopped."})
            reason = "interrupted"
        elif done is not None:
            reason = _FINISH.get(done.finish_reason, "other")
        made.append({"type": "finish-step"})
        return [
            *made,
            {"type": "finish", "finishReason": reason, "messageMetadata": self._about | _cost(done)},
        ]


def _size(frame: frames.MediaPendingFrame | frames.MediaFrame) -> Part:
    return {
        "format": frame.format,
        "width": frame.width,
        "height": frame.height,
        "size_bytes": frame.size_bytes,
    }


def _file(frame: frames.MediaFrame) -> Part:
    """The URL opens for a while; the path of the content does so as long as the medium is kept."""
    lasting = {"media_id": frame.media_id, "content_path": f"/api/media/{frame.media_id}/content"}
    return {
        "type": "file",
        "url": frame.url,
        "mediaType": frame.content_type,
        "providerMetadata": {"polylogue": lasting},
    }


def _cost(done: frames.DoneFrame | None) -> Part:
    if done is None:
        return {}
    usage = done.usage
    told: Part = {"finish_reason": done.finish_reason}
    if usage is not None:
        told["usage"] = {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        }
    if done.cost_usd is not None:
        told["cost_usd"] = done.cost_usd
    return told
