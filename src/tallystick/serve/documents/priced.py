"""Documents of what others tell: market prices by the hour, events, and usage records, each of which is read by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, WithJsonSchema, WrapValidator

from tallystick.model.billing.invoices import MarketPrice, UsageEvent
from tallystick.model.billing.money import decimal_text, parse_fraction
from tallystick.model.instants import HOUR_NS, iso
from tallystick.model.outcomes import BatchResult, Outcome, Refusal, RefusalCode
from tallystick.model.records import SentRecord
from tallystick.serve.documents.values import (
    EVENT_METER_PATTERN,
    CurrencyCode,
    DecimalText,
    Document,
    Id,
    Instant,
    Name,
    ShownInstant,
    as_text,
    whole_number,
)
from tallystick.serve.faults import validation_problem
from tallystick.serve.problems import invalid, shown
from tallystick.store.usage.priced import IdentifiedEvent, QuotedPrice

MOST = 1000
MOST_RECORDS = 10_000
"""As by rpc."""

Digits = Annotated[
    str,
    BeforeValidator(as_text),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[0-9]{1,40}$"}, {"type": "integer", "minimum": 0}]}),
]
"""A whole number of any size that is read, as its digits."""


class NewMarketPrice(Document):
    """What the market asks in an hour for resources of a region and kind, per unit of a `spot` charge."""

    region: Name = ""
    kind: Name = ""
    hour: Instant
    price: DecimalText
    currency: CurrencyCode

    def value(self, place: str) -> QuotedPrice:
        """The same as a value.

        Raises:
            Problem: the hour is no whole one.

        """
        if self.hour % HOUR_NS:
            raise invalid(f"{place}.hour", iso(self.hour), f"{place}.hour: {iso(self.hour)} is no whole hour of UTC")
        price = MarketPrice(region=self.region, kind=self.kind, hour_ns=self.hour, price=parse_fraction(self.price))
        return QuotedPrice(price=price, currency=self.currency)


class NewMarketPrices(Document):
    """Market prices, each once for ever."""

    prices: Annotated[tuple[NewMarketPrice, ...], Field(min_length=1, max_length=MOST)]


class ShownMarketPrice(Document):
    """A market price."""

    region: str
    kind: str
    hour: ShownInstant
    price: str
    currency: str


class NewEvent(Document):
    """An event that is priced: its id, unique for ever, its meter `events.NAME`, its amount, and the price that it brings, if any."""

    id: Id
    resource_id: Id
    meter: Annotated[str, StringConstraints(pattern=EVENT_METER_PATTERN)]
    at: Instant
    amount: DecimalText
    price: DecimalText | None = None

    def value(self) -> IdentifiedEvent:
        """The same as a value."""
        price = None if self.price is None else parse_fraction(self.price)
        event = UsageEvent(resource_id=self.resource_id, meter=self.meter, at_ns=self.at, amount=parse_fraction(self.amount), price=price)
        return IdentifiedEvent(id=self.id, event=event)


class NewEvents(Document):
    """Events, each once for ever."""

    events: Annotated[tuple[NewEvent, ...], Field(min_length=1, max_length=MOST)]


class Kept(Document):
    """How many were stored, and how many had been stored before."""

    stored: int
    repeated: int


def shown_price(quoted: QuotedPrice) -> ShownMarketPrice:
    """A market price as a document."""
    price = quoted.price
    return ShownMarketPrice(
        region=price.region, kind=price.kind, hour=iso(price.hour_ns), price=decimal_text(price.price), currency=quoted.currency
    )


class NewRecord(Document):
    """An amount of one meter of a resource over [from, until), in the meter's base unit, as a source measured it.

    It is one record by `source`, `record_id` and `meter`, for ever. `peak` is of `memory.used`: the largest memory in it, in bytes.
    """

    source: str
    record_id: str
    resource_id: str
    meter: str
    from_: Instant = Field(alias="from")
    until: Instant
    amount: Digits
    peak: Annotated[int, BeforeValidator(whole_number)] | None = None

    def value(self) -> SentRecord:
        """The same as a value."""
        return SentRecord(
            source=self.source,
            record_id=self.record_id,
            resource_id=self.resource_id,
            meter=self.meter,
            from_ns=self.from_,
            until_ns=self.until,
            amount=self.amount,
            peak=self.peak,
        )


def _apart(sent: object, read: Callable[[object], NewRecord]) -> SentRecord | Refusal:
    """A record, or why it cannot be read: it costs none beside it."""
    try:
        return read(sent).value()
    except ValidationError as error:
        problem = validation_problem(error.errors(include_url=False))
        return Refusal(code=RefusalCode.DAMAGED, field=problem.field, value=shown(problem.value))


class NewRecords(Document):
    """Usage records, each stored or refused by itself."""

    records: Annotated[tuple[Annotated[NewRecord, WrapValidator(_apart)], ...], Field(min_length=1, max_length=MOST_RECORDS)]

    def values(self) -> tuple[SentRecord | Refusal, ...]:
        """Each as it was read."""
        return self.records  # type: ignore[return-value]  # each was read by `_apart`


class ShownOutcome(Document):
    """What became of a record. Refused: a stable `code`, field and value at fault. Conflict: what is stored under its identity stays."""

    outcome: Outcome
    code: RefusalCode | None
    field: str | None
    value: str | None
    stored_hash: str | None
    sent_hash: str | None


class ShownOutcomes(Document):
    """What became of each record, in their order."""

    records: tuple[ShownOutcome, ...]


def shown_outcome(result: BatchResult) -> ShownOutcome:
    """An outcome as a document."""
    refusal = result.refusal
    return ShownOutcome(
        outcome=result.outcome,
        code=None if refusal is None else refusal.code,
        field=None if refusal is None else refusal.field,
        value=None if refusal is None else shown(refusal.value),
        stored_hash=result.stored_hash or None,
        sent_hash=result.sent_hash or None,
    )
