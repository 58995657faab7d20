"""Parts of cycles by whole local days, exactly: stubs, and what was billed of cycles in advance (billing.md, Proration `daily`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import takewhile

from tallystick.invoice.cycles.dates import advance, cycle_dates
from tallystick.model.billing.money import Money, round_minor
from tallystick.model.billing.price_book import Cycle
from tallystick.model.calendar import local_date, next_day

Span = tuple[date, date]
"""Local days from the first one on, until the last one, which is not part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayShare:
    """So many days of so many: what is in force of a period."""

    active: int
    whole: int

    def __post_init__(self) -> None:
        """Refuse what is no part of a period.

        Raises:
            ValueError: a period without days, or a part below nothing.

        """
        if self.whole <= 0 or self.active < 0:
            raise ValueError(f"{self.active} of {self.whole} days are no part of a period")

    @property
    def share(self) -> Fraction:
        """The part of the period: 17/31 for 15 to 31 January."""
        return Fraction(self.active, self.whole)

    def of(self, price: Fraction, currency: str) -> Money:
        """That part of a price for the whole period, rounded once: 24 of 31 days of 60.00 are 46.45."""
        return round_minor(price * self.share, currency)


def dates_of(from_ns: int, until_ns: int, zone_name: str) -> Span:
    """The local dates that have an instant in [from_ns, until_ns), which is not empty."""
    return local_date(from_ns, zone_name), next_day(local_date(until_ns - 1, zone_name))


def day_share(period: Span, service: Span, trial_days: int = 0) -> DayShare:
    """The days of a period in which a service is to pay: inside both, and after its trial, which counts from the service's start."""
    begin = max(period[0], service[0] + timedelta(days=trial_days))
    end = min(period[1], service[1])
    return DayShare(active=max(0, (end - begin).days), whole=(period[1] - period[0]).days)


def leading_stub(from_day: date, first: date, cycle: Cycle, billing_day: int | None = None) -> Fraction:
    """The part of a cycle before the first cycle date, over the days of the cycle that ends there (billing.md: a first stub).

    2023-06-23 to 2023-07-15 is 22 of the 30 days from 2023-06-15.
    """
    return Fraction((first - from_day).days, (first - advance(first, cycle, -1, billing_day)).days)


def trailing_stub(begin: date, until_day: date, cycle: Cycle, billing_day: int | None = None) -> Fraction:
    """The part of the cycle that begins on a cycle date and is left on another day: 2023-06-23 to 2023-07-15 is 22/30."""
    return Fraction((until_day - begin).days, (advance(begin, cycle, 1, billing_day) - begin).days)


def billed_in_advance(start: date, end: date | None, through: date, cycle: Cycle, billing_day: int) -> Fraction:
    """How many cycles are billed of a service from `start` until `end`, when each is billed at its beginning, up to a date.

    Stubs count as the part that they are: from 2011-02-01 with billing day 13, at 2011-02-13, they are 12/31 and one whole month.

    Raises:
        ValueError: it ends, or is billed, before it starts.

    """
    if through < start or (end is not None and end < start):
        raise ValueError(f"billed from {start} through {through}, but it ends {end}: nothing is billed before it starts")
    last = date.max if end is None else end
    billed = Fraction(0)
    first = next(cycle_dates(start, cycle, billing_day))
    if start < first:
        billed += leading_stub(start, first, cycle, billing_day) - leading_stub(min(first, last), first, cycle, billing_day)
    dates = takewhile(lambda begin: begin <= through and begin < last, cycle_dates(start, cycle, billing_day))
    for begin in dates:
        following = advance(begin, cycle, 1, billing_day)
        billed += trailing_stub(begin, min(following, last), cycle, billing_day)
    return billed
