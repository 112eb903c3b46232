"""Compares the bucket with the log: objects that nothing refers to, media that have no object; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from polylogue.media.bucket_contents import MEDIA, HalfDoneUpload, StoredObject
from polylogue.media.keys import PRIVATE, medium_of
from polylogue.streams.sweeper_facts import LogFacts, MediumFact

Kind = Literal["orphan", "leftover", "missing", "upload"]

HISTORIES = f"{PRIVATE}history/"
DAY_MS = 24 * 3600 * 1000
# A medium that was stored while the bucket was being listed has its object all the same.
LISTED_WITHIN_MS = 60_000


@dataclass(frozen=True)
class Finding:
    """`missing` alone cannot be mended: the medium is shown, and its bytes are gone."""

    kind: Kind
    key: str
    why: str
    size_bytes: int = 0
    since_ms: int = 0
    media_id: str | None = None
    upload_id: str | None = None

    @property
    def mendable(self) -> bool:
        return self.kind != "missing"


@dataclass(frozen=True)
class Ages:
    """How old something must be to be judged, in ms."""

    orphan_ms: int = DAY_MS
    remove_after_ms: int = 900_000
    upload_ms: int = 7_200_000
    lifecycle_ms: int = 90 * DAY_MS


def audit(
    objects: Iterable[StoredObject],
    uploads: Iterable[HalfDoneUpload],
    facts: LogFacts,
    *,
    listed_ms: int,
    ages: Ages,
) -> list[Finding]:
    """`objects` are all below `media/` and `private/` as of `listed_ms`; `facts` are of the log as it was later."""
    findings: list[Finding] = []
    there: set[str] = set()
    for one in objects:
        there.add(one.key)
        found = _judged(one, facts, listed_ms, ages)
        if found is not None:
            findings.append(found)
    findings += [
        Finding("upload", one.key, "nobody has completed it", since_ms=one.begun_ms, upload_id=one.upload_id)
        for one in uploads
        if one.begun_ms < listed_ms - ages.upload_ms
    ]
    return findings + list(_missing(facts, there, listed_ms, ages))


def _judged(one: StoredObject, facts: LogFacts, listed_ms: int, ages: Ages) -> Finding | None:
    old = one.modified_ms < listed_ms - ages.orphan_ms
    if not one.key.startswith(MEDIA):
        return _judged_private(one, facts, listed_ms, ages)
    named = medium_of(one.key)
    if named is None:
        return _finding("orphan", one, "no key of ours") if old else None
    medium = facts.media.get(named.media_id)
    if named.conversation_id in facts.deleted:
        return _leftover(one, medium, "its conversation is deleted", listed_ms, ages)
    if medium is None:
        return _finding("orphan", one, "no event speaks of it") if old else None
    if medium.phase is None or medium.phase in ("refused", "generating"):
        return _finding("orphan", one, "no reader was ever shown it") if old else None
    if medium.phase in ("stored", "produced"):
        return None
    return _leftover(one, medium, f"the medium is {medium.phase}", listed_ms, ages)


def _leftover(
    one: StoredObject, medium: MediumFact | None, why: str, listed_ms: int, ages: Ages
) -> Finding | None:
    """What the sweeper removes by itself is left to it for as long as it waits."""
    since_ms = max(one.modified_ms, medium.since_ms if medium else 0)
    return _finding("leftover", one, why) if since_ms < listed_ms - ages.remove_after_ms else None


def _judged_private(one: StoredObject, facts: LogFacts, listed_ms: int, ages: Ages) -> Finding | None:
    if one.key.startswith(HISTORIES):
        turn_id = one.key.rpartition("/")[2].rpartition("-")[0]
        users = {facts.turns[turn_id]} if turn_id in facts.turns else set()
        known, why = users or one.key in facts.histories, "no turn was asked with this history"
    else:
        users = facts.pictures.get(one.key, set())
        known, why = users, "no prompt has this picture"
    if not known:
        return _finding("orphan", one, why) if one.modified_ms < listed_ms - ages.orphan_ms else None
    if users and users <= facts.deleted:
        return _leftover(one, None, "its conversation is deleted", listed_ms, ages)
    return None


def _missing(facts: LogFacts, there: set[str], listed_ms: int, ages: Ages) -> Iterator[Finding]:
    for media_id, medium in facts.media.items():
        if (
            medium.phase == "stored"
            and medium.key is not None
            and medium.key not in there
            and medium.conversation_id not in facts.deleted
            # What is as old as that is removed by the bucket's rule, and expires about then.
            and listed_ms - ages.lifecycle_ms < medium.since_ms < listed_ms - LISTED_WITHIN_MS
        ):
            yield Finding(
                "missing",
                medium.key,
                "it is shown as stored and has no object",
                since_ms=medium.since_ms,
                media_id=media_id,
            )


def _finding(kind: Kind, one: StoredObject, why: str) -> Finding:
    named = medium_of(one.key)
    return Finding(kind, one.key, why, one.size_bytes, one.modified_ms, named.media_id if named else None)
