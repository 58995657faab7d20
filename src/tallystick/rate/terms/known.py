"""What rating is told beside quantities and prices: when runs began, what earlier periods filled of tiers, what was not available."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tallystick.model.billing.invoices import Line, LineKind, Outage, TierFill, Usage
from tallystick.model.billing.price_book import Charge, PriceBook
from tallystick.rate.adjustments.run_rules import has_rules, run_times
from tallystick.rate.attribution import Window
from tallystick.rate.slices import RunTimes

Group = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Runs by cell, where a charge counts by them; what was filled of tiers by subscription, charge and group; outages."""

    runs: RunTimes = field(default_factory=dict)
    filled: Mapping[tuple[str, str], Mapping[Group, Fraction]] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()

    def filled_of(self, subscription_id: str, charge: Charge) -> Mapping[Group, Fraction]:
        """What earlier periods filled of the tiers of a charge, by group; nothing if they begin anew with each period."""
        return self.filled.get((subscription_id, charge.id), {}) if charge.lifetime else {}


def known_of(usage: Usage, window: Window) -> Known:
    """What usage tells beside its quantities, as far as the prices of the window ask for it."""
    charges = [charge for spans in window.prices.values() for span in spans for charge in span.plan.charges]
    filled: dict[tuple[str, str], dict[Group, Fraction]] = {}
    for each in usage.tier_fills:
        groups = filled.setdefault((each.subscription_id, each.charge_id), {})
        groups[each.group] = groups.get(each.group, Fraction(0)) + each.quantity
    return Known(runs=run_times(usage) if any(map(has_rules, charges)) else {}, filled=filled, outages=usage.outages)


def fills_of(lines: Iterable[Line], books: Sequence[PriceBook]) -> tuple[TierFill, ...]:
    """What the lines of an invoice filled of tiers that count over the whole subscription: 150 hours above those that are free are 150."""
    charges = {(book.id, book.version, plan.id, each.id): each for book in books for plan in book.plans for each in plan.charges}
    found = []
    for line in lines:
        charge = charges.get((line.book_id, line.book_version, line.plan_id, line.charge_id))
        if line.kind is LineKind.USAGE and charge is not None and charge.lifetime:
            quantity = _filled(line, charge)
            found.append(TierFill(subscription_id=line.subscription_id, charge_id=charge.id, group=line.group, quantity=quantity))
    return tuple(found)


def _filled(line: Line, charge: Charge) -> Fraction:
    """The quantity of a line that lies in its tier: what the last step in the unit of the charge left, else all of its parts."""
    told = [step.after for step in line.derivation.steps if step.unit == charge.per]
    return told[-1] if told else sum((part.quantity for part in line.derivation.parts), Fraction(0))
