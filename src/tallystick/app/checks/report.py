"""What is to be checked, and what was found: counts by layer, and each difference in words as soon as it is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tallystick.model.instants import HOUR_NS, LATEST_NS, hour_start

MOST_KEPT = 10_000
"""Differences that are kept in memory; all are told and counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is checked: all, or one resource, one customer, and what lies in [from_ns, until_ns).

    Number series and the audit log are of a whole seller: they are checked only where nothing else limits what is.
    """

    resource_id: str | None = None
    customer_id: str | None = None
    from_ns: int = 0
    until_ns: int = LATEST_NS

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Wanted()

    def touches(self, from_ns: int, until_ns: int) -> bool:
        """Whether a span reaches into what is checked."""
        return from_ns < self.until_ns and until_ns > self.from_ns

    def hours(self, first_ns: int, end_ns: int) -> tuple[int, int]:
        """The whole hours of a span that are checked."""
        latest = self.until_ns if self.until_ns >= LATEST_NS else hour_start(self.until_ns + HOUR_NS - 1)
        return max(first_ns, hour_start(self.from_ns)), min(end_ns, latest)


@dataclass(slots=True)
class Report:
    """What was compared so far, by layer, and the differences. `tell` is called with each; `step` as work goes on."""

    tell: Callable[[str], None] = lambda _: None
    step: Callable[[str], None] = lambda _: None
    compared: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    different: int = 0

    def count(self, layer: str, number: int = 1) -> None:
        """So many things of a layer were compared."""
        self.compared[layer] += number

    def differ(self, sentence: str) -> None:
        """Tell of a difference: it begins with what differs, and where."""
        self.different += 1
        if len(self.differences) < MOST_KEPT:
            self.differences.append(sentence)
        self.tell(sentence)
