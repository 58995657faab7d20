"""Money and exact quantities: amounts in minor units with a currency, exact rationals until the one rounding (billing.md, Money)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import assert_never

DECIMAL_TEXT = re.compile(r"-?[0-9]+(\.[0-9]+)?")

CODES = {
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU "
        "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS "
        "KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB "
        "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD "
        "TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG "
    ),
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""ISO 4217, list one, by decimals of the minor unit. Metals, funds and test codes have none and are no money here.

Not from CLDR (babel): its digits are those of cash and display, where IQD and MGA have 0; ISO says 3 and 2.
"""

MINOR_DIGITS: Mapping[str, int] = {code: digits for digits, codes in CODES.items() for code in codes.split()}


class Rounding(StrEnum):
    """How an exact number becomes whole. Half up means away from zero: a credit mirrors its charge.

    Money is rounded by one of `ROUNDINGS`; the others are for quantities, and for figures that came rounded from elsewhere.
    """

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    HALF_ODD = "half_odd"
    HALF_TOWARDS_ZERO = "half_towards_zero"
    HALF_CEILING = "half_ceiling"
    HALF_FLOOR = "half_floor"
    CEILING = "ceiling"
    FLOOR = "floor"


ROUNDINGS = (Rounding.HALF_UP, Rounding.HALF_EVEN)
"""Those of money: the one rounding of a price book's plan."""


def minor_digits(currency: str) -> int:
    """Decimals of an ISO 4217 currency: EUR 2, JPY 0, KWD 3, CLF 4.

    Raises:
        ValueError: no such currency.

    """
    if currency not in MINOR_DIGITS:
        raise ValueError(f"currency {currency!r} is not an ISO 4217 code such as EUR")
    return MINOR_DIGITS[currency]


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
    def exact(self) -> Fraction:
        """The amount in major units as a rational: 171/5 for 34.20."""
        return Fraction(self.minor, 10 ** minor_digits(self.currency))

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, exactly: 34.20."""
        return Decimal(self.minor).scaleb(-minor_digits(self.currency))

    @property
    def text(self) -> str:
        """The amount in major units with the currency's decimals: `34.20`."""
        return f"{self.decimal:f}"


def parse_money(amount: str, currency: str) -> Money:
    """The money of a text such as `34.20`: `Money(minor=3420, currency="USD")`.

    Raises:
        ValueError: it is no decimal, has more decimals than the currency, or there is no such currency.

    """
    digits = minor_digits(currency)
    if not DECIMAL_TEXT.fullmatch(amount):
        raise ValueError(f"amount {amount!r} is not a decimal such as 34.20")
    minor = Fraction(amount) * 10**digits
    if minor.denominator != 1:
        raise ValueError(f"amount {amount!r} has more than the {digits} decimals of {currency}")
    return Money(minor=minor.numerator, currency=currency)


def quotient(numerator: int, denominator: int, rounding: Rounding = Rounding.HALF_UP) -> int:
    """The whole number that numerator / denominator is rounded to: -5 / 2 is -3, by half even -2.

    Raises:
        ValueError: the denominator is 0.

    """
    if denominator == 0:
        raise ValueError(f"{numerator} / 0 is no quotient")
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    below, rest = divmod(numerator, denominator)
    match rounding:
        case Rounding.FLOOR:
            up = False
        case Rounding.CEILING:
            up = rest > 0
        case _ if 2 * rest != denominator:
            up = 2 * rest > denominator
        case Rounding.HALF_UP:
            up = below >= 0
        case Rounding.HALF_TOWARDS_ZERO:
            up = below < 0
        case Rounding.HALF_EVEN:
            up = below % 2 == 1
        case Rounding.HALF_ODD:
            up = below % 2 == 0
        case Rounding.HALF_CEILING:
            up = True
        case Rounding.HALF_FLOOR:
            up = False
        case _:
            assert_never(rounding)
    return below + up


def rounded(number: Fraction, digits: int = 0, rounding: Rounding = Rounding.HALF_UP) -> Fraction:
    """A number at so many decimals; below 0, at tens, hundreds and so on: 123.456 at -2 is 100, by ceiling 200."""
    step = Fraction(10) ** -digits
    steps = number / step
    return quotient(steps.numerator, steps.denominator, rounding) * step


