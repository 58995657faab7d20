"""The least and the most that is spent: what is missing to the one, what goes beyond the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """An amount within its bounds: `off` is what the maximum takes off, `missing` what the minimum adds. Never both."""

    amount: Fraction
    off: Fraction
    missing: Fraction

    @property
    def total(self) -> Fraction:
        """What is due."""
        return self.amount - self.off + self.missing


def bounded(
    amount: Fraction,
    *,
    before: Fraction = Fraction(0),
    minimum: Fraction | None = None,
    maximum: Fraction | None = None,
    share: Fraction = Fraction(1),
    last: bool = True,
) -> Bounded:
    """An amount after `before` of the same period, within a `share` of the bounds. Only the `last` of a period can miss the minimum.

    75 after 90 with at most 100: 65 off, 10 due. 7 of at least 10 over 25 of 28 days: 1.93 missing.
    """
    spent = before + amount
    off = Fraction(0) if maximum is None else min(max(spent - maximum * share, Fraction(0)), max(amount, Fraction(0)))
    missing = Fraction(0) if minimum is None or not last else max(minimum * share - spent, Fraction(0))
    return Bounded(amount=amount, off=off, missing=missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was used in one window at a price, and what was committed to in it: an amount, or (`by_quantity`) units of that price.

    None is no commitment: all of it has its plain price. Above the commitment the price is multiplied by `overage_factor`; below
    it, `true_up` says whether the rest is due too.
    """

    units: Fraction
    price: Fraction
    commitment: Fraction | None = None
    by_quantity: bool = False
    overage_factor: Fraction = Fraction(1)
    true_up: bool = False

    def settled(self) -> Windows:
        """What is due for it: 700 at 2 with 500 committed and a factor of 1.5 are 1,000 + 600."""
        used = self.units * self.price
        if self.commitment is None:
            return Windows(utilized=used)
        committed = self.commitment * self.price if self.by_quantity else self.commitment
        return Windows(
            utilized=min(used, committed),
            overage=max(used - committed, Fraction(0)) * self.overage_factor,
            true_up=max(committed - used, Fraction(0)) if self.true_up else Fraction(0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """What windows come to: what was used within commitments or had none, what went beyond, what is missing."""

    utilized: Fraction = Fraction(0)
    overage: Fraction = Fraction(0)
    true_up: Fraction = Fraction(0)

    @property
    def total(self) -> Fraction:
        """All of it."""
        return self.utilized + self.overage + self.true_up


def settled_windows(windows: Iterable[Window]) -> Windows:
    """Each window by itself, then added: what one has left is nothing to the next."""
    found = [window.settled() for window in windows]
    return Windows(
        utilized=sum((each.utilized for each in found), Fraction(0)),
        overage=sum((each.overage for each in found), Fraction(0)),
        true_up=sum((each.true_up for each in found), Fraction(0)),
    )
