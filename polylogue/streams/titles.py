"""Names a conversation: after its first prompt at once, and better by a model where a setting names one."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing

from polylogue.infra.logs import get_logger
from polylogue.infra.settings import Settings
from polylogue.infra.topics import COMMANDS, topic_name
from polylogue.schemas.clock import now_ms, rfc3339
from polylogue.schemas.codec import command_codec
from polylogue.schemas.commands import RenameConversation
from polylogue.schemas.envelope import Command
from polylogue.streams.gateway.client import Gateway
from polylogue.streams.gateway.events import Finished, TextDelta
from polylogue.streams.gateway.request import ChatRequest, Message
from polylogue.streams.replaceable_producer import ProducerUnusableError, ReplaceableProducer

LONGEST_TITLE = 80  # characters
PROMPT_CHARACTERS = 2000  # of the prompt that the naming model is shown
ANSWER_WITHIN_S = 20.0
_INSTRUCTION = (
    "Name this conversation in at most six words, in the language of the message. Answer with the name only."
)

_log = get_logger(__name__)


def title_of(prompt: str) -> str:
    """The first line of the prompt, cut at a word where it is long."""
    line = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    if len(line) <= LONGEST_TITLE:
        return line
    return line[:LONGEST_TITLE].rsplit(" ", 1)[0] + "…"


class Titles:
    """Asks the naming model beside the turn. A better name is a convenience: nothing waits for it, nothing fails by it."""

    def __init__(self, settings: Settings, gateway: Gateway, producer: ReplaceableProducer) -> None:
        self._model = settings.title_model
        self._topic = topic_name(settings, COMMANDS)
        self._gateway = gateway
        self._producer = producer
        self._tasks: set[asyncio.Task[None]] = set()

    def improve(self, started: Command, prompt: str, partition: int) -> None:
        """Renames the conversation in the background. The name comes back as a command, so that it takes its place in
        the order of commands."""
        if self._model is None:
            return
        task = asyncio.create_task(self._improve(self._model, started, prompt, partition))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _improve(self, model: str, started: Command, prompt: str, partition: int) -> None:
        title = await self._ask(model, prompt)
        if not title:
            return
        command = Command(
            command_id=f"{started.command_id}-title-{uuid.uuid4().hex[:8]}",
            conversation_id=started.conversation_id,
            turn_id="",
            owner_id=started.owner_id,
            issued_at=rfc3339(),
            first_sent_at_ms=now_ms(),
            traceparent=started.traceparent,
            data=RenameConversation(title=title),
        )
        try:
            await self._producer.send(
                self._topic,
                command_codec.encode(command),
                key=started.conversation_id.encode(),
                partition=partition,
            )
        except ProducerUnusableError as error:
            _log.warning("title_not_sent", error=type(error).__name__)

    async def _ask(self, model: str, prompt: str) -> str | None:
        question = ChatRequest(
            model=model,
            messages=(Message("system", _INSTRUCTION), Message("user", prompt[:PROMPT_CHARACTERS])),
            max_tokens=40,
        )
        pieces: list[str] = []
        finished = False
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), aclosing(self._gateway.stream(question)) as stream:
                async for events in stream:
                    pieces += [event.text for event in events if isinstance(event, TextDelta)]
                    finished = finished or any(isinstance(event, Finished) for event in events)
        except TimeoutError:
            return None
        return title_of("".join(pieces).strip().strip("\"'“”„«»").replace("\x00", "")) if finished else None
