"""A new version beside the one that is read: built, caught up, promoted, rolled back, pruned, and verified throughout."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from polylogue.infra.postgres import connection_string
from polylogue.infra.settings import Settings
from polylogue.projections import operations
from polylogue.projections.catalogue import PROJECTIONS
from polylogue.projections.operations import OperationRefusedError
from polylogue.projections.rebuilding import Progress
from tests.support.events import Story, interleave, produce_events, produce_raw, sample_story
from tests.support.projections import MessagesV2, MessagesV3
from tests.support.tables import PARTITIONS, caught_up, id_on, projector, query, until

pytestmark = pytest.mark.stack

NAME = "conversation_messages"
BOTH = (*PROJECTIONS, MessagesV2())


async def rebuilt(settings: Settings, *, workers: int = 0, **options: object) -> Progress:
    """In this process unless told otherwise; returns the last that was said."""
    last = None
    async for progress in operations.rebuild(
        settings,
        NAME,
        projection=MessagesV2(),
        workers=workers,
        **options,  # type: ignore[arg-type]
    ):
        last = progress
    assert last is not None
    return last


def states(settings: Settings) -> dict[int, str]:
    rows = query(settings, "SELECT version, state FROM projection_versions WHERE projection = %s", NAME)
    return {row["version"]: row["state"] for row in rows}


def messages(settings: Settings, version: int) -> list[tuple[object, ...]]:
    schema = f"{settings.database_schema}__{NAME}_v{version}"
    with psycopg.connect(connection_string(settings)) as connection:
        return connection.execute(
            "SELECT message_id, content, status, media_urls::text"  # type: ignore[arg-type]
            f" FROM {schema}.conversation_messages ORDER BY message_id"
        ).fetchall()


async def test_the_new_version_is_built_promoted_rolled_back_and_pruned_while_live_goes_on(
    prepared: Settings,
) -> None:
    stories = [sample_story() for _ in range(6)]
    events = interleave(*stories)
    third = len(events) // 3
    async with projector(prepared, BOTH):
        await produce_events(prepared, events[:third])
        await caught_up(prepared)

        last = await rebuilt(prepared, workers=2)
        assert last.done
        assert last.applied == last.total > 0
        assert states(prepared) == {1: "promoted", 2: "ready"}
        assert messages(prepared, 1) == messages(prepared, 2)

        await produce_events(prepared, events[third : 2 * third])
        swapped = await operations.promote(prepared, NAME, projection=MessagesV2())
        assert (swapped.promoted, swapped.retained) == (2, 1)
        assert states(prepared) == {1: "retained", 2: "promoted"}

        await produce_events(prepared, events[2 * third :])
        await operations.wait_for_lag(prepared, timeout_s=60)
        # The former version is kept current, so that going back loses nothing.
        swapped = await operations.rollback(prepared, NAME, timeout_s=60)
        assert (swapped.promoted, swapped.retained) == (1, 2)
        assert messages(prepared, 1) == messages(prepared, 2)
        for version, carried in ((1, None), (2, MessagesV2())):
            verified = await operations.verify(prepared, NAME, version=version, workers=0, projection=carried)
            assert verified.equal, verified.differences
            assert verified.rows["conversation_messages"] == len(messages(prepared, 1))

        assert await operations.prune(prepared, NAME) == [2]
        assert states(prepared) == {1: "promoted"}
        found = query(
            prepared, "SELECT FROM pg_namespace WHERE nspname = %s", f"{prepared.database_schema}__{NAME}_v2"
        )
        assert found == []
        # Whoever followed it writes nowhere else.
        more = sample_story()
        await produce_events(prepared, more.events)
        await operations.wait_for_lag(prepared, timeout_s=60)
        assert (await operations.verify(prepared, NAME, workers=0)).equal


async def test_a_version_of_other_columns_is_promoted_and_rolled_back_under_the_same_names(
    prepared: Settings,
) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    carried = MessagesV3()
    async with projector(prepared, (*PROJECTIONS, carried)):
        await caught_up(prepared)
        async for _ in operations.rebuild(prepared, NAME, projection=carried, workers=0):
            pass
        before = query(prepared, "SELECT message_id, position FROM conversation_messages ORDER BY message_id")

        await operations.promote(prepared, NAME, projection=carried)
        kind = query(prepared, "SELECT DISTINCT pg_typeof(position)::text AS kind FROM conversation_messages")
        assert kind == [{"kind": "bigint"}]
        assert (
            query(prepared, "SELECT message_id, position FROM conversation_messages ORDER BY message_id")
            == before
        )

        await operations.rollback(prepared, NAME)
        kind = query(prepared, "SELECT DISTINCT pg_typeof(position)::text AS kind FROM conversation_messages")
        assert kind == [{"kind": "integer"}]


async def test_what_is_not_as_far_as_what_readers_see_is_not_promoted(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(1)).events)
    # This projector does not carry the new version, so that nobody keeps it current.
    async with projector(prepared):
        await caught_up(prepared)
        await rebuilt(prepared)
        await produce_events(prepared, sample_story(id_on(1)).events)
        await caught_up(prepared)

        with pytest.raises(
            OperationRefusedError, match="partition 1 of conversation_messages v2 stands at offset"
        ):
            await operations.promote(prepared, NAME, projection=MessagesV2(), timeout_s=0.3)
    assert states(prepared) == {1: "promoted", 2: "ready"}


async def test_a_rebuild_can_stop_at_an_offset_and_goes_on_from_there(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)

    first = await rebuilt(prepared, until=20)
    assert first.next_offsets[0] == 20
    assert states(prepared) == {1: "promoted", 2: "building"}
    with pytest.raises(OperationRefusedError, match="is being built"):
        await operations.promote(prepared, NAME, projection=MessagesV2())

    last = await rebuilt(prepared)
    assert last.applied == last.total
    assert states(prepared)[2] == "ready"
    assert (await operations.verify(prepared, NAME, version=2, workers=0, projection=MessagesV2())).equal


async def test_indexes_for_readers_alone_are_made_when_the_tables_are_full(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    for until_offset, made in ((5, 0), (None, 1)):
        rebuild = operations.rebuild(prepared, NAME, projection=MessagesV3(), until=until_offset, workers=0)
        assert [progress async for progress in rebuild][-1].done
        found = query(
            prepared,
            "SELECT FROM pg_indexes WHERE schemaname = %s AND indexdef LIKE '%%(\"position\")'",
            f"{prepared.database_schema}__{NAME}_v3",
        )
        assert len(found) == made


async def test_a_rebuild_stops_where_live_stops_and_a_skip_holds_for_both_and_for_verify(
    prepared: Settings,
) -> None:
    story, after = Story(id_on(0)), Story(id_on(0))
    story.ask("Hello", "sim/text", start="Hello")
    after.ask("And again", "sim/text", start="Again")
    await produce_events(prepared, story.events)
    ((_, bad),) = await produce_raw(prepared, [(0, b"x", b"not json")])
    await produce_events(prepared, after.events)

    async with projector(prepared):
        await until(lambda: len(query(prepared, "SELECT FROM projection_stops")) == len(PROJECTIONS))
        (status,) = await operations.status(prepared, NAME, over_s=0)
        assert [(one.partition, one.stopped_at) for one in status.stopped] == [(0, bad)]
        with pytest.raises(operations.FillingStoppedError, match=f"Offset {bad} of partition 0"):
            await rebuilt(prepared)
        with pytest.raises(OperationRefusedError, match=f"stopped at offset {bad} of partition 0"):
            await operations.wait_for_lag(prepared, NAME, timeout_s=60)
        with pytest.raises(OperationRefusedError, match="has been applied"):
            await operations.skip(prepared, NAME, partition=0, offset=bad - 1, why="it is fine")

        # No rebalance, no restart: the running projector goes on.
        skip = await operations.skip(prepared, NAME, partition=0, offset=bad, why="written by hand")
        assert (skip.version, skip.partition, skip.offset, skip.why) == (None, 0, bad, "written by hand")
        await operations.wait_for_lag(prepared, NAME, timeout_s=60)
    last = await rebuilt(prepared)
    assert last.applied == last.total
    assert messages(prepared, 1) == messages(prepared, 2)
    assert (await operations.verify(prepared, NAME, workers=0)).equal


async def test_verify_names_the_rows_that_differ_and_no_content(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    async with projector(prepared):
        await caught_up(prepared)
    schema = f"{prepared.database_schema}__{NAME}_v1"
    with psycopg.connect(connection_string(prepared)) as connection:
        ids = [
            row[0]
            for row in connection.execute(f"SELECT message_id FROM {schema}.conversation_messages ORDER BY 1")  # type: ignore[arg-type]
        ]
        connection.execute(f"DELETE FROM {schema}.conversation_messages WHERE message_id = %s", [ids[0]])  # type: ignore[arg-type]
        connection.execute(
            f"UPDATE {schema}.conversation_messages SET content = 'forged' WHERE message_id = %s",
            [ids[1]],  # type: ignore[arg-type]
        )

    verified = await operations.verify(prepared, NAME, workers=0)

    assert not verified.equal
    assert [(one.key, one.what, one.columns) for one in verified.differences] == [
        ((ids[0],), "missing", ()),
        ((ids[1],), "different", ("content",)),
    ]
    assert "forged" not in repr(verified)
    assert (
        query(
            prepared, "SELECT FROM pg_namespace WHERE nspname LIKE %s", f"{prepared.database_schema}__check%"
        )
        == []
    )


async def comes_along(settings: Settings) -> bool:
    """Whether the tables follow one more story, in more time than the projector needs to hear of an order."""
    await produce_events(settings, sample_story(id_on(0)).events)
    await operations.wait_for_lag(settings, "conversations", timeout_s=60)
    try:
        await operations.wait_for_lag(settings, NAME, timeout_s=3)
    except OperationRefusedError:
        return False
    return True


async def test_a_paused_version_stands_still_and_goes_on_when_resumed(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    async with projector(prepared):
        await caught_up(prepared)
        assert await operations.pause(prepared, NAME) == [1]
        async with asyncio.timeout(60):  # the projector looks for orders twice a second
            while await comes_along(prepared):
                pass
        (status,) = await operations.status(prepared, NAME)
        assert status.paused
        assert status.lag_records > 0
        assert status.lag_s is not None
        assert status.lag_s > 0

        await operations.resume(prepared, NAME)
        await operations.wait_for_lag(prepared, NAME, timeout_s=60)
    assert (await operations.verify(prepared, NAME, workers=0)).equal


async def test_reset_lets_the_tables_be_built_from_the_log_that_is_there(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    async with projector(prepared):
        await caught_up(prepared)
        before = messages(prepared, 1)
        with psycopg.connect(connection_string(prepared)) as connection:
            connection.execute(
                "UPDATE projection_checkpoints SET next_offset = 100000 WHERE projection = %s", [NAME]
            )
        await operations.resume(prepared, NAME)
        stopped = "SELECT FROM projection_stops WHERE reason LIKE '%%projections reset%%'"
        await until(lambda: len(query(prepared, stopped)) == PARTITIONS)

        await operations.reset(prepared, NAME)
        await operations.wait_for_lag(prepared, NAME, timeout_s=60)
        assert messages(prepared, 1) == before
    assert (await operations.verify(prepared, NAME, workers=0)).equal


async def test_nothing_happens_in_a_dry_run(prepared: Settings) -> None:
    await produce_events(prepared, sample_story(id_on(0)).events)
    async with projector(prepared):
        await caught_up(prepared)
    await rebuilt(prepared)
    before = states(prepared), messages(prepared, 1), messages(prepared, 2)

    swapped = await operations.promote(prepared, NAME, projection=MessagesV2(), dry_run=True)
    assert swapped.promoted == 2
    assert await operations.prune(prepared, NAME, 2, dry_run=True) == [2]
    await operations.reset(prepared, NAME, dry_run=True)

    assert (states(prepared), messages(prepared, 1), messages(prepared, 2)) == before


async def test_what_cannot_be_done_is_refused_with_a_sentence(prepared: Settings) -> None:
    with pytest.raises(OperationRefusedError, match="There is no projection weather"):
        await operations.promote(prepared, "weather")
    with pytest.raises(OperationRefusedError, match="is promoted already"):
        await operations.promote(prepared, NAME)
    with pytest.raises(OperationRefusedError, match="no former version"):
        await operations.rollback(prepared, NAME)
    with pytest.raises(OperationRefusedError, match="is what readers see"):
        await operations.prune(prepared, NAME, 1)
    with pytest.raises(OperationRefusedError, match="raise the projection's version"):
        async for _ in operations.rebuild(prepared, NAME):
            pass
    assert await operations.prune(prepared, NAME) == []
