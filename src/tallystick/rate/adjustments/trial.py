"""Trial: what is used in the trial of a subscription is shown at its price, and costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.model.billing.invoices import Step
from tallystick.model.instants import iso
from tallystick.rate.slices import Draft, Terms

NAME = "trial"


def adjust(drafts: Sequence[Draft], terms: Terms) -> tuple[Draft, ...]:
    """The drafts of a charge, those in the trial at 0: 336 hours at 0.02 are 6.72, and 6.72 off."""
    return tuple(_free(draft) if terms.in_trial(draft.piece) else draft for draft in drafts)


def _free(draft: Draft) -> Draft:
    priced = draft.priced
    text = f"in the trial, until {iso(draft.piece.span.until_ns)}: nothing to pay"
    step = Step(name=NAME, text=text, before=priced.amount, after=priced.amount * 0, unit=draft.piece.span.plan.currency)
    return replace(draft, priced=replace(priced, amount=step.after, fixed=priced.fixed - priced.amount, steps=(*priced.steps, step)))
