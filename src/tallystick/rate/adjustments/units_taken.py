"""Units that are not priced: taken from the usage of a group in a period, the earliest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.model.billing.price_book import Charge
from tallystick.rate.slices import Slice, Terms


def take(slices: tuple[Slice, ...], terms: Terms, units_of: Callable[[Charge], Fraction], name: str) -> tuple[Slice, ...]:
    """The slices, in their order of time, without the units that their plan gives; each tells what was taken in a step of that name.

    A plan gives its own to the usage under it, in proportion to its part of the period. What is in a trial takes none.
    """
    left: dict[str, Fraction] = {}
    adjusted = []
    for piece in slices:
        plan_id = piece.span.plan.id
        charge, share = terms.of_plan(plan_id)
        units = units_of(charge)
        if not units or not share or terms.in_trial(piece):
            adjusted.append(piece)
            continue
        before = left.get(plan_id, units * share)
        taken = min(before, piece.quantity)
        left[plan_id] = before - taken
        part = "" if share == 1 else f" x {share} of the period"
        all_of_it = f"{name.replace('_', ' ')} {exact_text(units)} {piece.charge.per}{part}"
        text = f"{all_of_it}: {exact_text(taken)} used here, {exact_text(left[plan_id])} left"
        step = Step(name=name, text=text, before=piece.quantity, after=piece.quantity - taken, unit=piece.charge.per)
        adjusted.append(replace(piece, quantity=piece.quantity - taken, steps=(*piece.steps, step)))
    return tuple(adjusted)
