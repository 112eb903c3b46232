"""What a model is told of a conversation's past: every prompt, one reply of each model to it, and the pictures of both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from polylogue.api.attachments import Attachments
from polylogue.api.errors import ApiError
from polylogue.media.keys import history_key
from polylogue.schemas.codec import command_codec
from polylogue.schemas.commands import HistoryMessage, StartTurn
from polylogue.schemas.envelope import Command
from polylogue.schemas.events import Attachment

MOST_INLINE_BYTES = 512 * 1024
MOST_COMMAND_BYTES = 768 * 1024  # prompt and inline history, as encoded
MOST_HISTORY_BYTES = 32 * 1024 * 1024  # several times what any model can read


def history_of(turns: Iterable[Mapping[str, Any]], before: str | None = None) -> tuple[HistoryMessage, ...]:
    """The messages of the finished turns in their order, up to the turn `before`."""
    return tuple(_messages(turns, before))


def pictures_of(message: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """The pictures that a user sent with a message, or that a model made in it and that are stored."""
    if message["role"] == "user":
        return tuple(msgspec.convert(one, Attachment) for one in message["attachments"] or ())
    return tuple(
        Attachment(
            key=one["key"],
            content_type=one["content_type"],
            size_bytes=one["size_bytes"],
            sha256=one["sha256"],
        )
        for one in message["media_urls"] or ()
        if one.get("status") == "stored" and one.get("type") == "image" and one.get("key")
    )


async def fitted(command: Command, attachments: Attachments) -> tuple[Command, tuple[str, ...]]:
    """The command with its history inline, or, where that is too long, in an object; and the keys of what was stored.

    Raises ApiError 413, StorageUnavailableError.
    """
    start = command.data
    if not isinstance(start, StartTurn) or not start.history:
        return _checked(command), ()
    history = msgspec.json.encode(start.history)
    if len(history) <= MOST_INLINE_BYTES and len(command_codec.encode(command)) <= MOST_COMMAND_BYTES:
        return command, ()
    if len(history) > MOST_HISTORY_BYTES:
        most = MOST_HISTORY_BYTES // 1024**2
        raise ApiError(413, "history_too_large", f"The history is larger than {most} MB.")
    key = history_key(command.owner_id, command.turn_id, start.round)
    short = msgspec.structs.replace(start, history=(), history_key=key)
    command = _checked(msgspec.structs.replace(command, data=short))
    stored = Attachment(
        key=key,
        content_type="application/json",
        size_bytes=len(history),
        sha256=hashlib.sha256(history).hexdigest(),
    )
    await attachments.put(stored, history)
    return command, (key,)


def _checked(command: Command) -> Command:
    if len(command_codec.encode(command)) > MOST_COMMAND_BYTES:
        most = MOST_COMMAND_BYTES // 1024
        raise ApiError(
            413, "prompt_too_large", f"The prompt and all that goes with it is larger than {most} KiB."
        )
    return command


def _messages(turns: Iterable[Mapping[str, Any]], before: str | None) -> Iterator[HistoryMessage]:
    for turn in turns:
        if turn["turn_id"] == before:
            return
        if not turn["finished"]:
            continue
        chosen: dict[str, Mapping[str, Any]] = {}
        for message in turn["messages"]:
            if message["role"] == "user":
                yield HistoryMessage(
                    role="user", content=message["content"], attachments=pictures_of(message)
                )
            elif message["content"] or pictures_of(message):
                known = chosen.get(message["model_id"])
                # A later answer of the same model stands for an earlier one, unless it was cut off and that was not.
                if known is None or message["status"] == "completed" or known["status"] != "completed":
                    chosen[message["model_id"]] = message
        for model, message in chosen.items():
            yield HistoryMessage(
                role="assistant",
                content=message["content"],
                model=model,
                attachments=pictures_of(message),
            )
