"""Reserved: what reservations cover has been paid for by them (billing.md, Reserved)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.slices import Slice, Terms

NAME = "reserved"


def adjust(slices: tuple[Slice, ...], terms: Terms) -> tuple[Slice, ...]:
    """Take what is covered: of 1,440 vcpu-hours, 720 in the hours of a reservation of one vCPU, 720 are left to pay."""
    del terms
    return tuple(_uncovered(piece) if piece.covered else piece for piece in slices)


def _uncovered(piece: Slice) -> Slice:
    units: dict[str, Fraction] = defaultdict(Fraction)
    for _, name, covered in piece.covered:
        units[name] += covered
    # Where runs count less here than they were up, as they were charged before, what is covered is no more than that.
    unit, left = piece.charge.per, max(piece.quantity - sum(units.values(), Fraction(0)), Fraction(0))
    text = "covered by reservations: " + ", ".join(f"{exact_text(covered)} {unit} by {name}" for name, covered in sorted(units.items()))
    step = Step(name=NAME, text=text, before=piece.quantity, after=left, unit=unit)
    return replace(piece, quantity=left, steps=(*piece.steps, step))
