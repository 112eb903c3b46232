"""What all responses of a runner share."""

from __future__ import annotations

from dataclasses import dataclass

from polylogue.infra.settings import Settings
from polylogue.media.store import ObjectStore
from polylogue.media.validation import ValidationPool
from polylogue.streams.admission import MediaAdmission
from polylogue.streams.capacity import Capacity
from polylogue.streams.gateway.client import Gateway
from polylogue.streams.model_catalogue import ModelCatalogue
from polylogue.streams.picture_urls import PictureUrls
from polylogue.streams.quota_gate import QuotaGate
from polylogue.streams.segments import MediaOutbox
from polylogue.streams.titles import Titles


@dataclass(frozen=True)
class RunnerTools:
    settings: Settings
    gateway: Gateway
    catalogue: ModelCatalogue
    outbox: MediaOutbox
    store: ObjectStore
    pictures: PictureUrls
    titles: Titles
    admission: MediaAdmission
    checks: ValidationPool
    quota: QuotaGate | None  # None: nobody has one
    capacity: Capacity  # responses that may be upstream at once
