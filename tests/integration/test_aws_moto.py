"""`polylogue aws` against an AWS that forgets: whole, repeated, cut off anywhere, and with its policies enforced."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.authorization import enable_iam_authentication

from polylogue.infra.aws import system
from polylogue.infra.aws.access_key import PENDING
from polylogue.infra.aws.blueprint import Blueprint
from polylogue.infra.aws.bucket import is_empty
from polylogue.infra.aws.resource import Clients
from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings, load_settings
from polylogue.media.bucket import ensure_bucket
from polylogue.media.bucket_contents import BucketContents
from polylogue.media.reading import ObjectReader
from polylogue.media.store import AlreadyThere, ObjectStore, Stored, Upload
from tests.support.aws import MODES, Calls, CutError, aws, blueprint

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # moto's own

NOBODY = Config(signature_version=UNSIGNED)


class Shown(list[tuple[str, str]]):
    def __call__(self, key_id: str, secret: str) -> None:
        self.append((key_id, secret))


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    with aws(monkeypatch) as made:
        yield made


def end_state(clients: Clients, wanted: Blueprint) -> dict[str, Any]:
    """What is there, without the names that AWS gives by chance."""
    found = {one.name: one.read(clients, wanted) for one in system.resources()}
    text = json.dumps({name: one.document for name, one in found.items()}, sort_keys=True)
    for one in found.values():
        for name, value in one.ids.items():
            text = text.replace(value, name)
    return {"documents": json.loads(text), "keys": len(keys_of(clients, wanted))}


def keys_of(clients: Clients, wanted: Blueprint) -> list[str]:
    assert wanted.user is not None
    listed = clients.iam.list_access_keys(UserName=wanted.user)["AccessKeyMetadata"]
    return [key["AccessKeyId"] for key in listed]


@pytest.mark.parametrize("mode", MODES)
def test_apply_leaves_nothing_to_plan_and_a_second_one_changes_nothing(clients: Clients, mode: str):
    wanted, shown, calls = blueprint(**MODES[mode]), Shown(), Calls()
    assert all(one.action == "create" for one in system.plan(clients, wanted))
    system.apply(clients, wanted, shown)
    assert system.plan(clients, wanted) == []
    calls.watch()
    system.apply(clients, wanted, shown)
    assert calls.made == []
    assert len(shown) == 1


def test_plan_changes_nothing(clients: Clients):
    calls = Calls()
    calls.watch()
    assert system.plan(clients, blueprint())
    assert calls.made == []


@pytest.mark.parametrize("mode", ["public", "cloudfront-signed"])  # between them every resource
def test_an_apply_cut_off_after_any_call_is_completed_by_the_next(monkeypatch: pytest.MonkeyPatch, mode: str):
    wanted = blueprint(**MODES[mode])
    with aws(monkeypatch) as clients:
        calls = Calls()
        calls.watch()
        system.apply(clients, wanted, Shown())
        total, whole = len(calls.made), end_state(clients, wanted)
    assert total > 8
    for number in range(1, total + 1):
        with aws(monkeypatch) as clients:
            calls, shown = Calls(), Shown()
            calls.watch()
            calls.cut_at(number)
            with pytest.raises(CutError):
                system.apply(clients, wanted, shown)
            calls.cut_at(None)
            system.apply(clients, wanted, shown)
            assert system.plan(clients, wanted) == []
            assert end_state(clients, wanted) == whole, calls.made
            # The last secret that somebody saw is the one that works.
            assert keys_of(clients, wanted) == [shown[-1][0]]


def test_destroy_leaves_nothing_and_can_be_cut_off_too(monkeypatch: pytest.MonkeyPatch):
    wanted, plain = blueprint(**MODES["cloudfront-signed"]), blueprint()
    with aws(monkeypatch) as clients:
        calls = Calls()
        system.apply(clients, wanted, Shown())
        calls.watch()
        list(system.destroy(clients, plain, with_contents=True))
        assert system.present(clients, plain) == []
        total = len(calls.made)
    for number in range(1, total + 1):
        with aws(monkeypatch) as clients:
            calls = Calls()
            system.apply(clients, wanted, Shown())
            calls.watch()
            calls.cut_at(number)
            with pytest.raises(CutError):
                list(system.destroy(clients, plain, with_contents=True))
            calls.cut_at(None)
            list(system.destroy(clients, plain, with_contents=True))
            assert system.present(clients, plain) == []


def test_one_mode_follows_another(clients: Clients):
    order = ["public", "presigned", "public behind the CDN", "public", "cloudfront-signed", "presigned"]
    for mode in order:
        wanted = blueprint(**MODES[mode])
        assert system.plan(clients, wanted)
        system.apply(clients, wanted, Shown())
        assert system.plan(clients, wanted) == []
        document = system.Distribution().read(clients, wanted).document
        assert (document is not None) == wanted.distributed


def test_a_change_by_hand_is_shown_and_taken_back(clients: Clients):
    wanted = blueprint()
    system.apply(clients, wanted, Shown())
    clients.s3.put_bucket_versioning(Bucket=wanted.bucket, VersioningConfiguration={"Status": "Enabled"})
    clients.s3.delete_bucket_cors(Bucket=wanted.bucket)
    changes = {one.resource: one for one in system.plan(clients, wanted)}
    assert set(changes) == {"bucket", "cors"}
    (line,) = changes["bucket"].lines
    assert (line.path, line.before, line.after) == ("Versioning", "Enabled", "off")
    system.apply(clients, wanted, Shown())
    assert system.plan(clients, wanted) == []


def test_other_days_and_origins_are_one_line_each(clients: Clients):
    wanted = blueprint()
    system.apply(clients, wanted, Shown())
    changed = replace(wanted, lifecycle_days=60, origins=("https://example.com",))
    lines = {line.path for one in system.plan(clients, changed) for line in one.lines}
    assert lines == {"Rules.expire-media.Expiration.Days", "Rules.browsers.AllowedOrigins"}
    system.apply(clients, changed, Shown())
    assert system.plan(clients, changed) == []


def test_a_new_signing_key_takes_the_place_of_the_former(clients: Clients):
    wanted = blueprint(**MODES["cloudfront-signed"])
    first = system.apply(clients, wanted, Shown()).ids["public_key_id"]
    other = replace(wanted, public_key_pem=str(wanted.public_key_pem).replace("MIIBIj", "MIIBIk"))
    second = system.apply(clients, other, Shown()).ids["public_key_id"]
    assert first != second
    listed = clients.cloudfront.list_public_keys()["PublicKeyList"]["Items"]
    assert [key["Id"] for key in listed] == [second]


def test_a_key_that_a_person_made_is_left_alone(clients: Clients):
    wanted, shown = blueprint(), Shown()
    assert wanted.user is not None
    clients.iam.create_user(UserName=wanted.user)
    own = clients.iam.create_access_key(UserName=wanted.user)["AccessKey"]["AccessKeyId"]
    calls = Calls()
    calls.watch()
    system.apply(clients, wanted, shown)
    assert shown == []
    assert keys_of(clients, wanted) == [own]


def test_a_key_whose_secret_nobody_saw_is_replaced_and_a_persons_own_stays(clients: Clients):
    wanted, shown = blueprint(), Shown()
    system.apply(clients, replace(wanted, with_key=False), shown)
    assert wanted.user is not None
    own = clients.iam.create_access_key(UserName=wanted.user)["AccessKey"]["AccessKeyId"]
    clients.iam.tag_user(UserName=wanted.user, Tags=[{"Key": PENDING, "Value": own}])
    lost = clients.iam.create_access_key(UserName=wanted.user)["AccessKey"]["AccessKeyId"]
    system.apply(clients, wanted, shown)
    ((made, _),) = shown
    assert set(keys_of(clients, wanted)) == {own, made}
    assert made != lost
    assert system.plan(clients, wanted) == []


def test_a_bucket_with_objects_versions_and_begun_uploads_is_emptied(clients: Clients):
    wanted = blueprint()
    system.apply(clients, wanted, Shown())
    s3, name = clients.s3, wanted.bucket
    assert is_empty(clients, name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for content in (b"one", b"two"):
        s3.put_object(Bucket=name, Key="media/a", Body=content)
    s3.delete_object(Bucket=name, Key="media/a")
    s3.create_multipart_upload(Bucket=name, Key="media/b")
    assert not is_empty(clients, name)
    assert "objects deleted: 3" in list(system.destroy(clients, wanted, with_contents=True))
    assert system.present(clients, wanted) == []


def application(key: tuple[str, str], wanted: Blueprint) -> Settings:
    return load_settings(
        _env_file=None,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        aws_region=wanted.region,
        s3_media_bucket=wanted.bucket,
        s3_endpoint_url=None,
    )


@pytest.fixture
def enforced(clients: Clients) -> Iterator[Settings]:
    """An AWS that was applied to and checks permissions from now on; the settings are the application's."""
    wanted, shown = blueprint(), Shown()
    system.apply(clients, wanted, shown)
    settings = application(shown[0], wanted)
    with enable_iam_authentication():
        yield settings


