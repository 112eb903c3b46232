"""The application's user and the policy of exactly what the code asks of S3."""

from __future__ import annotations

import json

from polylogue.infra.aws.blueprint import Blueprint, Document, Known
from polylogue.infra.aws.resource import Clients, Found, unless_missing

POLICY_NAME = "media"
PREFIXES = ("media/*", "private/*")
OBJECT_ACTIONS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")
_NONE = "NoSuchEntity"


class IamUser:
    name = "iam user"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        return {"UserName": blueprint.user} if blueprint.user else None

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        user = blueprint.user
        if user is None:
            return Found(None)
        there = unless_missing(lambda: clients.iam.get_user(UserName=user), _NONE)
        return Found({"UserName": user} if there else None)

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        clients.iam.create_user(UserName=wanted["UserName"])

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        user = blueprint.user
        if user is not None:
            unless_missing(lambda: clients.iam.delete_user(UserName=user), _NONE)


class IamPolicy:
    name = "iam policy"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        return application_policy(blueprint) if blueprint.user else None

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        user = blueprint.user
        if user is None:
            return Found(None)
        answer = unless_missing(
            lambda: clients.iam.get_user_policy(UserName=user, PolicyName=POLICY_NAME), _NONE
        )
        if answer is None:
            return Found(None)
        document = answer["PolicyDocument"]
        return Found(json.loads(document) if isinstance(document, str) else dict(document))

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        assert blueprint.user is not None
        clients.iam.put_user_policy(
            UserName=blueprint.user, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(wanted)
        )

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        user = blueprint.user
        if user is not None:
            unless_missing(
                lambda: clients.iam.delete_user_policy(UserName=user, PolicyName=POLICY_NAME), _NONE
            )


def application_policy(blueprint: Blueprint) -> Document:
    """Also for a role. Reading what is not there needs ListBucket: without it S3 answers 403 and not 404."""
    bucket = blueprint.bucket_arn
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Objects",
                "Effect": "Allow",
                "Action": list(OBJECT_ACTIONS),
                "Resource": [f"{bucket}/{prefix}" for prefix in PREFIXES],
            },
            {
                "Sid": "ListObjects",
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": bucket,
                "Condition": {"StringLike": {"s3:prefix": list(PREFIXES)}},
            },
            {
                # S3 knows no condition on the prefix for this one.
                "Sid": "ListUploadsBegun",
                "Effect": "Allow",
                "Action": "s3:ListBucketMultipartUploads",
                "Resource": bucket,
            },
        ],
    }
