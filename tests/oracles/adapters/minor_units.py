"""Minor units: decimals of a currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.model.billing.money import MINOR_DIGITS

TOPIC = "minor_units"

Fields = Mapping[str, Any]


def iso4217(inputs: Fields, policy: Fields) -> Fields:
    """The decimals; a code without a minor unit is no money here."""
    return {"minor_unit_digits": MINOR_DIGITS.get(inputs["currency"])}


KINDS = {"iso4217": iso4217}
