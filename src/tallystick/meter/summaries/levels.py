"""Levels over time: what events add to and take from a level, weighted by how long it held, exactly or by local days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tallystick.model.calendar import local_date


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A level that held in [from_ns, until_ns); `part` is what it adds to the mean of the window."""

    from_ns: int
    until_ns: int
    level: Fraction
    part: Fraction

    @property
    def length_ns(self) -> int:
        """How long it held."""
        return self.until_ns - self.from_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """From an instant on a member is there, or no longer."""

    at_ns: int
    member: str
    there: bool


def levels(initial: Fraction, changes: Iterable[tuple[int, Fraction]], from_ns: int, until_ns: int) -> list[Level]:
    """The levels of a window in order, without a hole: `changes` are (instant, what is added), in any order.

    A change before the window counts from its beginning, one at or after its end not at all.

    Raises:
        ValueError: the window is empty.

    """
    if from_ns >= until_ns:
        raise ValueError(f"the window [{from_ns}, {until_ns}) is empty")
    held: list[Level] = []
    level, since_ns = initial, from_ns
    ends: list[tuple[int, Fraction]] = [*sorted(change for change in changes if change[0] < until_ns), (until_ns, Fraction(0))]
    for at_ns, added in ends:
        if at_ns > since_ns:
            part = level * Fraction(at_ns - since_ns, until_ns - from_ns)
            held.append(Level(from_ns=since_ns, until_ns=at_ns, level=level, part=part))
            since_ns = at_ns
        level += added
    return held


def time_weighted(initial: Fraction, changes: Iterable[tuple[int, Fraction]], from_ns: int, until_ns: int) -> Fraction:
    """The mean level of a window: 1000 from the fifth of 31 days on are 1000 x 27/31.

    Raises:
        ValueError: the window is empty.

    """
    return sum((each.part for each in levels(initial, changes, from_ns, until_ns)), Fraction(0))


def prorated(parts: Iterable[tuple[Fraction, int]], period_days: int) -> Fraction:
    """The sum of values, each for its days of the period: 5 for 12 of 31 days are 60/31.

    Raises:
        ValueError: the period has no days, or a value counts for less than none.

    """
    total = Fraction(0)
    for value, days in parts:
        if days < 0 or period_days <= 0:
            raise ValueError(f"{days} of {period_days} days are no part of a period")
        total += value * Fraction(days, period_days)
    return total


def days_there(presences: Sequence[Presence], zone_name: str, from_ns: int, until_ns: int) -> dict[str, int]:
    """How many local dates of [from_ns, until_ns) each member was there at any time, those of coming and of going included.

    Nobody is there before coming; who comes twice is there once.
    """
    dates: dict[str, set[int]] = {}
    since: dict[str, int] = {}
    for each in sorted(presences, key=lambda presence: presence.at_ns):
        if each.there:
            since.setdefault(each.member, each.at_ns)
        elif each.member in since:
            begin_ns, end_ns = max(since.pop(each.member), from_ns), min(each.at_ns, until_ns - 1)
            _add_dates(dates.setdefault(each.member, set()), zone_name, begin_ns, end_ns)
    for member, begin_ns in since.items():
        _add_dates(dates.setdefault(member, set()), zone_name, max(begin_ns, from_ns), until_ns - 1)
    return {member: len(found) for member, found in dates.items()}


def prorated_members(presences: Sequence[Presence], zone_name: str, from_ns: int, until_ns: int, period_days: int) -> Fraction:
    """Members, each for the days of a period that it was there: two seats for 16 of 31 days are 32/31."""
    days = days_there(presences, zone_name, from_ns, until_ns)
    return prorated(((Fraction(1), count) for count in days.values()), period_days)


def _add_dates(dates: set[int], zone_name: str, begin_ns: int, end_ns: int) -> None:
    if begin_ns <= end_ns:
        dates.update(range(local_date(begin_ns, zone_name).toordinal(), local_date(end_ns, zone_name).toordinal() + 1))
