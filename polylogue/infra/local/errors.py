"""What the local stack says when it cannot go on."""

from __future__ import annotations


class LocalStackError(Exception):
    """The local stack cannot do what was asked; the message is one sentence for the person at the terminal."""
