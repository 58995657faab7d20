"""How much of a recurring fee a part of a period costs, exactly (billing.md, Subscriptions and periods)."""

from __future__ import annotations

from fractions import Fraction
from typing import assert_never

from tallystick.invoice.cycles.stubs import dates_of, day_share
from tallystick.model.billing.contracts import Period
from tallystick.model.billing.price_book import Proration


def fee_share(proration: Proration, period: Period, from_ns: int, until_ns: int, zone: str) -> Fraction:
    """The share of a period's fee for being in force in [from_ns, until_ns) of it.

    Half of a 31-day month, to the nanosecond, is 1/2 by `exact`; 16 local dates of 31 are 16/31 by `daily`, whatever the
    hour; `none` is all of it.

    Raises:
        ValueError: the instants are not inside the period.

    """
    if not period.start_ns <= from_ns <= until_ns <= period.end_ns:
        raise ValueError(f"[{from_ns}, {until_ns}) is not inside the period [{period.start_ns}, {period.end_ns})")
    if from_ns == until_ns:
        return Fraction(0)
    match proration:
        case Proration.EXACT:
            return Fraction(until_ns - from_ns, period.end_ns - period.start_ns)
        case Proration.DAILY:
            return day_share(dates_of(period.start_ns, period.end_ns, zone), dates_of(from_ns, until_ns, zone)).share
        case Proration.NONE:
            return Fraction(1)
        case _:
            assert_never(proration)
