"""`/admin/projections`: where every version of every projection stands, and orders to them, for administrators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from polylogue.api.errors import ApiError, not_found
from polylogue.api.parameters import Name, require_admin
from polylogue.api.principal import Asking

router = APIRouter(prefix="/admin", tags=["admin"])

Action = Literal["pause", "resume", "skip", "promote", "rollback", "prune"]
_GREATEST_INT, _GREATEST_OFFSET = 2**31 - 1, 2**63 - 1


class OrderRefusedError(Exception):
    """The order cannot be carried out; the message is a sentence that says why and what to do."""


@dataclass(frozen=True)
class Order:
    """What somebody wants done with a projection."""

    name: str
    action: Action
    version: int | None = None
    partition: int | None = None
    offset: int | None = None
    why: str | None = None
    dry_run: bool = False


class ProjectionOperator(Protocol):
    """Who knows how to do it: projections and the API do not know each other, so that whoever starts both gives it."""

    async def status(self, name: str | None, over_s: float) -> list[dict[str, Any]]:
        """Every version that has tables, as JSON; none where there is no such projection."""
        ...

    async def carry_out(self, order: Order) -> list[int]:
        """Returns the versions that it concerned. Raises OrderRefusedError."""
        ...


class OrderRequest(BaseModel):
    """`partition`, `offset` and `why` are what `skip` needs."""

    version: Annotated[int | None, Field(ge=1, le=_GREATEST_INT)] = None
    partition: Annotated[int | None, Field(ge=0, le=_GREATEST_INT)] = None
    offset: Annotated[int | None, Field(ge=0, le=_GREATEST_OFFSET)] = None
    why: Annotated[str | None, Field(max_length=1000, pattern=r"^[^\x00]*$")] = None
    dry_run: bool = False


async def operator_of(request: Request, asking: Asking) -> ProjectionOperator:
    """Raises ApiError."""
    require_admin(asking)
    operator: ProjectionOperator | None = request.app.state.operator
    if operator is None:
        raise ApiError(503, "no_operator", "This server was started without access to the projections.")
    return operator


Operator = Annotated[ProjectionOperator, Depends(operator_of)]
Sample = Annotated[
    int, Query(ge=0, le=5000, description="For how long to watch: `events_per_s` and `eta_s` come of it.")
]


@router.get("/projections")
async def projections(operator: Operator, name: Name = None, sample_ms: Sample = 500) -> dict[str, Any]:
    """`lag` counts records, `lag_s` is the age of the oldest that is not applied yet."""
    found = await operator.status(name, sample_ms / 1000)
    if name is not None and not found:
        raise not_found("projection")
    return {"projections": found}


@router.post("/projections/{name}/{action}")
async def order(
    operator: Operator,
    name: Annotated[str, Path(max_length=200, pattern=r"^[^\x00]*$")],
    action: Action,
    request: Annotated[OrderRequest | None, Body()] = None,
) -> dict[str, Any]:
    """Rebuilding, verifying and emptying take longer than a request, or more thought: they are the command line's."""
    asked = request or OrderRequest()
    if action == "skip" and (asked.partition is None or asked.offset is None or not asked.why):
        raise ApiError(400, "bad_order", "To skip a record takes its partition, its offset, and why.")
    if not await operator.status(name, 0):
        raise not_found("projection")
    try:
        versions = await operator.carry_out(Order(name, action, **asked.model_dump()))
    except OrderRefusedError as error:
        raise ApiError(409, "order_refused", str(error)) from None
    return {"projection": name, "action": action, "versions": versions, "dry_run": asked.dry_run}
