"""One charge of one subscription into lines: adjustments in their order, the model, one rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.invoices import Derivation, Line, LineKind, Share, Step, UsageEvent, line_key
from tallystick.model.billing.money import Money, exact_text, round_parts
from tallystick.rate.adjustments import cap, free_allowance, included_amount, reserved, run_rules, trial
from tallystick.rate.models.registry import model_of
from tallystick.rate.slices import Draft, Position, Priced, Slice, Terms

Group = tuple[tuple[str, str], ...]

QUANTITY_ADJUSTMENTS = (
    # How long a run counts is how much was used: everything else is of that.
    run_rules.adjust,
    # What a reservation has paid for leaves before anything is given away, and before any tier counts.
    reserved.adjust,
    # Free units leave first: what is given away may not use up an included amount, which was paid for.
    free_allowance.adjust,
    # Then what a fee pays for: what is left is overage, and only that fills tiers.
    included_amount.adjust,
)
"""Before the model, each `adjust(slices, terms) -> slices`, in the order of billing.md, after what runs count and what is reserved."""

AMOUNT_ADJUSTMENTS = (
    # A trial costs nothing, so nothing of it was charged when the cap counts.
    trial.adjust,
    # The cap sees what the model says of everything, over all groups and versions: it is the last word on a resource.
    cap.adjust,
)
"""After the model, each `adjust(drafts, terms) -> drafts`: they see money, not quantities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupUsage:
    """The usage of one group of a charge: its slices in order of price versions, with the coverage and service period of each."""

    group: Group
    slices: tuple[Slice, ...]
    shares: tuple[Share, ...]
    service: tuple[tuple[int, int], ...]


def price_charge(subscription: Subscription, groups: Sequence[GroupUsage], terms: Terms) -> tuple[Line, ...]:
    """The lines of one charge in order of groups, versions and tiers; their amounts add up to its one rounding."""
    drafts = drafts_of(groups, terms)
    if not drafts:
        return ()
    plan = drafts[-1].piece.span.plan
    amounts = [draft.priced.amount for draft in drafts]
    total, parts = round_parts(amounts, plan.currency, plan.rounding)
    exact = exact_text(sum(amounts, Fraction(0)))
    once = f"the charge's {exact} rounded once, {plan.rounding}, is {total.text} {total.currency}"
    return tuple(_line(subscription, draft, part, once) for draft, part in zip(drafts, parts, strict=True))


def drafts_of(groups: Sequence[GroupUsage], terms: Terms) -> tuple[Draft, ...]:
    """The lines of a charge before their rounding: allowances, then the model, then what sees its amounts."""
    drafts = tuple(draft for usage in groups for draft in _priced(usage, terms))
    for adjust in AMOUNT_ADJUSTMENTS:
        drafts = adjust(drafts, terms)
    return drafts


def _priced(usage: GroupUsage, terms: Terms) -> list[Draft]:
    slices = usage.slices
    for adjust in QUANTITY_ADJUSTMENTS:
        slices = adjust(slices, terms)
    total = sum((piece.quantity for piece in slices), Fraction(0))
    before = Fraction(0)
    events: tuple[UsageEvent, ...] = ()
    slots = tuple(slot for piece in slices for slot in piece.slots)
    active = Fraction(1) if terms.charge.lifetime else terms.share
    filled = terms.filled.get(usage.group, Fraction(0))
    drafts: list[Draft] = []
    for piece, share, service in zip(slices, usage.shares, usage.service, strict=True):
        position = Position(before=before, total=total, active=active, events=events, slots=slots, filled=filled)
        priced = model_of(piece.charge.model).priced(piece, position)
        drafts += [Draft(group=usage.group, piece=piece, priced=each, share=share, service=service) for each in priced]
        before += piece.quantity
        events += piece.events
    return drafts


def _trial(priced: Priced) -> tuple[str, ...]:
    return tuple(step.name for step in priced.steps[-1:] if step.name == trial.NAME)


def _line(subscription: Subscription, draft: Draft, amount: Money, once: str) -> Line:
    group, piece, priced, (start_ns, end_ns) = draft.group, draft.piece, draft.priced, draft.service
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
        description=" · ".join([charge.name, *(value or f"no {name}" for name, value in group), *_trial(priced)]),
        meter=charge.meter,
        quantity=priced.quantity,
        unit=priced.unit or charge.per,
        unit_price=priced.unit_price,
        fixed=priced.fixed,
        amount=amount,
        derivation=Derivation(parts=piece.parts, steps=(*piece.steps, *priced.steps, rounding), unrounded=priced.amount),
        share=draft.share,
    )
