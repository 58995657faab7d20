"""Thresholds of an amount: which were crossed, which come next, and each once a month (billing.md, Budgets and forecasts)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Fixed amounts, and perhaps one more every `recurring` beyond the outermost of them, or beyond 0 where there is none.

    Raises:
        ValueError: `recurring` is not above 0.

    """

    fixed: tuple[Fraction, ...]
    recurring: Fraction | None = None

    def __post_init__(self) -> None:
        """Refuse steps that lead nowhere."""
        if self.recurring is not None and self.recurring <= 0:
            raise ValueError(f"recurring thresholds need a step above 0, got {self.recurring}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What a customer spent in all: what was invoiced, here and before, and what is not yet.

    `current` is that of the period that goes on, of which `billed_ahead` was invoiced before its end and told of then.
    """

    invoiced: Fraction
    current: Fraction
    billed_ahead: Fraction = Fraction(0)
    historical: Fraction = Fraction(0)

    @property
    def told(self) -> Fraction:
        """Up to where thresholds were told of."""
        return self.historical + self.invoiced + self.billed_ahead

    @property
    def now(self) -> Fraction:
        """All of it."""
        return self.historical + self.invoiced + self.current


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The last threshold that was reached, the next one, and the part of the way between them (None: there is no next)."""

    last: Fraction | None
    next: Fraction | None
    ratio: Fraction | None


def crossed_fixed(thresholds: Thresholds, previous: Fraction, current: Fraction) -> tuple[Fraction, ...]:
    """The fixed thresholds above `previous` and not above `current`, from the lowest."""
    return tuple(sorted(each for each in thresholds.fixed if previous < each <= current))


def crossed_steps(thresholds: Thresholds, previous: Fraction, current: Fraction) -> tuple[Fraction, ...]:
    """The recurring thresholds above `previous` and not above `current`, from the lowest."""
    step = thresholds.recurring
    if step is None:
        return ()
    outermost = max(thresholds.fixed, default=Fraction(0))
    first = max(1, (previous - outermost) // step + 1)
    return tuple(outermost + step * count for count in range(first, (current - outermost) // step + 1))


def crossed(thresholds: Thresholds, previous: Fraction, current: Fraction) -> tuple[Fraction, ...]:
    """Every threshold that a rise from `previous` to `current` reaches: 10, 30, 50 and each 100 more, from 33 to 351: 50, 150, 250, 350."""
    return crossed_fixed(thresholds, previous, current) + crossed_steps(thresholds, previous, current)


def crossed_falling(thresholds: Thresholds, previous: Fraction, current: Fraction) -> tuple[Fraction, ...]:
    """Every threshold that a fall reaches, from the lowest: a rise, seen in a mirror. Recurring ones go on below the lowest."""
    mirrored = Thresholds(fixed=tuple(-each for each in thresholds.fixed), recurring=thresholds.recurring)
    return tuple(-each for each in reversed(crossed(mirrored, -previous, -current)))


def progress(thresholds: Thresholds, amount: Fraction) -> Progress:
    """Where an amount stands: 120 between 100 and 200 is 1/5 of the way; before the first threshold the way begins at 0."""
    reached = crossed(thresholds, Fraction(-1), amount) if amount >= 0 else ()
    last = reached[-1] if reached else None
    coming = min((each for each in thresholds.fixed if each > amount), default=None)
    if coming is None and thresholds.recurring is not None:
        coming = max([*thresholds.fixed, *reached], default=Fraction(0)) + thresholds.recurring
    if coming is None:
        return Progress(last=last, next=None, ratio=None)
    begin = Fraction(0) if last is None else last
    return Progress(last=last, next=coming, ratio=(amount - begin) / (coming - begin))


def reached_percents(limit: Fraction, percents: Iterable[Fraction], spend: Fraction, *, beyond: bool = False) -> tuple[Fraction, ...]:
    """The percentages of a limit that a spend has reached, or with `beyond` gone above, from the lowest: 80 of 100 has 50 and 80."""
    return tuple(sorted(each for each in percents if (spend * 100 > limit * each if beyond else spend * 100 >= limit * each)))


def alerts(limit: Fraction, percents: Sequence[Fraction], spends: Iterable[tuple[str, Fraction]]) -> list[tuple[Fraction, ...]]:
    """What each of (month, spend so far) newly reaches: a percentage is told of once a month, and all that a jump passes."""
    told: set[tuple[str, Fraction]] = set()
    found = []
    for month, spend in spends:
        new = tuple(each for each in reached_percents(limit, percents, spend) if (month, each) not in told)
        told.update((month, each) for each in new)
        found.append(new)
    return found
