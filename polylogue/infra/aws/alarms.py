"""Who is told when the bucket grows or sends more than was meant: two alarms of CloudWatch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polylogue.infra.aws.blueprint import LATER, Blueprint, Document, Known
from polylogue.infra.aws.difference import restricted
from polylogue.infra.aws.resource import Clients, Found, unless_missing

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

DAY_S = 86_400  # S3 says the size of a bucket once a day
GB = 10**9
METRICS_ID = "whole-bucket"
_NONE = ("NoSuchConfiguration", "NoSuchBucket")


class RequestMetrics:
    """Without a distribution only S3's paid request metrics count what leaves the bucket."""

    name = "bucket request metrics"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        measured = blueprint.egress_alarm_gb and not blueprint.distributed
        return {"Id": METRICS_ID} if measured else None

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        answer = unless_missing(
            lambda: clients.s3.get_bucket_metrics_configuration(Bucket=blueprint.bucket, Id=METRICS_ID),
            *_NONE,
        )
        return Found({"Id": METRICS_ID} if answer else None)

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        clients.s3.put_bucket_metrics_configuration(
            Bucket=blueprint.bucket, Id=METRICS_ID, MetricsConfiguration={"Id": METRICS_ID}
        )

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        unless_missing(
            lambda: clients.s3.delete_bucket_metrics_configuration(Bucket=blueprint.bucket, Id=METRICS_ID),
            *_NONE,
        )


class SizeAlarm:
    """Both storage classes together."""

    name = "alarm on bucket size"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:  # noqa: ARG002
        if not blueprint.size_alarm_gb:
            return None
        stored = [
            _metric(
                name,
                "AWS/S3",
                "BucketSizeBytes",
                "Average",
                BucketName=blueprint.bucket,
                StorageType=f"{kind}Storage",
            )
            for name, kind in (("standard", "Standard"), ("infrequent", "StandardIA"))
        ]
        total = {
            "Id": "total",
            # A class without objects has no figures at all.
            "Expression": "FILL(standard, 0) + FILL(infrequent, 0)",
            "Label": "Bytes stored",
            "ReturnData": True,
        }
        return _alarm(blueprint, _size_name(blueprint), blueprint.size_alarm_gb, Metrics=[total, *stored])

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        return _read(clients.cloudwatch, _size_name(blueprint), self.wanted(blueprint, {}))

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        clients.cloudwatch.put_metric_alarm(**wanted)

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        clients.cloudwatch.delete_alarms(AlarmNames=[_size_name(blueprint)])


class EgressAlarm:
    """Bytes a day out of the distribution, or out of the bucket where there is none."""

    def __init__(self, *, distributed: bool) -> None:
        self._distributed = distributed
        self.name = f"alarm on egress of the {'distribution' if distributed else 'bucket'}"

    def wanted(self, blueprint: Blueprint, known: Known) -> Document | None:
        if blueprint.distributed != self._distributed or not blueprint.egress_alarm_gb:
            return None
        if self._distributed:
            dimensions = {"DistributionId": known.get("distribution_id", LATER), "Region": "Global"}
        else:
            dimensions = {"BucketName": blueprint.bucket, "FilterId": METRICS_ID}
        return _alarm(
            blueprint,
            self._alarm_name(blueprint),
            blueprint.egress_alarm_gb,
            Namespace="AWS/CloudFront" if self._distributed else "AWS/S3",
            MetricName="BytesDownloaded",
            Statistic="Sum",
            Period=DAY_S,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        )

    def read(self, clients: Clients, blueprint: Blueprint) -> Found:
        return _read(self._client(clients), self._alarm_name(blueprint), self.wanted(blueprint, {}))

    def write(self, clients: Clients, blueprint: Blueprint, wanted: Document, found: Found) -> None:  # noqa: ARG002
        self._client(clients).put_metric_alarm(**wanted)

    def remove(self, clients: Clients, blueprint: Blueprint) -> None:
        self._client(clients).delete_alarms(AlarmNames=[self._alarm_name(blueprint)])

    def _client(self, clients: Clients) -> CloudWatchClient:
        return clients.cloudwatch_global if self._distributed else clients.cloudwatch

    def _alarm_name(self, blueprint: Blueprint) -> str:
        return f"{blueprint.label}-{'cdn' if self._distributed else 'bucket'}-egress"


def _size_name(blueprint: Blueprint) -> str:
    return f"{blueprint.label}-size"


def _alarm(blueprint: Blueprint, name: str, limit_gb: int, **measured: Any) -> Document:
    return {
        "AlarmName": name,
        "AlarmActions": [blueprint.alarm_topic_arn] if blueprint.alarm_topic_arn else [],
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": float(limit_gb * GB),
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
        **measured,
    }


def _metric(name: str, namespace: str, metric: str, statistic: str, **dimensions: str) -> Document:
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            },
            "Period": DAY_S,
            "Stat": statistic,
        },
        "ReturnData": False,
    }


def _read(cloudwatch: CloudWatchClient, name: str, wanted: Document | None) -> Found:
    alarms = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    if not alarms:
        return Found(None)
    return Found(restricted(dict(alarms[0]), wanted if wanted is not None else {"AlarmName": name}))