@pytest.mark.parametrize("prefix", ["media/image/c/m/20260101_x.png", "private/o/t/1.png"])
async def test_the_application_may_do_all_that_it_does(enforced: Settings, prefix: str):
    deadline = time.monotonic() + 20
    store = ObjectStore.from_settings(enforced)
    small, large = b"picture", bytes(9 * 1024 * 1024)
    try:
        assert await store.head(prefix, deadline=deadline) is None
        for content, key in ((small, prefix), (large, f"{prefix}.large")):
            upload = Upload(
                io.BytesIO(content), len(content), hashlib.sha256(content).hexdigest(), "image/png"
            )
            assert await store.put(key, upload, deadline=deadline) == Stored()
            again = await store.put(key, upload, deadline=deadline)
            assert isinstance(again, AlreadyThere)
            assert await store.get(key, deadline=deadline) == content
            await store.delete(key, deadline=deadline)
            assert await store.head(key, deadline=deadline) is None
    finally:
        store.close()


def test_the_application_may_sweep_and_audit(enforced: Settings):
    contents, client = BucketContents.from_settings(enforced), create_s3_client(enforced)
    client.put_object(Bucket=enforced.s3_media_bucket, Key="media/x", Body=b"content")
    client.create_multipart_upload(Bucket=enforced.s3_media_bucket, Key="media/y")
    for upload in contents.half_done_uploads():
        contents.abort(upload)
    assert list(contents.half_done_uploads()) == []
    for found in contents.objects("media/"):
        assert contents.has(found.key)
        contents.remove(found.key)
    assert not contents.has("media/x")
    assert list(contents.objects("private/")) == []
    ensure_bucket(enforced)


