"""Amounts by locale: symbol and separators of CLDR, decimals of ISO 4217."""

from __future__ import annotations

import pytest

from tallystick.model.billing.money import parse_money
from tallystick.render.amounts import localized

AMOUNTS = [
    ("1234.50", "USD", "en_US", "$1,234.50"),
    ("1234.50", "EUR", "de-DE", "1.234,50\N{NO-BREAK SPACE}€"),
    ("-5.00", "EUR", "de_DE", "-5,00\N{NO-BREAK SPACE}€"),
    ("1234", "JPY", "ja_JP", "￥1,234"),
    ("1.225", "KWD", "en_US", "KWD1.225"),
    ("10.125", "IQD", "en_US", "IQD10.125"),
]


@pytest.mark.parametrize(("amount", "currency", "locale", "text"), AMOUNTS)
def test_an_amount(amount: str, currency: str, locale: str, text: str) -> None:
    assert localized(parse_money(amount, currency), locale) == text


@pytest.mark.parametrize("locale", ["", "xx_YY", "english", "de DE"])
def test_an_unknown_locale_is_told(locale: str) -> None:
    with pytest.raises(ValueError, match=f"locale '{locale}' is not one such as en_US"):
        localized(parse_money("1.00", "EUR"), locale)
