"""Rounding: modes, and the minor unit of a currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.model.billing.money import Rounding, is_whole_minor, quotient, round_minor, rounded
from tests.oracles.values import number

TOPIC = "rounding"

Fields = Mapping[str, Any]

MODES = {
    "half_up": Rounding.HALF_CEILING,
    "half_down": Rounding.HALF_FLOOR,
    "half_away_from_zero": Rounding.HALF_UP,
    "half_towards_zero": Rounding.HALF_TOWARDS_ZERO,
    "half_even": Rounding.HALF_EVEN,
    "half_odd": Rounding.HALF_ODD,
    "up": Rounding.CEILING,
    "down": Rounding.FLOOR,
}
"""The names of the cases: their half up goes towards plus infinity, ours away from zero."""


def currency(inputs: Fields, policy: Fields) -> Fields:
    """An amount at the decimals of its currency, or at those that are told."""
    amount, mode = number(inputs["amount"]), MODES[inputs.get("mode") or "half_away_from_zero"]
    modes = {"amount": mode, "if_half_even": Rounding.HALF_EVEN}
    digits = inputs.get("digits")
    if digits is None:
        return {name: round_minor(amount, inputs["currency"], each) for name, each in modes.items()}
    return {name: rounded(amount, digits, each) for name, each in modes.items()}


def integer_divide(inputs: Fields, policy: Fields) -> Fields:
    """A whole quotient."""
    return {"result": quotient(inputs["numerator"], inputs["denominator"], MODES[inputs["mode"]])}


def is_rounded(inputs: Fields, policy: Fields) -> Fields:
    """Whether an amount has no more decimals than its currency."""
    return {"rounded": is_whole_minor(number(inputs["amount"]), inputs["currency"])}


KINDS = {"currency": currency, "integer_divide": integer_divide, "is_rounded": is_rounded}
