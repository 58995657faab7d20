"""A bare quantity through the one way that prices charges: allowance, model, cap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from tallystick.model.billing.invoices import Share, UsagePart
from tallystick.model.billing.price_book import Charge, Plan, PriceBook, PriceModel, PriceSpan
from tallystick.model.instants import CELLS_PER_HOUR
from tallystick.rate.charge import GroupUsage, drafts_of
from tallystick.rate.slices import Priced, Slice, Terms

QUOTE = "quote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a quantity costs, one part for each tier that it touches."""

    parts: tuple[Priced, ...]

    @property
    def amount(self) -> Fraction:
        """The whole of it, exact, before any rounding."""
        return sum((part.amount for part in self.parts), Fraction(0))

    @property
    def quantity(self) -> Fraction:
        """What was priced after the allowance: units, or packages where they are counted."""
        return sum((part.quantity for part in self.parts), Fraction(0))


def quoted(
    model: PriceModel,
    quantity: Fraction,
    *,
    before: Fraction = Fraction(0),
    free: Fraction = Fraction(0),
    cap: Fraction | None = None,
    currency: str = "USD",
) -> Quote:
    """What a quantity of one resource costs when `before` of the same period came before it, which is not in the quote.

    121 in packages of 10 at 100 with 20 free are 11 packages: 1,100.

    Raises:
        ValueError: a quantity below 0, or one that the model has no price for.

    """
    if quantity < 0 or before < 0:
        raise ValueError(f"quantity {min(quantity, before)} is negative")
    charge = Charge(id=QUOTE, name=QUOTE, meter="", per="unit", model=model, free=free, cap=cap)
    plan = Plan(id=QUOTE, name=QUOTE, currency=currency, charges=(charge,))
    span = PriceSpan(from_ns=0, until_ns=0, book=PriceBook(id=QUOTE, version=1, effective_from_ns=0, plans=(plan,)), plan=plan)
    pieces = (_piece(span, charge, before, 1), _piece(span, charge, quantity, 2))
    used = GroupUsage(group=(), slices=pieces, shares=(Share(), Share()), service=((0, 0), (0, 0)))
    drafts = drafts_of((used,), Terms(charge=charge, active=Fraction(1)))
    return Quote(parts=tuple(draft.priced for draft in drafts if draft.piece.ordinal == pieces[-1].ordinal))


def _piece(span: PriceSpan, charge: Charge, quantity: Fraction, ordinal: int) -> Slice:
    """A quantity as if one resource had used it in one hour."""
    cells = (quantity.numerator, *(0,) * (CELLS_PER_HOUR - 1))
    part = UsagePart(resource_id=QUOTE, divisor=Fraction(quantity.denominator), hours=((0, cells),))
    return Slice(ordinal=ordinal, span=span, charge=charge, parts=(part,), quantity=quantity)


def each_alone(model: PriceModel, quantities: Iterable[Fraction]) -> Fraction:
    """What quantities cost when each has a period of its own, as with an hourly cycle: 9 and 10 in packages of 10 are 2 packages."""
    return sum((quoted(model, quantity).amount for quantity in quantities), Fraction(0))


def together(quotes: Iterable[Quote]) -> Fraction:
    """The sum of several quotes, exact."""
    return sum((quote.amount for quote in quotes), Fraction(0))


def capped_from(model: PriceModel, quantity: Fraction, *, cap: Fraction, reached_at: Fraction) -> Fraction:
    """What a quantity costs when a fixed price takes over: `cap` at most, and from `reached_at` units on exactly that.

    At 0.007 an hour with 5.00 from 672 hours on, 100 h are 0.70 and 672 h are 5.00.
    """
    return cap if quantity >= reached_at else quoted(model, quantity, cap=cap).amount


def discount_of(model: PriceModel, quantity: Fraction) -> Fraction:
    """How many percent less a quantity costs than at 1 for each unit: 75 at 1, 0.8 and 0.6 by 25 are 60, which is 20 %.

    Raises:
        ValueError: of nothing, which has no discount.

    """
    if not quantity:
        raise ValueError("nothing has no discount")
    return 100 * (1 - quoted(model, quantity).amount / quantity)


def mean_price(amount: Fraction, quantity: Fraction) -> Fraction | None:
    """What a unit cost on average; None of nothing."""
    return amount / quantity if quantity else None
