"""One charge of one subscription into lines: adjustments in their order, the model, one rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.invoices import Derivation, Line, LineKind, Share, Step, line_key
from tallystick.model.billing.money import Money, exact_text, round_parts
from tallystick.rate.adjustments import free_allowance
from tallystick.rate.models.registry import model_of
from tallystick.rate.slices import Position, Priced, Slice, Terms

Group = tuple[tuple[str, str], ...]

QUANTITY_ADJUSTMENTS = (
    # Free units leave first: what is given away may not fill a tier, nor an included amount that was paid for.
    free_allowance.adjust,
)
"""Before the model, each `adjust(slices, terms) -> slices`, in the order of billing.md: free allowance, included amount.

What changes amounts after the model (the cap) is a tuple of its own beside this one: it sees money, not quantities.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupUsage:
    """The usage of one group of a charge: its slices in order of price versions, with the coverage and service period of each."""

    group: Group
    slices: tuple[Slice, ...]
    shares: tuple[Share, ...]
    service: tuple[tuple[int, int], ...]


def price_charge(subscription: Subscription, groups: Sequence[GroupUsage], terms: Terms) -> tuple[Line, ...]:
    """The lines of one charge in order of groups, versions and tiers; their amounts add up to its one rounding."""
    drafts = [draft for usage in groups for draft in _priced(usage, terms)]
    if not drafts:
        return ()
    plan = drafts[-1][1].span.plan
    exact = sum((priced.amount for _, _, priced, _, _ in drafts), Fraction(0))
    total, parts = round_parts([priced.amount for _, _, priced, _, _ in drafts], plan.currency, plan.rounding)
    once = f"the charge's {exact_text(exact)} rounded once, {plan.rounding}, is {total.text} {total.currency}"
    return tuple(_line(subscription, draft, part, once) for draft, part in zip(drafts, parts, strict=True))


Draft = tuple[Group, Slice, Priced, Share, tuple[int, int]]


def _priced(usage: GroupUsage, terms: Terms) -> list[Draft]:
    slices = usage.slices
    for adjust in QUANTITY_ADJUSTMENTS:
        slices = adjust(slices, terms)
    total = sum((piece.quantity for piece in slices), Fraction(0))
    before = Fraction(0)
    drafts: list[Draft] = []
    for piece, share, service in zip(slices, usage.shares, usage.service, strict=True):
        priced = model_of(piece.charge.model).priced(piece, Position(before=before, total=total))
        drafts += [(usage.group, piece, each, share, service) for each in priced]
        before += piece.quantity
    return drafts


def _line(subscription: Subscription, draft: Draft, amount: Money, once: str) -> Line:
    group, piece, priced, share, (start_ns, end_ns) = draft
    span, charge = piece.span, piece.charge
    text = f"{once}, to its lines by largest remainder"
    rounding = Step(name="rounding", text=text, before=priced.amount, after=amount.exact, unit=amount.currency)
    return Line(
        key=line_key(subscription.id, charge.id, group, (piece.ordinal, priced.tier), (start_ns, end_ns)),
        kind=LineKind.USAGE,
        subscription_id=subscription.id,
        charge_id=charge.id,
        group=group,
        plan_id=span.plan.id,
        book_id=span.book.id,
        book_version=span.book.version,
        tier=priced.tier,
        service_start_ns=start_ns,
        service_end_ns=end_ns,
        description=" · ".join([charge.name, *(value or f"no {name}" for name, value in group)]),
        meter=charge.meter,
        quantity=priced.quantity,
        unit=priced.unit or charge.per,
        unit_price=priced.unit_price,
        fixed=priced.fixed,
        amount=amount,
        derivation=Derivation(parts=piece.parts, steps=(*piece.steps, *priced.steps, rounding), unrounded=priced.amount),
        share=share,
    )