def round_minor(amount: Fraction, currency: str, rounding: Rounding = Rounding.HALF_UP) -> Money:
    """The one rounding: an exact amount in major units to whole minor units. Fraction(1005, 1000) EUR is 1.01.

    Raises:
        TypeError: the amount is no Fraction: an inexact amount is never rounded into money.

    """
    if not isinstance(amount, Fraction):
        raise TypeError(f"only an exact Fraction is rounded, got {amount!r}")
    scaled = amount * _minor_per_major(currency)
    return Money(minor=quotient(scaled.numerator, scaled.denominator, rounding), currency=currency)


def _minor_per_major(currency: str) -> int:
    return int(10 ** minor_digits(currency))


def major_units(minor: Fraction, currency: str) -> Fraction:
    """An amount in minor units, whole or not, in major units: 1/2 cent is 1/200."""
    return minor / _minor_per_major(currency)


def is_whole_minor(amount: Fraction, currency: str) -> bool:
    """Whether an amount in major units has no more decimals than its currency: 1.22 USD has, 1.225 USD has not."""
    return (amount * _minor_per_major(currency)).denominator == 1


def round_parts(amounts: Sequence[Fraction], currency: str, rounding: Rounding = Rounding.HALF_UP) -> tuple[Money, tuple[Money, ...]]:
    """The one rounding of a sum, and whole minor units of each of its parts that add up to it.

    Each part gets its whole minor units, and what the rounded sum has beyond them goes by largest remainder, ties to the
    earlier: 0.333, 0.333, 0.334 are 1.00 = 0.33 + 0.33 + 0.34. A sum below 0 mirrors its opposite.
    """
    total = round_minor(sum(amounts, Fraction(0)), currency, rounding)
    if len(amounts) == 1:
        return total, (total,)
    sign = -1 if total.minor < 0 else 1
    each = sign * _minor_per_major(currency)
    exact = [amount * each for amount in amounts]
    parts = [amount.numerator // amount.denominator for amount in exact]
    order = sorted(range(len(parts)), key=lambda place: (parts[place] - exact[place], place))
    for place in order[: sign * total.minor - sum(parts)]:
        parts[place] += 1
    return total, tuple(Money(minor=sign * part, currency=currency) for part in parts)


def percent_of(amount: Money, percent: Fraction, rounding: Rounding = Rounding.HALF_UP) -> Money:
    """A share of an amount that is shown, rounded once: 20 % of 19.29 are 3.86."""
    return round_minor(amount.exact * percent / 100, amount.currency, rounding)


def largest_remainder(total: int, weights: Sequence[Fraction]) -> tuple[int, ...]:
    """Whole parts of `total` in proportion to `weights`, which add up to it; ties go to the earlier part.

    10 by weights 1, 1, 1 is 4, 3, 3; -10 is -4, -3, -3: a credit mirrors its charge. All weights 0 gives everything to the
    first part.

    Raises:
        ValueError: no weights, or one is negative.

    """
    if not weights or min(weights) < 0:
        raise ValueError(f"largest remainder needs weights of 0 or more, got {weights!r}")
    if total < 0:
        return tuple(-part for part in largest_remainder(-total, weights))
    whole = sum(weights)
    shares = [total * weight / whole for weight in weights] if whole else [Fraction(total), *[Fraction(0)] * (len(weights) - 1)]
    parts = [share.numerator // share.denominator for share in shares]
    order = sorted(range(len(shares)), key=lambda place: (parts[place] - shares[place], place))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return tuple(parts)


def shared_decimals(amount: Fraction, weights: Sequence[Fraction], digits: int) -> tuple[Fraction, ...]:
    """Parts of `amount` with at most `digits` decimals, by largest remainder: 1 by 1, 2 with 2 decimals is 0.33, 0.67.

    Raises:
        ValueError: the amount has more decimals, or the weights cannot share anything.

    """
    steps = amount * 10**digits
    if steps.denominator != 1:
        raise ValueError(f"amount {exact_text(amount)} has more than {digits} decimals")
    return tuple(Fraction(part, 10**digits) for part in largest_remainder(steps.numerator, weights))


def decimal_text(value: Fraction, decimals: int = 12) -> str:
    """A rational as a plain decimal without trailing zeros, rounded half up at `decimals` if it is not finite: for people to read."""
    whole, rest = divmod(abs(value.numerator) * 10**decimals, value.denominator)
    digits = f"{whole + (2 * rest >= value.denominator):0{decimals + 1}d}"
    text = f"{digits[: len(digits) - decimals]}.{digits[len(digits) - decimals :]}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 and text != "0" else text


def exact_text(value: Fraction) -> str:
    """A rational for people without loss: a plain decimal where twelve decimals hold it, else `n/d`."""
    return str(value) if 10**12 % value.denominator else decimal_text(value)


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
