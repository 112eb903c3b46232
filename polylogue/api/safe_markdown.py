"""A model's Markdown → HTML that can do nothing: no markup of its own, no address but the web's, no picture from elsewhere. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from html import escape

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

MOST_CHARACTERS = 200_000  # longer ones are shown as they are: parsing takes a second for each million
_ADDRESS = re.compile(r"(https?://|mailto:)[^\s]", re.IGNORECASE)
_ALIGNED = re.compile(r"text-align:(left|center|right)")


def html_of(text: str) -> str:
    if len(text) > MOST_CHARACTERS:
        return f"<pre>{escape(text)}</pre>\n"
    parser = _parser()
    env: dict[str, object] = {}
    tokens = parser.parse(text, env)
    for token in tokens:
        _without_style(token)
    rendered: str = parser.renderer.render(tokens, parser.options, env)
    return rendered


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: _ADDRESS.match(url) is not None  # type: ignore[method-assign]  # its own way
    parser.add_render_rule("image", _picture)
    parser.add_render_rule("link_open", _link)
    return parser


def _picture(
    renderer: RendererHTML, tokens: Sequence[Token], position: int, options: OptionsDict, env: EnvType
) -> str:
    """A link: a picture of another server would tell it who reads this, and when."""
    token = tokens[position]
    label = renderer.renderInlineAsText(token.children or [], options, env) or "picture"
    if sum(one.nesting for one in tokens[:position] if one.type.startswith("link_")):
        return escape(label)  # within a link already
    return f'<a href="{escape(str(token.attrGet("src")))}" rel="noopener noreferrer nofollow">{escape(label)}</a>'


def _link(
    renderer: RendererHTML, tokens: Sequence[Token], position: int, options: OptionsDict, env: EnvType
) -> str:
    tokens[position].attrSet("rel", "noopener noreferrer nofollow")
    return renderer.renderToken(tokens, position, options, env)


def _without_style(token: Token) -> None:
    """A column's alignment as a class: the page allows no style in attributes."""
    found = _ALIGNED.fullmatch(str(token.attrs.pop("style", "")))
    if found is not None:
        token.attrSet("class", found[1])
