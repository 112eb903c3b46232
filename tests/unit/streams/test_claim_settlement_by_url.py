"""Which outcome a claim ends in, case by case, where the provider gave a link in place of bytes."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from polylogue.media.fetch import FetchInterruptedError, TooLargeError, UnfetchableError
from polylogue.media.store import AlreadyThere, Conflict, ObjectHead
from polylogue.schemas.claims import RemoteSource
from polylogue.schemas.events import MediaStored
from tests.support.settlement import CLAIM, OTHER, PNG, SHA256, Fetcher, Store, settle

URL = "https://provider.test/film?signature=abc"
REMOTE = msgspec.structs.replace(CLAIM, segments=None, remote=RemoteSource(url=URL, needs_key=True), retry=3)


async def test_a_medium_given_by_url_is_stored_as_what_came() -> None:
    store, fetcher = Store(), Fetcher()
    done = await settle(REMOTE, store, fetcher=fetcher)
    assert isinstance(done, MediaStored)
    assert (done.sha256, done.size_bytes, done.width, done.retry) == (SHA256, len(PNG), 40, 3)
    ((key, upload),) = store.uploads
    assert (key, upload.sha256, upload.content_type) == (CLAIM.key, SHA256, "image/png")
    assert fetcher.asked == [(URL, True)]


async def test_an_object_already_there_is_the_medium_and_nothing_is_fetched() -> None:
    there = ObjectHead(len(OTHER), "image/png", hashlib.sha256(OTHER).hexdigest())
    store, fetcher = Store(there=there, content=OTHER), Fetcher()
    done = await settle(REMOTE, store, fetcher=fetcher)
    assert isinstance(done, MediaStored)
    assert (done.sha256, done.size_bytes, done.format) == (there.sha256, len(OTHER), "png")
    assert (store.uploads, fetcher.asked) == ([], [])


async def test_other_bytes_that_another_attempt_stored_meanwhile_are_the_medium() -> None:
    there = ObjectHead(len(OTHER), "image/png", hashlib.sha256(OTHER).hexdigest())
    first = await settle(REMOTE, Store(result=Conflict(there), content=OTHER))
    assert isinstance(first, MediaStored)
    assert (first.sha256, first.size_bytes) == (there.sha256, len(OTHER))
    equal = await settle(REMOTE, Store(result=AlreadyThere(ObjectHead(len(PNG), "image/png", SHA256))))
    assert isinstance(equal, MediaStored)
    assert equal.sha256 == SHA256


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (UnfetchableError("The address of the file is not a public one."), "MediaFailed", "fetch_failed"),
        (TooLargeError(), "MediaRejected", "too_large"),
        (b"", "MediaRejected", "empty"),
        (b"<svg/>", "MediaRejected", "unsupported_type"),
        (ZeroDivisionError(), "MediaFailed", "internal"),
    ],
)
async def test_what_no_second_attempt_could_mend_ends_at_once(
    answer: bytes | Exception, outcome: str, reason: str
) -> None:
    store, fetcher = Store(), Fetcher([answer])
    done = await settle(REMOTE, store, fetcher=fetcher)
    assert (type(done).__name__, done.reason, done.retry) == (outcome, reason, 3)
    assert done.message.endswith(".")
    assert URL not in done.message
    assert (store.uploads, len(fetcher.asked)) == ([], 1)


async def test_a_failure_that_may_pass_is_tried_again_until_the_deadline() -> None:
    interrupted = FetchInterruptedError("the server answered 503", retry_after_s=0.01)
    fetcher = Fetcher([interrupted, FetchInterruptedError("the transfer failed"), PNG])
    assert isinstance(await settle(REMOTE, fetcher=fetcher), MediaStored)
    assert len(fetcher.asked) == 3
    late = Fetcher([interrupted])
    assert (await settle(REMOTE, fetcher=late, age_s=10_000)).reason == "fetch_failed"
    assert len(late.asked) == 1


async def test_an_object_that_is_none_of_ours_is_not_adopted() -> None:
    assert (await settle(REMOTE, Store(there=ObjectHead(5, "image/png", None)))).reason == "internal"


def test_a_url_is_not_shown_where_its_claim_is() -> None:
    assert "provider.test" not in repr(REMOTE)
