"""`polylogue media audit`: objects that nothing refers to and media without objects, shown and, if asked, mended."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from polylogue.cli.problems import Problem
from polylogue.cli.servers_here import settings_here

if TYPE_CHECKING:
    from polylogue.infra.settings import Settings
    from polylogue.media.bucket_contents import BucketContents
    from polylogue.streams.sweeper_audit import Finding
    from polylogue.streams.sweeper_facts import LogFacts

HOUR_MS = 3_600_000
FOUND = 1  # exit code: something is wrong and stays so


def audit(
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Remove what nothing refers to.")] = False,
    older_than_h: Annotated[
        float, typer.Option(help="Age in hours of an object that no event speaks of.", min=0)
    ] = 24,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON list.")] = False,
) -> None:
    """Compare the bucket with the whole log; exit code 1 if something was found and not mended.

    Reads every event, which takes some seconds a million. What the sweeper removes by itself counts only when it is
    late.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from polylogue.media.faults import code_of

    settings = settings_here()
    try:
        findings, mended = asyncio.run(examine(settings, older_than_ms=int(older_than_h * HOUR_MS), fix=fix))
    except (BotoCoreError, ClientError) as error:
        reason = code_of(error) if isinstance(error, ClientError) else type(error).__name__
        raise Problem(
            f"The bucket {settings.s3_media_bucket} cannot be looked through ({reason}); are S3_ENDPOINT_URL, "
            "S3_MEDIA_BUCKET and the keys right?"
        ) from None
    if as_json:
        print(json.dumps([_plain(one, one in mended) for one in findings], indent=2))
    else:
        print("\n".join(table(findings, mended)))
    if len(mended) < len(findings):
        raise typer.Exit(FOUND)


async def examine(
    settings: Settings, *, older_than_ms: int, fix: bool
) -> tuple[list[Finding], frozenset[Finding]]:
    """The findings, and those of them that were mended. Raises KafkaError and botocore's errors."""
    from polylogue.media.bucket_contents import BucketContents

    contents = BucketContents.from_settings(settings)
    try:
        findings = await _findings(settings, contents, older_than_ms)
        mended: list[Finding] = []
        if fix and any(one.mendable for one in findings):
            # Once more right before: what has failed may have been tried again meanwhile.
            still = await _findings(settings, contents, older_than_ms)
            for one in findings:
                if one.mendable and one in still:
                    await asyncio.to_thread(_mend, contents, one)
                    mended.append(one)
        return findings, frozenset(mended)
    finally:
        contents.close()


async def _findings(settings: Settings, contents: BucketContents, older_than_ms: int) -> list[Finding]:
    from polylogue.media.bucket_contents import MEDIA
    from polylogue.media.keys import PRIVATE
    from polylogue.schemas.clock import now_ms
    from polylogue.streams import sweeper_audit
    from polylogue.streams.sweeper_facts import gather

    listed_ms = now_ms()
    objects = await asyncio.to_thread(
        lambda: [one for prefix in (MEDIA, PRIVATE) for one in contents.objects(prefix)]
    )
    uploads = await asyncio.to_thread(lambda: list(contents.half_done_uploads()))
    facts: LogFacts = await gather(settings)
    ages = sweeper_audit.Ages(
        orphan_ms=older_than_ms,
        remove_after_ms=int(settings.media_remove_after_s * 1000),
        upload_ms=int(settings.media_upload_abort_after_s * 1000),
        lifecycle_ms=settings.media_lifecycle_days * 24 * HOUR_MS,
    )
    found = sweeper_audit.audit(objects, uploads, facts, listed_ms=listed_ms, ages=ages)
    return [
        one for one in found if one.kind != "missing" or not await asyncio.to_thread(contents.has, one.key)
    ]


def _mend(contents: BucketContents, one: Finding) -> None:
    from polylogue.media.bucket_contents import HalfDoneUpload

    if one.upload_id is not None:
        contents.abort(HalfDoneUpload(one.key, one.upload_id, one.since_ms))
    else:
        contents.remove(one.key)


def table(findings: Sequence[Finding], mended: frozenset[Finding]) -> list[str]:
    """What a person reads."""
    from polylogue.schemas.clock import rfc3339

    if not findings:
        return ["Bucket and log agree."]
    rows = [("finding", "since", "bytes", "key", "why")]
    rows += [
        (
            f"{one.kind} (removed)" if one in mended else one.kind,
            rfc3339(one.since_ms)[:19].replace("T", " "),
            str(one.size_bytes),
            one.key,
            one.why,
        )
        for one in findings
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]])
        for row in rows
    ]
    left = len(findings) - len(mended)
    lines += ["", f"{len(findings)} found, {len(mended)} removed, {left} left."]
    return lines


def _plain(one: Finding, mended: bool) -> dict[str, object]:
    return dataclasses.asdict(one) | {"mended": mended}
