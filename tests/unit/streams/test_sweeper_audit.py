"""What an audit finds in a bucket, and what it leaves in peace."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polylogue.media.bucket_contents import HalfDoneUpload, StoredObject
from polylogue.media.keys import history_key, object_key, rendition_key
from polylogue.schemas import events
from polylogue.schemas.base import MediaType, Payload
from polylogue.schemas.envelope import Event
from polylogue.schemas.events import Attachment
from polylogue.streams.sweeper_audit import DAY_MS, Ages, Finding, audit
from polylogue.streams.sweeper_facts import LogFacts, MediumFact, PartitionFacts
from polylogue.streams.sweeper_objects import prefixes
from polylogue.streams.sweeper_plan import RemoveObjects
from tests.support.script import AT_MS
from tests.support.turns import CONVERSATION, script

NOW_MS = AT_MS + 10 * DAY_MS
KEY = f"media/image/{CONVERSATION}/sim%2Fpainter/20260101_m.png"
PICTURE = Attachment(key="private/local/t/1.png", content_type="image/png", size_bytes=1, sha256="0" * 64)


def facts_of(log: list[Event], at_ms: int = AT_MS) -> LogFacts:
    facts = LogFacts()
    reduced = PartitionFacts(facts)
    for offset, event in enumerate(log):
        reduced.take(event, offset, at_ms)
    return facts


def found(facts: LogFacts, *keys: str, modified_ms: int = AT_MS, now_ms: int = NOW_MS) -> list[Finding]:
    objects = [StoredObject(key, 1, modified_ms) for key in keys]
    return audit(objects, [], facts, listed_ms=now_ms, ages=Ages())


def history(*outcomes: Payload, stored: bool = True) -> list[Event]:
    made = script(models=1)
    response_id = made.start.responses[0].response_id
    log = [*made.opening(), made.produced(response_id, "m")]
    if stored:
        log.append(made.stored(response_id, "m"))
    log += [made._event("x", one, response_id=response_id) for one in outcomes]
    return log


def kinds(findings: list[Finding]) -> list[str]:
    return [one.kind for one in findings]


def test_a_stored_medium_with_its_object_and_renditions_is_as_it_should_be() -> None:
    assert found(facts_of(history()), KEY, rendition_key(KEY, "webp"), rendition_key(KEY, "thumbnail")) == []


def test_a_stored_medium_without_its_object_is_missing_and_cannot_be_mended() -> None:
    [missing] = found(facts_of(history()))
    assert (missing.kind, missing.key, missing.mendable) == ("missing", KEY, False)
    assert found(facts_of(history(), NOW_MS - 1000)) == []  # stored while the bucket was listed
    assert found(facts_of(history()), now_ms=AT_MS + 91 * DAY_MS) == []  # the bucket's rule took it


@pytest.mark.parametrize(
    "outcome",
    [
        events.MediaDeleted(media_id="m", media_type="image"),
        events.MediaExpired(media_id="m", media_type="image"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_is_left_of_a_medium_that_is_gone_is_found_once_the_sweeper_is_late(outcome: Payload) -> None:
    facts = facts_of(history(outcome))
    assert kinds(found(facts, KEY)) == ["leftover"]
    assert found(facts, KEY, now_ms=AT_MS + 899_000) == []
    # A straggler has put it there a moment ago: the sweeper's turn first.
    assert found(facts, KEY, modified_ms=NOW_MS - 1000) == []


def test_what_is_left_of_a_deleted_conversation_is_found() -> None:
    made = script(models=1)
    deleted = msgspec.structs.replace(made._event("d", events.ConversationDeleted()), command_offset=99)
    assert kinds(found(facts_of([*history(), deleted]), KEY)) == ["leftover"]
    assert found(facts_of([*history(), deleted])) == []  # and nothing of it is missing


def test_a_pending_medium_keeps_its_object() -> None:
    assert found(facts_of(history(stored=False)), KEY) == []


def test_objects_without_any_event_are_orphans_after_a_day() -> None:
    strange = ("media/image/c/m/20260101_unknown.png", "media/notes.txt", "private/local/t/9.png")
    assert kinds(found(LogFacts(), *strange)) == ["orphan"] * 3
    assert found(LogFacts(), *strange, modified_ms=NOW_MS - DAY_MS) == []


def test_a_medium_of_a_writer_that_had_lost_its_partition_is_an_orphan() -> None:
    made = script(models=1)
    response_id = made.start.responses[0].response_id
    end = made.said(response_id, events.ResponseCompleted(finish_reason="stop"))
    late = made.produced(response_id, "m")
    assert kinds(found(facts_of([*made.opening(), end, late]), KEY)) == ["orphan"]


def test_pictures_and_histories_of_known_turns_stay() -> None:
    made = script(models=1)
    opened = list(made.opening())
    prompt = next(one for one in opened if isinstance(one.data, events.PromptSubmitted))
    data = msgspec.structs.replace(prompt.data, attachments=(PICTURE,))
    opened[opened.index(prompt)] = msgspec.structs.replace(prompt, data=data)
    kept = (PICTURE.key, history_key("local", made.command.turn_id, 1))
    assert found(facts_of(opened), *kept) == []
    assert found(LogFacts(pictures={PICTURE.key: {CONVERSATION}}, histories={kept[1]}), *kept) == []
    assert kinds(found(LogFacts(), *kept)) == ["orphan"] * 2
    deleted = msgspec.structs.replace(made._event("d", events.ConversationDeleted()), command_offset=99)
    facts = facts_of([*opened, deleted])
    assert kinds(found(facts, *kept)) == ["leftover"] * 2
    facts.pictures[PICTURE.key].add("another conversation that uses it")
    assert kinds(found(facts, *kept)) == ["leftover"]


def test_only_old_uploads_are_found() -> None:
    uploads = [
        HalfDoneUpload("media/a", "1", NOW_MS - 7_200_001),
        HalfDoneUpload("media/b", "2", NOW_MS - 60_000),
    ]
    [one] = audit([], uploads, LogFacts(), listed_ms=NOW_MS, ages=Ages())
    assert (one.kind, one.upload_id) == ("upload", "1")


names = st.text(min_size=1, max_size=8)
ids = st.from_regex(r"[0-9a-f]{8,32}", fullmatch=True)


@given(st.sampled_from(["image", "audio", "video"]), names, names, ids)
def test_the_objects_of_a_medium_are_found_with_and_without_its_key(
    media_type: MediaType, conversation_id: str, model: str, media_id: str
) -> None:
    key = object_key(media_type, conversation_id, model, "20260101", media_id, "png")
    for one in (key, rendition_key(key, "webp")):
        for given_key, folders in ((key, 1), (None, 3)):
            found = prefixes(RemoveObjects(conversation_id, media_id, 0, given_key))
            assert len(found) == folders
            assert len([prefix for prefix in found if one.startswith(prefix)]) == 1


def test_the_prefix_of_one_medium_is_not_that_of_another() -> None:
    [prefix] = prefixes(RemoveObjects(CONVERSATION, "m", 0, KEY))
    assert not KEY.replace("_m.", "_mm.").startswith(prefix)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["stored", "failed", "deleted", "produced"]))
)
def test_what_a_reader_is_shown_is_never_mendable(phases) -> None:  # type: ignore[no-untyped-def]
    facts = LogFacts(
        media={name: MediumFact(CONVERSATION, phase, AT_MS, None) for name, phase in phases.items()}
    )
    keys = [f"media/image/{CONVERSATION}/m/20260101_{name}.png" for name in "abcdef"]
    wrong = {one.media_id for one in found(facts, *keys) if one.mendable}
    assert wrong == {name for name in "abcdef" if phases.get(name) not in ("stored", "produced")}
