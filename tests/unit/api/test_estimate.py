"""The estimate: characters and pictures times the catalogue's prices, and null where there is no price."""

from __future__ import annotations

from typing import Any

from polylogue.api.estimate import ANSWER_TOKENS, estimated, total
from polylogue.api.gateway_models import GatewayModel
from polylogue.schemas.commands import HistoryMessage, Parameters
from polylogue.schemas.events import Attachment
from polylogue.schemas.pricing import TOKENS_PER_PICTURE

PRICES = {"prompt": 1_000_000, "completion": 2_000_000}  # one and two micro-dollars a token
TEXT = GatewayModel(id="a", name="A", prices=PRICES)
PAINTER = GatewayModel(
    id="p", name="P", prices=PRICES, input_modalities=("text", "image"), output_modalities=("text", "image")
)
PICTURE = Attachment(key="k", content_type="image/png", size_bytes=1, sha256="0")


def of(entry: GatewayModel | None, model: str = "a", **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"texts": ("x" * 40,), "history": (), "pictures": 0} | changes
    parameters = values.pop("parameters", Parameters(max_tokens=10))
    return estimated(model, entry, parameters, **values)


def test_tokens_are_counted_and_priced() -> None:
    assert of(TEXT) == {"model": "a", "prompt_tokens": 10, "completion_tokens": 10, "cost_usd_micros": 30}


def test_an_answer_without_a_limit_is_taken_for_a_usual_one() -> None:
    assert of(TEXT, parameters=Parameters())["completion_tokens"] == ANSWER_TOKENS


def test_only_what_a_model_is_shown_counts() -> None:
    history = [
        HistoryMessage(role="user", content="x" * 4, attachments=(PICTURE,)),
        HistoryMessage(role="assistant", content="x" * 400, model="other"),
        HistoryMessage(role="assistant", content="x" * 8, model="a"),
    ]
    assert of(TEXT, history=history, pictures=1)["prompt_tokens"] == 13
    painted = of(PAINTER, history=history, pictures=1)
    assert painted["prompt_tokens"] == 13 + 2 * TOKENS_PER_PICTURE
    assert painted["completion_tokens"] == 10 + TOKENS_PER_PICTURE


def test_a_model_without_a_price_costs_nobody_knows_what_and_the_others_are_summed() -> None:
    parts = [of(None), of(TEXT)]
    assert parts[0]["cost_usd_micros"] is None
    assert total(parts)["cost_usd_micros"] == 30
    assert total(parts[:1])["cost_usd_micros"] is None
