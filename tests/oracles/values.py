"""The values of cases as the product's types, and back: what adapters are made of. Here units are converted; nothing is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction

from tallystick.model.billing.money import Money, major_units
from tallystick.model.calendar import day_start
from tallystick.model.instants import SECOND_NS, iso, parse_iso

UNNAMED_CURRENCY = "USD"
"""Where a case names no currency, it has two decimals."""

MILLISECOND_NS = 10**6


def number(value: object) -> Fraction:
    """An amount or quantity: a whole number, a decimal text or `n/d`.

    Raises:
        ValueError: it is none.

    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is no exact number")
    return Fraction(value)


def numbers(values: Iterable[object]) -> tuple[Fraction, ...]:
    """Several of them."""
    return tuple(number(value) for value in values)


def optional(value: object) -> Fraction | None:
    """A number, or None for null."""
    return None if value is None else number(value)


def number_or_zero(value: object) -> Fraction:
    """A number, or 0 for what may be missing."""
    return Fraction(0) if value is None else number(value)


def whole_or_zero(value: int | None) -> int:
    """A whole number, or 0 for what may be missing."""
    return 0 if value is None else value


def number_or_text(value: object) -> Fraction | str:
    """A number where it is one, otherwise the text that it is."""
    try:
        return number(value)
    except ValueError:
        return str(value)


def cents(value: object) -> Fraction:
    """Minor units of a case in major units."""
    return major_units(number(value), UNNAMED_CURRENCY)


def span(pair: Sequence[str]) -> tuple[int, int]:
    """Two instants."""
    begin, end = pair
    return parse_iso(begin), parse_iso(end)


def days(pair: Sequence[str]) -> tuple[date, date]:
    """Two dates."""
    begin, end = pair
    return date.fromisoformat(begin), date.fromisoformat(end)


def instant_or_start(text: str | None) -> int:
    """An instant, or the beginning of time where it does not matter."""
    return 0 if text is None else parse_iso(text)


def optional_day(text: str | None) -> date | None:
    """A date, or None for null."""
    return None if text is None else date.fromisoformat(text)


def date_start(text: str, zone: str) -> int:
    """Where a local date begins."""
    return day_start(date.fromisoformat(text), zone)


def seconds(value: object) -> int:
    """Seconds in nanoseconds."""
    return int(number(value) * SECOND_NS)


def milliseconds(value: object) -> int:
    """Milliseconds in nanoseconds."""
    return int(number(value) * MILLISECOND_NS)


def in_seconds(nanoseconds: int) -> Fraction:
    """Nanoseconds in seconds."""
    return Fraction(nanoseconds, SECOND_NS)


def step(value: int) -> timedelta:
    """Seconds as the step of a grid of local times."""
    return timedelta(seconds=value)


def local(text: str) -> datetime:
    """A wall-clock time without offset."""
    return datetime.fromisoformat(text)


def plain(value: object) -> object:
    """An answer of the product as it is written in a case: money in major units, dates as texts, the rest as it is."""
    match value:
        case Money():
            return value.exact
        case date():
            return value.isoformat()
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case _:
            return value


def instant_text(at_ns: int) -> str:
    """An instant as text."""
    return iso(at_ns)
