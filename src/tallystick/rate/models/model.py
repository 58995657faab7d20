"""What every price model can do: read its keys of a charge, write them, price a slice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import ClassVar, Self

from tallystick.model.billing.invoices import UsageEvent
from tallystick.model.billing.price_book import PriceModel
from tallystick.rate.books.reader import Fields
from tallystick.rate.slices import Position, Priced, Slice


class QuantityModel(PriceModel, ABC):
    """A price model of a quantity. `NAME` is what a price book calls it, `KEYS` are the keys of a charge that are its own.

    Without `METERED` its charge names no meter. With `EVENTS` it needs a meter of events. Without `ALLOWANCES` it has no quantity
    of which units could be free or included. With `MARKET` each hour needs a market price. With
    `RATES` it prices five-minute rates, and nothing else does.
    """

    __slots__ = ()
    NAME: ClassVar[str]
    KEYS: ClassVar[tuple[str, ...]]
    METERED: ClassVar[bool] = True
    EVENTS: ClassVar[bool] = False
    ALLOWANCES: ClassVar[bool] = True
    MARKET: ClassVar[bool] = False
    RATES: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def read(cls, fields: Fields) -> Self:
        """The model of a charge as it is written; mistakes are noted by the fields."""

    @abstractmethod
    def write(self) -> Mapping[str, object]:
        """The keys of the model in a canonical document, such as `read` reads."""

    def refuses(self, event: UsageEvent) -> str:
        """Why an event has no price by this model; empty if it has one."""
        del event
        return ""

    def first_price(self) -> Fraction:
        """What a unit costs on demand in the first tier: what is dearest is covered by reservations first. 0 if no unit has a price."""
        return Fraction(0)

    @abstractmethod
    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """What a slice costs, one for each tier that it touches; their steps lead from the slice's quantity to the amount."""
