"""What every price model can do: read its keys of a charge, write them, price a slice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

from tallystick.model.billing.price_book import PriceModel
from tallystick.rate.books.reader import Fields
from tallystick.rate.slices import Position, Priced, Slice


class QuantityModel(PriceModel, ABC):
    """A price model of a quantity. `NAME` is what a price book calls it, `KEYS` are the keys of a charge that are its own."""

    __slots__ = ()
    NAME: ClassVar[str]
    KEYS: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def read(cls, fields: Fields) -> Self:
        """The model of a charge as it is written; mistakes are noted by the fields."""

    @abstractmethod
    def write(self) -> Mapping[str, object]:
        """The keys of the model in a canonical document, such as `read` reads."""

    @abstractmethod
    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """What a slice costs, one for each tier that it touches; their steps lead from the slice's quantity to the amount."""
