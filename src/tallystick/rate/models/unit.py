"""`unit`: quantity x price. 1,872 hours at 0.01 are 18.72 (billing.md, Price book)."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.model.billing.price_book import UnitModel
from tallystick.rate.books.reader import Fields
from tallystick.rate.slices import Position, Priced, Slice

NAME = "unit"
KEYS = ("price",)


def read(fields: Fields) -> UnitModel:
    """The model of a charge as it is written: `price`, per unit, in the plan's currency."""
    return UnitModel(price=fields.decimal("price", required=True))


def write(model: UnitModel) -> Mapping[str, str]:
    """The keys of the model in a canonical document."""
    return {"price": exact_text(model.price)}


def price(model: UnitModel, piece: Slice, position: Position) -> tuple[Priced, ...]:
    """Quantity x price, whatever came before."""
    del position
    amount = piece.quantity * model.price
    currency = piece.span.plan.currency
    text = f"{exact_text(piece.quantity)} {piece.charge.per} x {exact_text(model.price)} {currency}"
    step = Step(name=NAME, text=text, before=piece.quantity, after=amount, unit=currency)
    return (Priced(tier=1, quantity=piece.quantity, unit_price=model.price, amount=amount, steps=(step,)),)
