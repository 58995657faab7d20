"""Units that are not priced: taken from the usage of a group in a period, the earliest first."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.slices import Slice


def take(slices: tuple[Slice, ...], units: Fraction, share: Fraction, name: str) -> tuple[Slice, ...]:
    """The slices, in their order of time, without `units` x `share` of them; each tells what was taken in a step of that name."""
    left = units * share
    if not left:
        return slices
    part = "" if share == 1 else f" x {share} of the period"
    adjusted = []
    for piece in slices:
        taken = min(left, piece.quantity)
        after = piece.quantity - taken
        all_of_it = f"{name.replace('_', ' ')} {exact_text(units)} {piece.charge.per}{part}"
        text = f"{all_of_it}: {exact_text(taken)} used here, {exact_text(left - taken)} left"
        step = Step(name=name, text=text, before=piece.quantity, after=after, unit=piece.charge.per)
        adjusted.append(replace(piece, quantity=after, steps=(*piece.steps, step)))
        left -= taken
    return tuple(adjusted)
