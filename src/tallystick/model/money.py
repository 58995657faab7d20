"""Money and exact quantities: amounts in minor units with a currency, exact rationals until the one rounding (billing.md, Money)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from babel.numbers import get_currency_precision, list_currencies


class Rounding(StrEnum):
    """How an exact amount becomes whole minor units. Half up means away from zero: a credit mirrors its charge."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"


def minor_digits(currency: str) -> int:
    """Decimals of an ISO 4217 currency: EUR 2, JPY 0, KWD 3, CLF 4.

    Raises:
        ValueError: no such currency.

    """
    if currency not in list_currencies(locale="en"):
        raise ValueError(f"currency {currency!r} is not an ISO 4217 code such as EUR")
    return int(get_currency_precision(currency))


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount in whole minor units of a currency: Money(minor=3420, currency="USD") is 34.20 USD."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse what is no integer: a float of money is an error at the type.

        Raises:
            TypeError: `minor` is not an int.

        """
        if type(self.minor) is not int:
            raise TypeError(f"money needs whole minor units, got {self.minor!r}")

    def __add__(self, other: Money) -> Money:
        """The sum of two amounts of one currency.

        Raises:
            ValueError: the currencies differ.

        """
        return Money(minor=self.minor + self._same(other), currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        """The difference of two amounts of one currency."""
        return Money(minor=self.minor - self._same(other), currency=self.currency)

    def _same(self, other: Money) -> int:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")
        return other.minor

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, exactly: 34.20."""
        return Decimal(self.minor).scaleb(-minor_digits(self.currency))

    @property
    def text(self) -> str:
        """The amount in major units with the currency's decimals: `34.20`."""
        return f"{self.decimal:f}"


def round_minor(amount: Fraction, currency: str, rounding: Rounding = Rounding.HALF_UP) -> Money:
    """The one rounding: an exact amount in major units to whole minor units. Fraction(1005, 1000) EUR is 1.01."""
    scaled = amount * 10 ** minor_digits(currency)
    whole, rest = divmod(abs(scaled.numerator), scaled.denominator)
    twice = 2 * rest
    up = twice > scaled.denominator or (twice == scaled.denominator and (rounding is Rounding.HALF_UP or whole % 2 == 1))
    magnitude = whole + up
    return Money(minor=magnitude if scaled >= 0 else -magnitude, currency=currency)


def largest_remainder(total: int, weights: Sequence[Fraction]) -> tuple[int, ...]:
    """Whole parts of `total` in proportion to `weights`, which add up to it; ties go to the earlier part.

    10 by weights 1, 1, 1 is 4, 3, 3. All weights 0 gives everything to the first part.

    Raises:
        ValueError: no weights, or one is negative.

    """
    if not weights or min(weights) < 0:
        raise ValueError(f"largest remainder needs weights of 0 or more, got {weights!r}")
    whole = sum(weights)
    shares = [total * weight / whole for weight in weights] if whole else [Fraction(total), *[Fraction(0)] * (len(weights) - 1)]
    parts = [share.numerator // share.denominator for share in shares]
    order = sorted(range(len(shares)), key=lambda place: (parts[place] - shares[place], place))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return tuple(parts)


def fraction_text(value: Fraction) -> str:
    """The exact text of a rational: `n/d`, or `n` when whole."""
    return str(value)


def parse_fraction(text: str) -> Fraction:
    """The rational of `n/d` or of a decimal text.

    Raises:
        ValueError: neither.

    """
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{text!r} is neither a fraction n/d nor a decimal") from None
