"""What lies in the media bucket: lists and removes objects and half-done uploads. Blocking, one page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from polylogue.infra.s3 import create_s3_client
from polylogue.infra.settings import Settings
from polylogue.media.faults import code_of
from polylogue.media.keys import PRIVATE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MEDIA = "media/"


@dataclass(frozen=True)
class StoredObject:
    key: str
    size_bytes: int
    modified_ms: int


@dataclass(frozen=True)
class HalfDoneUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    begun_ms: int


class BucketContents:
    """Raises botocore's errors; the caller chooses the thread and whether to try again."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @classmethod
    def from_settings(cls, settings: Settings) -> BucketContents:
        return cls(create_s3_client(settings), settings.s3_media_bucket)

    def close(self) -> None:
        self._client.close()

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """Those whose keys begin with `prefix`, in the order of the keys."""
        for page in self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        ):
            for one in page.get("Contents", []):
                modified_ms = int(one["LastModified"].timestamp() * 1000)
                yield StoredObject(one["Key"], one["Size"], modified_ms)

    def has(self, key: str) -> bool:
        # Not by HEAD: to those who may list only below their prefixes AWS answers 403 for what is missing.
        page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        return any(entry["Key"] == key for entry in page.get("Contents", []))

    def remove(self, key: str) -> None:
        """Nothing there is fine."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def half_done_uploads(self) -> Iterator[HalfDoneUpload]:
        """Ours: what somebody else keeps in the same bucket is none of our business."""
        for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket):
            for one in page.get("Uploads", []):
                if not one["Key"].startswith((MEDIA, PRIVATE)):
                    continue
                begun_ms = int(one["Initiated"].timestamp() * 1000)
                yield HalfDoneUpload(one["Key"], one["UploadId"], begun_ms)

    def abort(self, upload: HalfDoneUpload) -> None:
        """One that has ended meanwhile is fine."""
        try:
            self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id
            )
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":
                raise
