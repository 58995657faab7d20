"""Amounts as people of a locale write them, by CLDR: symbol, separators and their places (babel)."""

from __future__ import annotations

from copy import copy

from babel import Locale, UnknownLocaleError

from tallystick.model.billing.money import Money, minor_digits


def localized(amount: Money, locale: str) -> str:
    """An amount in the words of a locale such as `en_US` or `de-DE`: `¥1,100`, `US$1.099,98`.

    The decimals are those of ISO 4217, which the amount has, not those that CLDR shows in shops.

    Raises:
        ValueError: no such locale.

    """
    try:
        known = Locale.parse(locale.replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError):
        raise ValueError(f"locale {locale!r} is not one such as en_US") from None
    pattern = copy(known.currency_formats["standard"])
    digits = minor_digits(amount.currency)
    pattern.frac_prec = (digits, digits)
    return str(pattern.apply(amount.decimal, known, currency=amount.currency, currency_digits=False))
