"""The texts that AWS is given: policies, rules and the distribution, for each mode."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session

import polylogue
from polylogue.infra.aws.alarms import EgressAlarm, RequestMetrics, SizeAlarm
from polylogue.infra.aws.blueprint import LATER, BlueprintError
from polylogue.infra.aws.bucket import Bucket
from polylogue.infra.aws.cloudfront import Distribution
from polylogue.infra.aws.cors import Cors
from polylogue.infra.aws.iam import application_policy
from polylogue.infra.aws.lifecycle import Lifecycle
from polylogue.infra.aws.options_file import Options, read_options
from polylogue.infra.aws.policy import BucketPolicy
from tests.support.aws import MODES, SEED_ORIGINS, blueprint

ARN = "arn:aws:s3:::media-of-mine"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"


def statements(mode: str, **known: str) -> dict[str, Any]:
    document = BucketPolicy().wanted(blueprint(**MODES[mode]), known)
    assert document is not None
    return {one["Sid"]: one for one in document["Statement"]}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_refuses_what_comes_without_tls(mode: str):
    deny = statements(mode)["TlsOnly"]
    assert deny["Effect"] == "Deny"
    assert deny["Principal"] == "*"
    assert deny["Resource"] == [ARN, f"{ARN}/*"]
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_in_public_mode_everybody_reads_media_and_nothing_else():
    public = statements("public")["EverybodyReadsMedia"]
    assert (public["Effect"], public["Principal"], public["Action"]) == ("Allow", "*", "s3:GetObject")
    assert public["Resource"] == f"{ARN}/media/*"


@pytest.mark.parametrize("mode", ["public behind the CDN", "cloudfront-signed"])
def test_behind_the_cdn_only_this_distribution_reads(mode: str):
    found = statements(mode, distribution_arn="arn:aws:cloudfront::1:distribution/E1")
    assert set(found) == {"TlsOnly", "CloudFrontReadsMedia"}
    allowed = found["CloudFrontReadsMedia"]
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert allowed["Resource"] == f"{ARN}/media/*"
    assert allowed["Condition"] == {
        "StringEquals": {"AWS:SourceArn": "arn:aws:cloudfront::1:distribution/E1"}
    }


def test_before_there_is_a_distribution_its_name_is_left_open():
    condition = statements("cloudfront-signed")["CloudFrontReadsMedia"]["Condition"]
    assert condition["StringEquals"]["AWS:SourceArn"] == LATER


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_policies_name_the_bucket_in_its_own_part_of_aws(region: str, partition: str):
    assert blueprint(region=region).bucket_arn == f"arn:{partition}:s3:::media-of-mine"


def test_presigned_mode_lets_nobody_in():
    assert set(statements("presigned")) == {"TlsOnly"}


@pytest.mark.parametrize(
    ("mode", "closed"),
    [("public", False), ("public behind the CDN", True), ("presigned", True), ("cloudfront-signed", True)],
)
def test_public_access_is_blocked_but_where_the_mode_is_public_without_a_cdn(mode: str, closed: bool):
    document = Bucket().wanted(blueprint(**MODES[mode]), {})
    assert document is not None
    assert document["PublicAccessBlock"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": closed,
        "RestrictPublicBuckets": closed,
    }
    assert (document["Encryption"], document["Versioning"]) == ("AES256", "off")


def test_the_application_may_list_its_prefixes_only():
    policy = application_policy(blueprint())
    listing = next(one for one in policy["Statement"] if one["Action"] == "s3:ListBucket")
    # moto ignores StringLike, so the text is what is held.
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["media/*", "private/*"]}}
    assert listing["Resource"] == ARN


def test_the_application_touches_objects_below_its_prefixes_only():
    policy = application_policy(blueprint())
    objects = next(one for one in policy["Statement"] if one["Sid"] == "Objects")
    assert objects["Resource"] == [f"{ARN}/media/*", f"{ARN}/private/*"]
    assert all(one["Effect"] == "Allow" and "*" not in str(one["Action"]) for one in policy["Statement"])


ACTIONS = {  # what S3 asks a permission for, by what boto3 calls it
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "complete_multipart_upload": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "delete_objects": "s3:DeleteObject",
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "list_objects_v2": "s3:ListBucket",
    "list_parts": "s3:ListMultipartUploadParts",
    "put_object": "s3:PutObject",
    "upload_part": "s3:PutObject",
}
BY_AN_ADMINISTRATOR = {"create_bucket"}  # `polylogue run`, on a server of one's own


def calls_of_the_product() -> set[str]:
    """The names of S3's calls wherever they stand in the code, but for `polylogue aws` itself."""
    operations = {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
        for name in get_session().get_service_model("s3").operation_names
    } | set(ACTIONS)
    package = Path(polylogue.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        if {"aws", "local", "simulator"} & set(path.relative_to(package).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in operations:
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and node.value in operations:
                found.add(str(node.value))
    return found


def test_the_policy_allows_exactly_what_the_code_calls():
    policy = application_policy(blueprint())
    actions: set[str] = set()
    for one in policy["Statement"]:
        actions |= {one["Action"]} if isinstance(one["Action"], str) else set(one["Action"])
    assert {ACTIONS[call] for call in calls_of_the_product() - BY_AN_ADMINISTRATOR} == actions


def test_objects_expire_films_move_and_uploads_end():
    document = Lifecycle().wanted(blueprint(), {})
    assert document is not None
    rules = {one["ID"]: one for one in document["Rules"]}
    assert rules["expire-media"]["Expiration"] == {"Days": 90}
    assert rules["expire-media"]["Filter"] == {"Prefix": "media/"}
    assert rules["films-to-infrequent-access"]["Transitions"] == [{"Days": 30, "StorageClass": "STANDARD_IA"}]
    assert rules["films-to-infrequent-access"]["Filter"] == {"Prefix": "media/video/"}
    assert rules["end-incomplete-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert rules["end-incomplete-uploads"]["Filter"] == {"Prefix": ""}


def test_films_that_expire_before_they_could_move_stay_where_they_are():
    document = Lifecycle().wanted(blueprint(lifecycle_days=30), {})
    assert document is not None
    assert {one["ID"] for one in document["Rules"]} == {"expire-media", "end-incomplete-uploads"}


def test_browsers_of_the_named_origins_may_read_ranges():
    document = Cors().wanted(blueprint(), {})
    assert document is not None
    (rule,) = document["Rules"]
    assert rule["AllowedOrigins"] == list(SEED_ORIGINS)
    assert rule["AllowedMethods"] == ["GET", "HEAD"]
    assert set(rule["ExposeHeaders"]) == {"Content-Range", "Content-Length", "ETag"}
    assert rule["MaxAgeSeconds"] == 3000
    assert Cors().wanted(blueprint(origins=()), {}) is None


def test_the_distribution_sends_to_https_and_forwards_no_query():
    document = Distribution().wanted(blueprint(**MODES["public behind the CDN"]), {})
    assert document is not None
    behaviour = document["DefaultCacheBehavior"]
    assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
    assert behaviour["ForwardedValues"]["QueryString"] is False
    assert behaviour["TrustedKeyGroups"] == {"Enabled": False, "Items": []}
    assert document["PriceClass"] == "PriceClass_100"
    assert document["ViewerCertificate"] == {"CloudFrontDefaultCertificate": True}


def test_signed_urls_are_asked_for_where_the_mode_says_so():
    document = Distribution().wanted(blueprint(**MODES["cloudfront-signed"]), {"key_group_id": "G1"})
    assert document is not None
    assert document["DefaultCacheBehavior"]["TrustedKeyGroups"] == {"Enabled": True, "Items": ["G1"]}


def test_a_domain_comes_with_its_certificate():
    wanted = blueprint(
        url_mode="public", cdn=True, domain="cdn.compareintel.com", certificate_arn=CERTIFICATE
    )
    document = Distribution().wanted(wanted, {})
    assert document is not None
    assert document["Aliases"] == {"Items": ["cdn.compareintel.com"]}
    assert document["ViewerCertificate"]["ACMCertificateArn"] == CERTIFICATE
    assert document["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"


def test_egress_is_measured_where_readers_are_served():
    direct, cdn = EgressAlarm(distributed=False), EgressAlarm(distributed=True)
    here = direct.wanted(blueprint(egress_alarm_gb=7), {})
    assert here is not None
    assert (here["Namespace"], here["MetricName"], here["Threshold"]) == ("AWS/S3", "BytesDownloaded", 7e9)
    assert cdn.wanted(blueprint(), {}) is None
    there = cdn.wanted(blueprint(**MODES["public behind the CDN"]), {"distribution_id": "E1"})
    assert there is not None
    assert there["Dimensions"][0] == {"Name": "DistributionId", "Value": "E1"}
    assert direct.wanted(blueprint(**MODES["public behind the CDN"]), {}) is None


def test_an_alarm_at_zero_is_none_and_nothing_is_paid_for_it():
    silent = blueprint(size_alarm_gb=0, egress_alarm_gb=0)
    for resource in (SizeAlarm(), EgressAlarm(distributed=False), RequestMetrics()):
        assert resource.wanted(silent, {}) is None
        assert resource.wanted(blueprint(), {}) is not None


def test_the_size_of_both_classes_together_rings():
    topic = "arn:aws:sns:eu-central-1:123456789012:operators"
    document = SizeAlarm().wanted(blueprint(size_alarm_gb=40, alarm_topic_arn=topic), {})
    assert document is not None
    assert (document["Threshold"], document["AlarmActions"]) == (40e9, [topic])
    measured = [one["MetricStat"]["Metric"]["Dimensions"][1]["Value"] for one in document["Metrics"][1:]]
    assert measured == ["StandardStorage", "StandardIAStorage"]


def test_the_guide_names_every_key_of_the_file_and_its_example_can_be_used(tmp_path: Path):
    guide = (Path(polylogue.__file__).parents[1] / "docs" / "aws.md").read_text("utf-8")
    first_cells = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| `")]
    assert set(Options.__struct_fields__) <= set(re.findall(r"`(\w+)`", " ".join(first_cells)))
    path = tmp_path / "aws.toml"
    path.write_text(guide.split("```toml\n")[1].split("```")[0])
    assert read_options(path).options.origins == SEED_ORIGINS


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"origins": ("compareintel.com",)}, "origins: compareintel.com"),
        ({"origins": ("*",)}, "origins: *"),
        ({"price_class": "PriceClass_7"}, "price_class"),
        ({"url_mode": "cloudfront-signed"}, "public_key"),
        ({"cdn": True}, "cdn"),
        ({"url_mode": "public", "domain": "cdn.example.com"}, "certificate_arn"),
        ({"url_mode": "public", "domain": "cdn.example.com", "certificate_arn": CERTIFICATE}, "cdn"),
        ({"url_mode": "public", "cdn": True, "domain": "-", "certificate_arn": CERTIFICATE}, "domain: -"),
        (
            {
                "url_mode": "public",
                "cdn": True,
                "domain": "cdn.example.com",
                "certificate_arn": CERTIFICATE.replace("us-east-1", "eu-central-1"),
            },
            "us-east-1",
        ),
        ({"alarm_topic_arn": "operators"}, "alarm_topic_arn"),
        ({"size_alarm_gb": -1}, "size_alarm_gb"),
    ],
)
def test_what_aws_would_refuse_half_way_is_refused_before(changed: dict[str, Any], named: str):
    with pytest.raises(BlueprintError) as caught:
        blueprint(**changed)
    assert named in str(caught.value)
    assert str(caught.value).endswith(".")
