"""Pictures that come as data URLs. Pure."""

from __future__ import annotations

import re

from polylogue.api.requests import AttachedImage

_FORM = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,", re.ASCII | re.IGNORECASE)


def picture_of(url: str) -> AttachedImage | None:
    """None where it is no data URL in base64. What is in it is checked where all attachments are."""
    found = _FORM.match(url)
    if found is None:
        return None
    return AttachedImage.model_construct(mime_type=found[1], base64_data=url[found.end() :])
