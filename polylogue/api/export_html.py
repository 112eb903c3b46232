"""A conversation as one HTML page without any script, readable without a server. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape

from polylogue.api.export_contents import Answer, Export, Medium, Turn, told_of
from polylogue.api.safe_markdown import html_of

_STYLE = """
:root{color-scheme:light dark;--line:#8886;--soft:#8881}
body{margin:0 auto;max-width:60rem;padding:1.5rem;font:1rem/1.6 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem}h2{font-size:1.1rem;margin:0 0 .5rem}
.turn{border-top:1px solid var(--line);margin-top:2rem;padding-top:1rem}
.prompt,pre,code{background:var(--soft);border-radius:.4rem}.prompt{padding:.1rem 1rem}
article{border:1px solid var(--line);border-radius:.5rem;margin:1rem 0;padding:1rem}
pre{overflow:auto;padding:.75rem;white-space:pre-wrap}code{padding:.1rem .25rem}pre code{padding:0;background:none}
img,video{display:block;height:auto;max-width:100%}audio{width:100%}figure{margin:1rem 0}
figcaption,.note{font-size:.875rem;opacity:.8}table{border-collapse:collapse}
td,th{border:1px solid var(--line);padding:.25rem .5rem}
.left{text-align:left}.center{text-align:center}.right{text-align:right}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def html(export: Export, media_sources: Iterable[str]) -> Iterator[str]:
    """In pieces, a turn at a time. `media_sources`: what the page's own policy lets pictures, sound and film come from."""
    sources = " ".join(media_sources) or "'none'"
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src {sources}; media-src {sources}; "
        "base-uri 'none'; form-action 'none'"
    )
    at = export.exported_at.strftime("%Y-%m-%d %H:%M UTC")
    models = ", ".join(escape(one) for one in export.models) or "none"
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f"<title>{escape(export.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n<h1 dir="auto">{escape(export.title)}</h1>\n'
        f'<p class="note">Exported from Polylogue on {at}. Models: {models}. {escape(export.note)}</p>\n</header>\n'
        "<main>\n"
    )
    for turn in export.turns:
        yield from _turn(turn)
    yield "</main>\n</body>\n</html>\n"


def _turn(turn: Turn) -> Iterator[str]:
    yield '<section class="turn">\n'
    if turn.told["gone"]:
        yield f'<p class="note">{escape(turn.told["notice"])}</p>\n</section>\n'
        return
    if turn.told["system"]:
        yield f"<details><summary>System prompt</summary>{_verbatim(turn.told['system'])}</details>\n"
    yield f'<h2>Prompt</h2>\n<div class="prompt" dir="auto">{_verbatim(turn.told["prompt"])}</div>\n'
    yield from (_medium(one, "Attached picture") for one in turn.pictures)
    for answer in turn.answers:
        yield from _answer(answer)
    yield "</section>\n"


def _answer(answer: Answer) -> Iterator[str]:
    yield f"<article>\n<h2>Response from {escape(answer.model)}</h2>\n"
    if answer.reasoning:
        yield f"<details><summary>Reasoning</summary>{_verbatim(answer.reasoning)}</details>\n"
    if answer.content:
        yield f'<div dir="auto">\n{html_of(answer.content)}</div>\n'
    if answer.outcome:
        yield f'<p class="note">{escape(answer.outcome)}</p>\n'
    yield from (_medium(one, f"Made by {answer.model}") for one in answer.media)
    yield "</article>\n"


def _medium(medium: Medium, label: str) -> str:
    href = medium.place.href
    if href is None:
        return (
            f'<p class="note">{escape(medium.kind.capitalize())}: {escape(medium.place.missing or "")}</p>\n'
        )
    source = escape(href)
    match medium.kind:
        case "audio":
            shown = f'<audio controls preload="none" src="{source}"></audio>'
        case "video":
            shown = f'<video controls preload="metadata" src="{source}"></video>'
        case _:
            shown = f'<a href="{source}"><img loading="lazy" src="{source}" alt="{escape(label)}"{_size(medium)}></a>'
    told = ", ".join([label, *told_of(medium).values()])
    return f'<figure>{shown}<figcaption>{escape(told)} · <a href="{source}">open</a></figcaption></figure>\n'


def _size(medium: Medium) -> str:
    width, height = medium.about.get("width"), medium.about.get("height")
    return f' width="{int(width)}" height="{int(height)}"' if width and height else ""


def _verbatim(text: str) -> str:
    return f'<pre dir="auto">{escape(text)}</pre>'
