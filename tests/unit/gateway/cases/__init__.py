"""The exact gateway events of every wire case, by its id."""

from __future__ import annotations

from tests.unit.gateway.cases.endings import ENDINGS
from tests.unit.gateway.cases.endpoints import ENDPOINTS
from tests.unit.gateway.cases.expected import Expected
from tests.unit.gateway.cases.forms import FORMS
from tests.unit.gateway.cases.rows import ROWS

EXPECTED: dict[str, Expected] = {**ROWS, **ENDINGS, **FORMS, **ENDPOINTS}