async def test_the_application_may_list_and_read_ranges(enforced: Settings):
    store, reader = ObjectStore.from_settings(enforced), ObjectReader.from_settings(enforced)
    deadline, content = time.monotonic() + 20, b"0123456789"
    upload = Upload(io.BytesIO(content), len(content), hashlib.sha256(content).hexdigest(), "image/png")
    try:
        await store.put("media/a", upload, deadline=deadline)
        assert [key async for key in store.keys("media/", deadline=deadline)] == ["media/a"]
        assert b"".join(reader.pieces("media/a", 2, 5)) == b"2345"
        assert await store.get("media/a", deadline=deadline, first_bytes=3) == b"012"
    finally:
        store.close()
        reader.close()


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("delete_bucket", {}),
        ("put_object", {"Key": "elsewhere/x", "Body": b"x"}),
        ("put_object", {"Key": "x", "Body": b"x"}),
        ("get_object", {"Key": "elsewhere/x"}),
        ("delete_object", {"Key": "elsewhere/x"}),
        ("put_bucket_policy", {"Policy": "{}"}),
        ("get_bucket_policy", {}),
        ("put_object_acl", {"Key": "media/x", "ACL": "public-read"}),
        ("list_object_versions", {}),
    ],
)
def test_the_application_may_do_nothing_else(enforced: Settings, operation: str, arguments: dict[str, Any]):
    client = create_s3_client(enforced)
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(Bucket=enforced.s3_media_bucket, **arguments)
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_the_application_may_not_see_other_buckets(enforced: Settings):
    with pytest.raises(ClientError) as refused:
        create_s3_client(enforced).list_buckets()
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_the_application_may_not_touch_users(enforced: Settings):
    assert enforced.aws_secret_access_key is not None
    iam = boto3.client(
        "iam",
        aws_access_key_id=enforced.aws_access_key_id,
        aws_secret_access_key=enforced.aws_secret_access_key.get_secret_value(),
    )
    with pytest.raises(ClientError) as refused:
        iam.create_access_key(UserName=f"{enforced.s3_media_bucket}-uploader")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.parametrize(
    ("mode", "key", "readable"),
    [
        ("public", "media/x", True),
        ("public", "private/x", False),
        ("public behind the CDN", "media/x", False),
        ("presigned", "media/x", False),
        ("cloudfront-signed", "media/x", False),
    ],
)
def test_whoever_has_no_key_reads_media_in_public_mode_only(
    clients: Clients, mode: str, key: str, readable: bool
):
    wanted = blueprint(**MODES[mode])
    system.apply(clients, wanted, Shown())
    clients.s3.put_object(Bucket=wanted.bucket, Key=key, Body=b"content")
    nobody = boto3.client("s3", region_name=wanted.region, config=NOBODY)
    if readable:
        assert nobody.get_object(Bucket=wanted.bucket, Key=key)["Body"].read() == b"content"
    else:
        with pytest.raises(ClientError) as refused:
            nobody.get_object(Bucket=wanted.bucket, Key=key)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
