"""Kinds of values in the documents: ids, texts, instants, exact numbers, money; each with the pattern that the OpenAPI shows."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from tallystick.model.billing.money import MINOR_DIGITS, Money, decimal_text, fraction_text
from tallystick.model.instants import LATEST_NS, iso, parse_iso

LONGEST_NAME = 200
LONGEST_ID = 512
"""The names of nested control groups are ids, and long."""
LARGEST_INTEGER = 2**63 - 1
NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
NO_BLANK_ENDS = r"^[^\x00-\x20\x7f-\xa0\u2028\u2029]([^\x00-\x1f\x7f-\x9f\u2028\u2029]*[^\x00-\x20\x7f-\xa0\u2028\u2029])?$"
INSTANT_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$"
DECIMAL_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,12})?$"
AMOUNT_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"
EXACT_PATTERN = r"^-?[0-9]+(/[0-9]+)?$"
PERCENT_PATTERN = r"^(100(\.0{1,12})?|[0-9]{1,2}(\.[0-9]{1,12})?)$"
CURRENCY_PATTERN = r"^[A-Z]{3}$"
EVENT_METER_PATTERN = r"^events\.[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

PATTERNS_SAY = {
    DECIMAL_PATTERN: "is not a decimal of 0 or more with at most 12 decimals, such as 0.01",
    PERCENT_PATTERN: "is not a percentage from 0 to 100, such as 12.5",
    CURRENCY_PATTERN: "is not an ISO 4217 code such as EUR",
    EVENT_METER_PATTERN: "is not a meter of events such as events.orders",
    NO_CONTROLS: "has a line break or another control character",
    NO_BLANK_ENDS: "has a blank at an end, or a control character",
}
"""What is wrong with a text that does not match, in words."""


class Document(BaseModel):
    """A document: a field that it does not have is refused by its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _instant(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("an instant is a text such as 2026-03-10T08:00:00Z")
    at_ns = parse_iso(value)
    if not 0 <= at_ns <= LATEST_NS:
        raise ValueError(f"{value!r} is not between 1970 and 2262")
    return at_ns


def whole_number(value: object) -> object:
    """What JSON has as a whole number: no truth value, and nothing with decimals."""
    if isinstance(value, bool | float):
        raise ValueError("a whole number is needed")
    return value


def as_text(value: object) -> object:
    """A whole number as its text; one with decimals was read inexactly already."""
    if type(value) is int:
        return str(value)
    if isinstance(value, float):
        raise ValueError('a number with decimals is sent as a text: "0.5"')
    return value


def _currency(value: str) -> str:
    if value not in MINOR_DIGITS:
        raise ValueError(f"{value!r} is not an ISO 4217 code such as EUR")
    return value


Id = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID, pattern=NO_BLANK_ENDS)]
"""An id as its source names it: any text of 1 to 512 characters without control characters and without blanks at its ends."""

Name = Annotated[str, StringConstraints(max_length=LONGEST_NAME, pattern=NO_CONTROLS)]

Labels = Annotated[dict[Id, Name], Field(max_length=64)]

CurrencyCode = Annotated[
    str, AfterValidator(_currency), WithJsonSchema({"type": "string", "pattern": CURRENCY_PATTERN, "enum": sorted(MINOR_DIGITS)})
]

Instant = Annotated[
    int,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": INSTANT_PATTERN, "examples": ["2026-03-10T08:00:00Z"]}),
]
"""An instant that is read: ISO 8601 with offset, to the nanosecond; its value is nanoseconds since the epoch."""

ShownInstant = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time", "pattern": INSTANT_PATTERN})]
"""An instant that is shown: ISO 8601 in UTC with as many decimals as it has."""

DecimalText = Annotated[
    str,
    BeforeValidator(as_text),
    StringConstraints(pattern=DECIMAL_PATTERN),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": DECIMAL_PATTERN}, {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}]}),
]
"""A number of 0 or more that is read: a text such as `0.5`, or a whole number."""

ShownNumber = Annotated[str, StringConstraints(pattern=AMOUNT_PATTERN)]
"""A plain decimal that is shown."""

ExactText = Annotated[str, StringConstraints(pattern=EXACT_PATTERN)]
"""An exact rational that is shown, `n/d` or `n`."""

Integer = Annotated[int, BeforeValidator(whole_number), Field(ge=0, le=LARGEST_INTEGER)]
"""A whole number from 0 to 2^63 - 1 that is read."""


class ShownMoney(Document):
    """An amount in major units with the currency's decimals, and the currency."""

    amount: ShownNumber
    currency: Annotated[str, StringConstraints(pattern=CURRENCY_PATTERN)]


class Exact(Document):
    """An exact rational `n/d` (or `n`), and the same as a decimal of up to twelve places for people."""

    exact: ExactText
    decimal: ShownNumber


Item = TypeVar("Item")


class Listing(Document, Generic[Item]):
    """A page of a list, newest first. `next_cursor` asks for the page after it; null: this is the last."""

    items: Sequence[Item]
    next_cursor: str | None


def shown_money(amount: Money) -> ShownMoney:
    """34.20 USD as `{"amount": "34.20", "currency": "USD"}`."""
    return ShownMoney(amount=amount.text, currency=amount.currency)


def shown_instant(at_ns: int | None) -> str | None:
    """An instant, or null."""
    return None if at_ns is None else iso(at_ns)


def exact(value: Fraction) -> Exact:
    """A rational, exactly and for people."""
    return Exact(exact=fraction_text(value), decimal=decimal_text(value))
