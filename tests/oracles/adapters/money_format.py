"""Money format: an amount as people of a locale write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.model.billing.money import round_minor
from tallystick.render.amounts import localized
from tests.oracles.values import number

TOPIC = "money_format"

Fields = Mapping[str, Any]


def by_locale(inputs: Fields, policy: Fields) -> Fields:
    """The text of an amount, rounded to its minor unit."""
    return {"text": localized(round_minor(number(inputs["amount"]), inputs["currency"]), inputs["locale"])}


KINDS = {"locale": by_locale}
