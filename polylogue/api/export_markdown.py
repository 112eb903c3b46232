"""A conversation as Markdown: prompts, answers as the models wrote them, pictures embedded, sound and film linked. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from polylogue.api.export_contents import Answer, Export, Medium, Turn, one_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_WORDS = {"image": "Image", "audio": "Audio", "video": "Video"}
_LINKS = {"audio": "Listen to audio", "video": "Watch video"}


def markdown(export: Export) -> Iterator[str]:
    """In pieces, a turn at a time."""
    models = ", ".join(escaped(one) for one in export.models) or "none"
    at = export.exported_at.strftime("%Y-%m-%d %H:%M UTC")
    yield f"# {escaped(export.title)}\n\n"
    yield f"Exported from Polylogue on {at}. Models: {models}.\n\n{escaped(export.note)}\n"
    for turn in export.turns:
        yield "\n---\n"
        yield from _turn(turn)


def _turn(turn: Turn) -> Iterator[str]:
    if turn.told["gone"]:
        yield f"\n*{escaped(turn.told['notice'])}*\n"
        return
    if turn.told["system"]:
        yield f"\n## System prompt\n\n{closed(turn.told['system'])}\n"
    yield f"\n## Prompt\n\n{closed(turn.told['prompt'])}\n"
    yield from _media(turn.pictures, "Attached:", "Attached picture")
    for answer in turn.answers:
        yield from _answer(answer)


def _answer(answer: Answer) -> Iterator[str]:
    yield f"\n## Response from {escaped(one_line(answer.model))}\n"
    if answer.reasoning:
        quoted = "\n".join(f"> {line}".rstrip() for line in closed(answer.reasoning).splitlines())
        yield f"\n> **Reasoning**\n>\n{quoted}\n"
    if answer.content:
        yield f"\n{closed(answer.content)}\n"
    if answer.outcome:
        yield f"\n*{escaped(answer.outcome)}*\n"
    yield from _media(answer.media, "Media:", "Generated image")


def _media(media: tuple[Medium, ...], head: str, alt: str) -> Iterator[str]:
    if not media:
        return
    yield f"\n**{head}**\n\n"
    for medium in media:
        word = _WORDS.get(medium.kind, "File")
        if medium.place.href is None:
            yield f"- {word}: *{escaped(medium.place.missing or '')}*\n"
        elif medium.kind == "image":
            yield f"- {word}: ![{alt}]({target(medium.place.href)})\n"
        else:
            yield f"- {word}: [{_LINKS.get(medium.kind, 'Open file')}]({target(medium.place.href)})\n"


def escaped(text: str) -> str:
    """As text of one line that means nothing else in Markdown."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def target(href: str) -> str:
    """An address within the brackets of a link."""
    return href.replace("(", "%28").replace(")", "%29").replace(" ", "%20").replace("<", "%3C")


def closed(text: str) -> str:
    """The text as it is, with a code block closed where it was cut off within one, so that it swallows nothing."""
    open_: str | None = None
    for line in text.splitlines():
        found = _FENCE.match(line)
        if found is None:
            continue
        mark, rest = found.groups()
        if open_ is None:
            if not (mark[0] == "`" and "`" in rest):
                open_ = mark
        elif mark[0] == open_[0] and len(mark) >= len(open_) and not rest.strip():
            open_ = None
    return text if open_ is None else text.rstrip("\n") + f"\n{open_}"
