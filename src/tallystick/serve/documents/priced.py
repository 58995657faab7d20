"""Documents of what is priced beside usage hours: market prices by the hour, and events."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from tallystick.model.billing.invoices import MarketPrice, UsageEvent
from tallystick.model.billing.money import decimal_text, parse_fraction
from tallystick.model.instants import HOUR_NS, iso
from tallystick.serve.documents.values import CurrencyCode, DecimalText, Document, Id, Instant, Name, ShownInstant
from tallystick.serve.problems import invalid
from tallystick.store.usage.priced import IdentifiedEvent, QuotedPrice

MOST = 1000


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
    meter: Annotated[str, StringConstraints(pattern=r"^events\.[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
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
