"""The frames of one response → OpenAI's chat completion, whole or in chunks. Pure."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from polylogue.api.openai.errors import error_body, failure
from polylogue.schemas import frames

_FINISH = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}
CUT = "The server is stopping; the answer goes on, and the same Idempotency-Key gets all of it."


class Completion:
    """What is common to both forms: which frames count, what they add to the message, and how it ends."""

    def __init__(self, response_id: str, model: str, created: int, *, include_usage: bool = False) -> None:
        self.over = False
        self.error: tuple[str, bool] | None = None  # message, and whether asking again may help
        self._response_id, self._model, self._created = response_id, model, created
        self._include_usage = include_usage
        self._done: frames.DoneFrame | None = None
        self._pictures = 0

    def delta(self, frame: frames.Frame) -> dict[str, Any] | None:
        """What a frame adds to the message; sees to it that the end is known."""
        if isinstance(frame, frames.CompleteFrame):
            self.over = self._done is not None
            return None
        if isinstance(frame, frames.GapFrame):
            self.error, self.over = (CUT, True), True
            return None
        if not isinstance(frame, frames.ResponseFrame) or frame.response_id != self._response_id:
            return None
        match frame:
            case frames.ChunkFrame():
                return {"content": frame.content}
            case frames.ReasoningFrame():
                return {"reasoning": frame.content}
            case frames.MediaFrame() if frame.media_type == "image":
                self._pictures += 1
                picture = {"type": "image_url", "image_url": {"url": frame.url}, "index": self._pictures - 1}
                return {"images": [picture | {"media_id": frame.media_id}]}
            case frames.MediaFrame():
                return {"media": [_stored(frame)]}
            case frames.MediaFailedFrame():
                return {"media": [_failed(frame)]}
            case frames.DoneFrame():
                self._done = frame
                if frame.error:
                    self.error = (frame.message or "The model could not answer.", bool(frame.retryable))
        return None

    @property
    def finish_reason(self) -> str:
        return _FINISH.get(self._done.finish_reason if self._done else "", "stop")

    @property
    def usage(self) -> dict[str, Any]:
        done = self._done
        told = (done.usage if done else None) or frames.FrameUsage()
        prompt, completion = told.prompt_tokens or 0, told.completion_tokens or 0
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": told.total_tokens or prompt + completion,
            "prompt_tokens_details": {"cached_tokens": told.cached_tokens or 0},
            "completion_tokens_details": {
                "reasoning_tokens": told.reasoning_tokens or 0,
                "audio_tokens": told.audio_tokens or 0,
                "image_tokens": told.image_tokens or 0,
            },
        }
        return usage if done is None or done.cost_usd is None else usage | {"cost": done.cost_usd}

    def head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._response_id}",
            "object": kind,
            "created": self._created,
            "model": self._model,
        }


class Chunks(Completion):
    """The stream: role first, then what comes as it comes, the reason of the end once every medium has its outcome."""

    _said = False

    @property
    def refusal(self) -> Response | None:
        return failure(*self.error) if self.error and self.over and not self._said else None

    def begin(self) -> list[dict[str, Any]]:
        return []

    def take(self, frame: frames.Frame) -> list[dict[str, Any]]:
        delta = self.delta(frame)
        made = [] if delta is None else [*self._role(), self._chunk(delta)]
        return made + self._end() if self.over else made

    def cut(self) -> list[dict[str, Any]]:
        self.error, self.over = self.error or (CUT, True), True
        return self._end()

    def _end(self) -> list[dict[str, Any]]:
        if self.error is not None:
            message, again = self.error
            return [error_body(503 if again else 502, message, "model_failed")]
        made = [*self._role(), self._chunk({}, self.finish_reason)]
        if self._include_usage:
            made.append(self.head("chat.completion.chunk") | {"choices": [], "usage": self.usage})
        return made

    def _role(self) -> list[dict[str, Any]]:
        if self._said:
            return []
        self._said = True
        return [self._chunk({"role": "assistant", "content": ""})]

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        made = self.head("chat.completion.chunk") | {"choices": [choice]}
        return made | {"usage": None} if self._include_usage else made


class Whole(Completion):
    """The answer that comes at once."""

    def __init__(self, response_id: str, model: str, created: int) -> None:
        super().__init__(response_id, model, created)
        self._text: dict[str, list[str]] = {"content": [], "reasoning": []}
        self._lists: dict[str, list[Any]] = {"images": [], "media": []}

    def take(self, frame: frames.Frame) -> None:
        for name, value in (self.delta(frame) or {}).items():
            if name in self._text:
                self._text[name].append(value)
            else:
                self._lists[name] += value

    @property
    def refusal(self) -> Response | None:
        """What came before a failure is in the conversation; a status cannot carry it."""
        if self.over:
            return failure(*self.error) if self.error else None
        return failure(CUT, again=True)

    def body(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self._text["content"]),
            "refusal": None,
        }
        if self._text["reasoning"]:
            message["reasoning"] = "".join(self._text["reasoning"])
        message |= {name: value for name, value in self._lists.items() if value}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return self.head("chat.completion") | {"choices": [choice], "usage": self.usage}


def _stored(frame: frames.MediaFrame) -> dict[str, Any]:
    return {
        "media_id": frame.media_id,
        "type": frame.media_type,
        "status": "stored",
        "url": frame.url,
        "content_type": frame.content_type,
        "size_bytes": frame.size_bytes,
    }


def _failed(frame: frames.MediaFailedFrame) -> dict[str, Any]:
    return {
        "media_id": frame.media_id,
        "type": frame.media_type,
        "status": "failed",
        "reason": frame.reason,
        "message": frame.message,
    }
