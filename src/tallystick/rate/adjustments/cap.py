"""Cap: the most that one resource costs by a charge in a period (billing.md, `capped`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.slices import Draft, Slice, Terms

NAME = "cap"


def adjust(drafts: Sequence[Draft], terms: Terms) -> tuple[Draft, ...]:
    """The drafts of a charge, none of its resources above the cap in force at the period's end; what came earlier is charged first.

    What a draft costs is that of its resources in proportion to what they used in it. 5.00 a month at 0.007 an hour are reached
    after 714 hours; a subscription in force for half the month has a cap of 2.50, a machine that is there for half of it 5.00.
    """
    if terms.charge.cap is None:
        return tuple(drafts)
    most = terms.charge.cap * terms.share
    charged: dict[str, Fraction] = defaultdict(Fraction)
    order = sorted(range(len(drafts)), key=lambda place: (drafts[place].piece.ordinal, place))
    capped = {place: _capped(drafts[place], charged, most) for place in order}
    return tuple(capped[place] for place in range(len(drafts)))


def _capped(draft: Draft, charged: dict[str, Fraction], most: Fraction) -> Draft:
    """One draft, with what its resources are charged noted."""
    priced, used = draft.priced, _used(draft.piece)
    whole = sum(used.values(), Fraction(0))
    if not whole:
        return draft
    kept, reached = Fraction(0), 0
    for resource_id, quantity in used.items():
        costs = priced.amount * quantity / whole
        left = most - charged[resource_id]
        reached += costs > left
        charged[resource_id] += min(costs, left)
        kept += min(costs, left)
    if kept == priced.amount:
        return draft
    currency = draft.piece.span.plan.currency
    off = priced.amount - kept
    text = f"never more than {exact_text(most)} {currency} a resource: {reached} of {len(used)} reached it, {exact_text(off)} off"
    step = Step(name=NAME, text=text, before=priced.amount, after=kept, unit=currency)
    return replace(draft, priced=replace(priced, amount=kept, fixed=priced.fixed - off, steps=(*priced.steps, step)))


def _used(piece: Slice) -> Mapping[str, Fraction]:
    """What each resource used that reservations do not cover.

    All of it where they cover all that was measured and runs count more; equal parts where a flat price is due for nothing.
    """
    used: dict[str, Fraction] = defaultdict(Fraction)
    for part in piece.parts:
        used[part.resource_id] += part.quantity
    left = dict(used)
    for resource_id, _, units in piece.covered:
        left[resource_id] -= units
    found = left if any(left.values()) else used
    return found if any(found.values()) else dict.fromkeys(found, Fraction(1))
