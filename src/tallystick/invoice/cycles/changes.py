"""A plan change in a period that was paid in advance: credit for the unused part of the old fee, and the new fee for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from tallystick.invoice.cycles.stubs import Span, day_share
from tallystick.model.billing.money import Money, Rounding, round_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """Two lines, each rounded once: `credit` is 0 or below, `charge` 0 or above."""

    credit: Money
    charge: Money

    @property
    def net(self) -> Money:
        """What the change costs, or gives back."""
        return self.credit + self.charge

    @property
    def given_back(self) -> Money:
        """The credit as what it gives back: 0 or above."""
        return Money(minor=-self.credit.minor, currency=self.credit.currency)

    def billed_with(self, renewal: Money) -> Money:
        """What the next invoice comes to when the change waits for it, with the new fee of its own period."""
        return renewal + self.net


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """What is given back of a price before tax: each of the three is the exact amount, rounded once."""

    net: Money
    tax: Money
    total: Money


def unused_share(period: Span, changed: date) -> Fraction:
    """The part of a period that is left on a date, by days: that day belongs to what begins on it."""
    return day_share(period, (changed, period[1])).share


def plan_change(
    old: Fraction,
    new: Fraction,
    unused: Fraction,
    currency: str,
    *,
    starts_anew: bool = False,
    rounding: Rounding = Rounding.HALF_UP,
) -> PlanChange:
    """The lines of a change from a fee to another when `unused` of the period is left.

    99.00 to 249.00 with 3/5 left: 59.40 back, 149.40 to pay. `starts_anew`: the new plan begins a cycle of its own, and all of its fee
    is due.
    """
    credit = round_minor(-old * unused, currency, rounding)
    return PlanChange(credit=credit, charge=round_minor(new if starts_anew else new * unused, currency, rounding))


def unused_refund(price: Fraction, unused: Fraction, tax_percent: Fraction, currency: str) -> Refund:
    """What is given back of a price when `unused` of its period is left: 3 of 28 days of 50.00 at 20 % are 5.36 + 1.07, in all 6.43."""
    net = price * unused
    tax = net * tax_percent / 100
    return Refund(net=round_minor(net, currency), tax=round_minor(tax, currency), total=round_minor(net + tax, currency))
