"""Usage hours with how much of them is not known: what a silent resource used is not 0, so its hours are listed though nothing came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest

from tallystick.model.access import Place
from tallystick.model.instants import HOUR_NS, hour_start
from tallystick.model.silence import GapState, ListedGap
from tallystick.model.usage import Filled, UsageHour
from tallystick.store.store import Store

LIVE = frozenset({GapState.LIVE})
Key = tuple[int, int]
"""An hour and a resource by its number: the order of lists, newest first."""


@dataclass(slots=True)
class CoveredHours:
    """Hours of a store, page by page, and what is not known of each that was read."""

    store: Store
    now_ns: int
    _unknown: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def hours(
        self, place: Place, from_ns: int, until_ns: int, *, resource_keys: Sequence[int] | None, before: Key | None, limit: int
    ) -> list[tuple[int, UsageHour]]:
        """Hours that begin in [from_ns, until_ns), newest first; those of resources that are silent now among them."""
        rows = self.store.usage.hours(place, from_ns, until_ns, resource_keys=resource_keys, before=before, limit=limit)
        known = {(hour.hour_ns, key): hour for key, hour in rows}
        least = min(known) if len(rows) == limit else (0, 0)
        silent = self.store.gaps.gaps(place, from_ns, until_ns, states=LIVE, resource_keys=resource_keys)
        names = {key: gap.resource_id for key, gap in silent}
        found = [
            each
            for key, gap in silent
            for each in self._silent(key, gap, max(from_ns, least[0]), until_ns, before, limit)
            if each > least and each not in known
        ]
        for hour_ns, key in found:
            known[hour_ns, key] = UsageHour(
                resource_id=names[key], hour_ns=hour_ns, cells={}, estimated={}, samples=0, memory_peak_bytes=None
            )
        page = nlargest(limit, known)
        self._learn(place, page)
        return [(key, known[hour_ns, key]) for hour_ns, key in page]

    def _silent(self, key: int, gap: ListedGap, from_ns: int, until_ns: int, before: Key | None, limit: int) -> Iterator[Key]:
        """The newest hours in which a resource is silent, at most as many as a page has."""
        hour_ns = min(hour_start(self.now_ns), hour_start(until_ns - 1))
        if before is not None:
            hour_ns = min(hour_ns, before[0])
        for _ in range(limit + 1):
            if hour_ns < max(hour_start(gap.from_ns), from_ns):
                return
            if before is None or (hour_ns, key) < before:
                yield hour_ns, key
            hour_ns -= HOUR_NS

    def _learn(self, place: Place, page: Sequence[Key]) -> None:
        if not page:
            return
        keys = sorted({key for _, key in page})
        since_ns, until_ns = min(page)[0], max(page)[0] + HOUR_NS
        for key in keys:
            self._unknown[key] = []
        for key, gap in self.store.gaps.gaps(place, since_ns, until_ns, resource_keys=keys):
            if gap.filled is not Filled.INTERPOLATED:
                self._unknown[key].append((gap.from_ns, min(gap.until_ns, self.now_ns) if gap.state is GapState.LIVE else gap.until_ns))

    def unknown_ns(self, key: int, hour_ns: int) -> int:
        """How much of an hour that was read is not known: gaps that nothing filled, and a silence that goes on."""
        spans = self._unknown.get(key, ())
        return sum(max(0, min(until_ns, hour_ns + HOUR_NS) - max(from_ns, hour_ns)) for from_ns, until_ns in spans)
