"""The public key with which CloudFront checks signed URLs, and the group that a distribution trusts."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from polylogue.infra.aws.blueprint import Blueprint, Document, Known
from polylogue.infra.aws.cloudfront import pages
from polylogue.infra.aws.resource import Clients, Found

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient


class SigningKeys:
    """A new key is another key: the group turns to it, and the former one is removed."""

    name = "cloudfront signing keys"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        if blueprint.url_mode != "cloudfront-signed":
            return None
        return {"Keys": [blueprint.public_key_name], "Group": [blueprint.public_key_name]}

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        keys, group = _keys(clients.cloudfront, blueprint), _group(clients.cloudfront, blueprint)
        if not keys and group is None:
            return Found(None)
        names = {key_id: name for name, key_id in keys.items()}
        ids = {}
        if blueprint.public_key_pem is not None and (own := keys.get(blueprint.public_key_name)):
            ids["public_key_id"] = own
        if group is not None:
            ids["key_group_id"] = group["Id"]
        members = group["KeyGroupConfig"]["Items"] if group is not None else []
        return Found({"Keys": sorted(keys), "Group": [names.get(key, key) for key in members]}, ids)

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        cloudfront, name = clients.cloudfront, blueprint.public_key_name
        keys = _keys(cloudfront, blueprint)
        key_id = keys.get(name) or _create(cloudfront, blueprint)
        config: Any = {"Name": blueprint.label, "Items": [key_id]}
        group = _group(cloudfront, blueprint)
        if group is None:
            cloudfront.create_key_group(KeyGroupConfig=config)
        elif group["KeyGroupConfig"]["Items"] != [key_id]:
            etag = cloudfront.get_key_group(Id=group["Id"])["ETag"]
            cloudfront.update_key_group(Id=group["Id"], IfMatch=etag, KeyGroupConfig=config)
        for former, former_id in keys.items():
            if former != name:
                _delete(cloudfront, former_id)

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        cloudfront = clients.cloudfront
        group = _group(cloudfront, blueprint)
        if group is not None:
            etag = cloudfront.get_key_group(Id=group["Id"])["ETag"]
            cloudfront.delete_key_group(Id=group["Id"], IfMatch=etag)
        for key_id in _keys(cloudfront, blueprint).values():
            _delete(cloudfront, key_id)


def _create(cloudfront: CloudFrontClient, blueprint: Blueprint) -> str:
    pem = (blueprint.public_key_pem or "").strip() + "\n"
    name = blueprint.public_key_name
    answer = cloudfront.create_public_key(
        PublicKeyConfig={
            "CallerReference": f"{name}-{secrets.token_hex(4)}",
            "Name": name,
            "EncodedKey": pem,
        }
    )
    return answer["PublicKey"]["Id"]


def _delete(cloudfront: CloudFrontClient, key_id: str) -> None:
    etag = cloudfront.get_public_key(Id=key_id)["ETag"]
    cloudfront.delete_public_key(Id=key_id, IfMatch=etag)


def _keys(cloudfront: CloudFrontClient, blueprint: Blueprint) -> dict[str, str]:
    """Ours, by name."""
    length = len(blueprint.label) + 1 + 12  # another bucket's name may begin with this one's
    return {
        item["Name"]: item["Id"]
        for page in pages(cloudfront.list_public_keys, "PublicKeyList")
        for item in page
        if item["Name"].startswith(f"{blueprint.label}-") and len(item["Name"]) == length
    }


def _group(cloudfront: CloudFrontClient, blueprint: Blueprint) -> Any:
    for page in pages(cloudfront.list_key_groups, "KeyGroupList"):
        for item in page:
            if item["KeyGroup"]["KeyGroupConfig"]["Name"] == blueprint.label:
                return item["KeyGroup"]
    return None
