"""Plan, apply and destroy: what is there, what is wanted, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from polylogue.infra.aws.access_key import AccessKey, Show
from polylogue.infra.aws.alarms import EgressAlarm, RequestMetrics, SizeAlarm
from polylogue.infra.aws.blueprint import Blueprint
from polylogue.infra.aws.bucket import Bucket, empty
from polylogue.infra.aws.cloudfront import Distribution, OriginAccess
from polylogue.infra.aws.cors import Cors
from polylogue.infra.aws.difference import Change, change
from polylogue.infra.aws.iam import IamPolicy, IamUser
from polylogue.infra.aws.lifecycle import Lifecycle
from polylogue.infra.aws.policy import BucketPolicy
from polylogue.infra.aws.resource import Clients, Resource
from polylogue.infra.aws.signing_keys import SigningKeys


@dataclass(frozen=True)
class Outcome:
    """The ids that the settings are made of."""

    ids: dict[str, str]


def _nowhere(_: str, __: str) -> None:
    raise AssertionError("no key is made here")


def resources(show: Show = _nowhere) -> tuple[Resource, ...]:
    """In the order of making: each refers only to those before it. Removed in the other direction."""
    return (
        Bucket(),
        Lifecycle(),
        Cors(),
        OriginAccess(),
        SigningKeys(),
        Distribution(),
        BucketPolicy(),
        IamUser(),
        IamPolicy(),
        AccessKey(show),
        RequestMetrics(),
        SizeAlarm(),
        EgressAlarm(distributed=True),
        EgressAlarm(distributed=False),
    )


def plan(clients: Clients, blueprint: Blueprint) -> list[Change]:
    """Changes nothing."""
    known: dict[str, str] = {}
    changes = []
    for resource in resources():
        found = resource.read(clients, blueprint)
        known |= found.ids
        difference = change(resource.name, found.document, resource.wanted(blueprint, known))
        if difference is not None:
            changes.append(difference)
    return changes


def apply(
    clients: Clients, blueprint: Blueprint, show: Show, done: Callable[[Change], None] = lambda _: None
) -> Outcome:
    """Makes what is wanted and removes what is not. Cut off anywhere, it is simply run again."""
    known: dict[str, str] = {}
    surplus: list[tuple[Resource, Change]] = []
    for resource in resources(show):
        found = resource.read(clients, blueprint)
        known |= found.ids
        wanted = resource.wanted(blueprint, known)
        difference = change(resource.name, found.document, wanted)
        if difference is None:
            continue
        if wanted is None:
            surplus.append((resource, difference))
            continue
        resource.write(clients, blueprint, wanted, found)
        known |= resource.read(clients, blueprint).ids
        done(difference)
    for resource, difference in reversed(surplus):
        resource.remove(clients, blueprint)
        done(difference)
    return Outcome(known)


def present(clients: Clients, blueprint: Blueprint) -> list[str]:
    """The names of what `destroy` would remove."""
    found = (
        (resource.name, resource.read(clients, blueprint).document is not None) for resource in resources()
    )
    return [name for name, there in found if there]


def destroy(clients: Clients, blueprint: Blueprint, *, with_contents: bool) -> Iterator[str]:
    """Removes everything, and says each step when it is done."""
    for resource in reversed(resources()):
        if isinstance(resource, Bucket) and with_contents:
            yield f"objects deleted: {empty(clients, blueprint.bucket)}"
        if resource.read(clients, blueprint).document is not None:
            resource.remove(clients, blueprint)
            yield f"{resource.name} removed"
