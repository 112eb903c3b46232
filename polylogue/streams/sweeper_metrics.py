"""What the sweeper counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

CLAIMS = Counter("polylogue_sweeper_claims", "Claims sent again, because no outcome came within the deadline")
OVERDUE = Gauge(
    "polylogue_sweeper_overdue_media", "Media whose claim was sent again and that have no outcome yet"
)
OBJECTS = Counter("polylogue_sweeper_objects_removed", "Objects removed of media that are not shown")
UPLOADS = Counter("polylogue_sweeper_uploads_aborted", "Multipart uploads aborted that nobody completed")
EXPIRED = Counter("polylogue_sweeper_media_expired", "Requests to end the life of a stored medium")
FAILURES = Counter("polylogue_sweeper_failures", "Actions put off, because Kafka or S3 did not answer")
