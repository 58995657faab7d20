"""`surcharge`: a share of named other charges after their adjustments (billing.md, Price book). rate/totals/surcharges.py prices it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from typing import ClassVar, Self

from tallystick.model.billing.money import exact_text
from tallystick.model.billing.price_book import Charge
from tallystick.rate.books.reader import Fields
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.slices import Position, Priced, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class SurchargeModel(QuantityModel):
    """`surcharge`: `percent` of what the lines of `charges` come to, of each price version by its own."""

    NAME: ClassVar[str] = "surcharge"
    KEYS: ClassVar[tuple[str, ...]] = ("percent", "of")
    METERED: ClassVar[bool] = False

    percent: Fraction
    charges: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`percent`, and the ids of charges that it is `of`."""
        charges = fields.words("of", "ids of charges")
        if "of" not in fields.nodes:
            fields.wrong("of", "nothing", "the ids of the charges that it is a share of")
        return cls(percent=fields.decimal("percent", required=True), charges=charges)

    def write(self) -> Mapping[str, object]:
        """`percent` and `of`."""
        return {"percent": exact_text(self.percent), "of": list(self.charges)}

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """Never: it has no quantity.

        Raises:
            TypeError: always.

        """
        raise TypeError(f"a surcharge prices other charges, not {exact_text(piece.quantity)} at {position.before}")


class SurchargeCycle(ValueError):  # noqa: N818 (it is a state of a price book, not a fault)
    """Surcharges are shares of each other: `names` are their ids."""

    def __init__(self, names: Sequence[str]) -> None:
        """Say which is of which."""
        super().__init__(f"surcharges are shares of each other: {' of '.join(names)}")
        self.names = frozenset(names)


def surcharge_of(charge: Charge) -> SurchargeModel | None:
    """The model of a charge that is a surcharge."""
    return charge.model if isinstance(charge.model, SurchargeModel) else None


def in_order(charges: Iterable[Charge]) -> tuple[str, ...]:
    """The ids of surcharges such that each comes after those that it is a share of.

    Raises:
        SurchargeCycle: they are shares of each other.

    """
    shares: dict[str, set[str]] = {}
    for charge in charges:
        model = surcharge_of(charge)
        if model is not None:
            shares.setdefault(charge.id, set()).update(model.charges)
    try:
        return tuple(name for name in TopologicalSorter(shares).static_order() if name in shares)
    except CycleError as error:
        raise SurchargeCycle(tuple(reversed(error.args[1]))) from None
