"""Free allowance: the first units of a group in a period cost nothing, the earliest usage first."""

from __future__ import annotations

from dataclasses import replace

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.slices import Slice, Terms

NAME = "free_allowance"


def adjust(slices: tuple[Slice, ...], terms: Terms) -> tuple[Slice, ...]:
    """Take the allowance from the slices in their order of time.

    It is the allowance in force at the period's end, and a part of it only when the subscription is not in force for the
    whole period: 10 core-hours over half a month are 5, so 8 used are 3 to pay.
    """
    share = terms.active if terms.charge.prorate_free else 1
    left = terms.charge.free * share
    if not left:
        return slices
    part = "" if share == 1 else f" x {share} of the period"
    adjusted = []
    for piece in slices:
        taken = min(left, piece.quantity)
        after = piece.quantity - taken
        allowance = f"free allowance {exact_text(terms.charge.free)} {piece.charge.per}{part}"
        text = f"{allowance}: {exact_text(taken)} used here, {exact_text(left - taken)} left"
        step = Step(name=NAME, text=text, before=piece.quantity, after=after, unit=piece.charge.per)
        adjusted.append(replace(piece, quantity=after, steps=(*piece.steps, step)))
        left -= taken
    return tuple(adjusted)
