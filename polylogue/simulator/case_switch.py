"""From the id of a wire case to what the simulator sends."""

from __future__ import annotations

from polylogue.simulator.case_endings import ENDINGS
from polylogue.simulator.case_endpoints import IMAGES, RESPONSES, SPEECH, VIDEOS
from polylogue.simulator.case_forms import FORMS
from polylogue.simulator.case_replies import Job, Producer, Reply
from polylogue.simulator.case_rows import ROWS

PRODUCERS: dict[str, Producer] = {**ROWS, **ENDINGS, **FORMS, **RESPONSES, **IMAGES, **SPEECH, **VIDEOS}


def reply_to(case_id: str, size: int = 0) -> Reply:
    """Raises KeyError for an unknown case and for one of the video endpoint."""
    produced = PRODUCERS[case_id](size)
    if isinstance(produced, Job):
        raise KeyError(case_id)
    return produced


def job_of(case_id: str) -> Job:
    produced = PRODUCERS[case_id](0)
    if isinstance(produced, Reply):
        raise KeyError(case_id)
    return produced
