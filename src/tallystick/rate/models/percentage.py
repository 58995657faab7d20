"""`percentage`: a share of each event's amount, with a fixed fee, a minimum and a maximum for each (billing.md, Price book).

2.99 % of 10, 80 and 10,000, at least 1.75 and at most 12 each, are 1.75 + 2.392 + 12 = 16.142.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFee:
    """The fee of single events: `percent` of the amount and `fixed`, together at least `minimum` and at most `maximum`.

    The first are free until `free_events` of them or `free_amount` of their sum is used up, whichever comes first; an event of
    which a part is free pays for the rest, and its fixed fee.
    """

    percent: Fraction
    fixed: Fraction = Fraction(0)
    minimum: Fraction = Fraction(0)
    maximum: Fraction | None = None
    free_events: Fraction | None = None
    free_amount: Fraction | None = None

    def of(self, amount: Fraction) -> Fraction:
        """The fee of what is to pay of one event."""
        fee = max(amount * self.percent / 100 + self.fixed, self.minimum)
        return fee if self.maximum is None else min(fee, self.maximum)

    def fees(self, amounts: Iterable[Fraction]) -> tuple[Fraction, ...]:
        """The fee of each event, in their order."""
        found, used = [], Fraction(0)
        for place, amount in enumerate(amounts):
            free = self._free(place, used, amount)
            found.append(Fraction(0) if free == amount and self._lasts(place, used) else self.of(amount - free))
            used += amount
        return tuple(found)

    def total(self, amounts: Iterable[Fraction]) -> Fraction:
        """The fees of all of them."""
        return sum(self.fees(amounts), Fraction(0))

    def _lasts(self, place: int, used: Fraction) -> bool:
        """Whether anything is free for the event at a place, of which so much came before."""
        return (
            (self.free_events is not None or self.free_amount is not None)
            and (self.free_events is None or place < self.free_events)
            and (self.free_amount is None or used < self.free_amount)
        )

    def _free(self, place: int, used: Fraction, amount: Fraction) -> Fraction:
        if not self._lasts(place, used):
            return Fraction(0)
        return amount if self.free_amount is None else min(amount, self.free_amount - used)
