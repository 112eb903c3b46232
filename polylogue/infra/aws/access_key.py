"""The user's access key: made once, its secret handed out once, also where the first attempt was cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from polylogue.infra.aws.blueprint import Blueprint, Document, Known
from polylogue.infra.aws.resource import Clients, Found, unless_missing

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

PENDING = "polylogue:key-pending"  # while it is set, a key that its value does not name was never shown
_NO_OTHERS = "none"
_NONE = "NoSuchEntity"

Show = Callable[[str, str], None]


class AccessKey:
    """`show` gets the id and the secret, and nothing else ever does."""

    name = "access key"

    def __init__(self, show: Show) -> None:
        self._show = show

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        if blueprint.user is None or not blueprint.with_key:
            return None
        return {"UserName": blueprint.user, "State": "handed out"}

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        user = blueprint.user
        # Without --key what keys there are is none of our business; destroy removes them all the same.
        if user is None or not blueprint.with_key:
            return Found(None)
        if unless_missing(lambda: clients.iam.get_user(UserName=user), _NONE) is None:
            return Found(None)
        keys = _keys(clients.iam, user)
        pending = _pending(clients.iam, user)
        if not keys:
            return Found(None)
        return Found({"UserName": user, "State": "handed out" if pending is None else "never shown"})

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        iam, user = clients.iam, str(wanted["UserName"])
        pending = _pending(iam, user)
        if pending is None:
            pending = frozenset(_keys(iam, user))
            value = " ".join(sorted(pending)) or _NO_OTHERS
            # First the note, then the key: a key that nobody has seen is then known for one.
            iam.tag_user(UserName=user, Tags=[{"Key": PENDING, "Value": value}])
        for lost in set(_keys(iam, user)) - pending:
            iam.delete_access_key(UserName=user, AccessKeyId=lost)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        self._show(key["AccessKeyId"], key["SecretAccessKey"])
        iam.untag_user(UserName=user, TagKeys=[PENDING])

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        user = blueprint.user
        if user is None:
            return
        for key in unless_missing(lambda: _keys(clients.iam, user), _NONE) or ():
            clients.iam.delete_access_key(UserName=user, AccessKeyId=key)


def _keys(iam: IAMClient, user: str) -> list[str]:
    return [key["AccessKeyId"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]


def _pending(iam: IAMClient, user: str) -> frozenset[str] | None:
    """The keys that were there before ours was begun; None where none is begun."""
    for tag in iam.list_user_tags(UserName=user)["Tags"]:
        if tag["Key"] == PENDING:
            return frozenset() if tag["Value"] == _NO_OTHERS else frozenset(tag["Value"].split())
    return None
