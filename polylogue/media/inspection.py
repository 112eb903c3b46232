"""Says what a file is and whether it is whole: its kind by its first bytes, its frame by its structure, its content by
decoding it.

Polyglots are accepted as what they are first and foremost, where that decodes wholly: a picture with a zip behind its
end, or a GIF whose header reads as a script, is a picture. Its type comes from the allow-list, never from the sender,
so no browser takes it for anything else, and what is shown in its place is encoded anew, without the stowaway. What
has only the signature of a picture is refused.
"""

from __future__ import annotations

from typing import BinaryIO

from polylogue.media.inspect_picture import inspected_picture
from polylogue.media.inspect_stream import inspected_stream
from polylogue.media.provenance import carries_provenance
from polylogue.media.sniff import HEAD_BYTES, sniff
from polylogue.media.structure import is_cut_off
from polylogue.media.verdicts import Accepted, Limits, Refused


def inspected(file: BinaryIO, limits: Limits) -> Accepted | Refused:
    """Raises whatever a decoder raises."""
    head = file.read(HEAD_BYTES)
    if not head:
        return Refused(reason="empty", message="The file holds no bytes.")
    kind = sniff(head)
    if kind is None:
        return Refused(
            reason="unsupported_type", message="The bytes are no supported picture, sound or film."
        )
    if is_cut_off(file, kind.format):
        return Refused(reason="truncated", message="The file ends too early; a part of it is missing.")
    provenance = carries_provenance(file, kind.format)
    if kind.media_type == "image":
        return inspected_picture(file, kind, limits, provenance=provenance)
    return inspected_stream(file, kind, limits, provenance=provenance)
