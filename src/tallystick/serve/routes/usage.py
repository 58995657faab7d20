"""Routes of what was measured: minutes, hours, days and months of usage, gaps, findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import partial
from itertools import groupby, islice
from typing import Annotated, Generic, TypeVar

from fastapi import APIRouter, Depends, Query

from tallystick.model.findings import Finding
from tallystick.model.instants import LATEST_NS
from tallystick.model.resources import Attributes
from tallystick.model.silence import GapState, ListedGap
from tallystick.model.usage import UsageHour
from tallystick.serve.coverage import CoveredHours
from tallystick.serve.documents.silence import ShownGap, shown_gap
from tallystick.serve.documents.usage import (
    ListedMinutes,
    ShownFinding,
    ShownHour,
    ShownLabel,
    ShownPercentiles,
    ShownTotal,
    ShownView,
    shown_finding,
    shown_hour,
    shown_label,
    shown_minutes,
    shown_percentiles,
    shown_total,
    shown_view,
)
from tallystick.serve.documents.values import Id, Instant, Listing
from tallystick.serve.guard import Call, GuardedRoute, Reader
from tallystick.serve.owners import customer_at, gap_parts, hour_parts
from tallystick.serve.pages import Cursor, Limit, page_of, read_cursor, write_cursor
from tallystick.serve.problems import invalid, not_found
from tallystick.serve.services import RankMethod, UsageBy, UsageQuery, UsageTotal

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["usage"])

From = Annotated[Instant | None, Query(alias="from", description="Included; without it: from the beginning.")]
Until = Annotated[Instant | None, Query(description="Not included; without it: to the end.")]
Percent = Annotated[str, Query(pattern=r"^(100|[0-9]{1,2}(\.[0-9]{1,4})?)$", description="From 0 to 100.")]


class GapStates(StrEnum):
    """Which gaps a list has."""

    LIVE = "live"
    OPEN = "open"
    CLOSED = "closed"
    STANDING = "standing"
    ALL = "all"


STATES = {
    GapStates.LIVE: frozenset({GapState.LIVE}),
    GapStates.OPEN: frozenset({GapState.OPEN}),
    GapStates.CLOSED: frozenset({GapState.CLOSED}),
    GapStates.STANDING: frozenset({GapState.LIVE, GapState.OPEN}),
    GapStates.ALL: frozenset(GapState),
}
States = Annotated[
    GapStates, Query(description="Those that go on, those that ended and stand, those that late data closed; the first two, or all.")
]
MOST_ROWS = 1000
"""How many rows are asked of the store at once, unless more have one instant and resource."""

Row = TypeVar("Row", UsageHour, ListedGap, Finding)
Shown = TypeVar("Shown", ShownHour, ShownGap, ShownFinding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which usage a request is for: as numbers of resources (None: all), as customers (None: all), in [from_ns, until_ns)."""

    call: Call
    resource_id: str | None
    customers: frozenset[str] | None
    from_ns: int
    until_ns: int
    keys: Sequence[int] | None
    attributes: dict[int, tuple[Attributes, ...]] = field(default_factory=dict)

    @property
    def query(self) -> UsageQuery:
        """The same for the services."""
        return UsageQuery(resource_id=self.resource_id, customers=self.customers, from_ns=self.from_ns, until_ns=self.until_ns)

    def sees(self, customer_id: str) -> bool:
        """Whether what belongs to this customer was asked for and may be seen."""
        return self.customers is None or customer_id in self.customers

    def learn(self, resources: dict[int, str]) -> None:
        """Read whose these resources are and were, by number, as far as it is not known yet."""
        missing = sorted(resources.keys() - self.attributes.keys())
        if missing:
            found = self.call.desk.store.registry.attributes(self.call.place, missing)
            self.attributes.update({key: found.get(resources[key], ()) for key in missing})


def asked(call: Reader, resource_id: Id | None = None, customer_id: Id | None = None, start: From = None, until: Until = None) -> Asked:
    """The request, with only what the key may see.

    Raises:
        Problem: another's customer, one that is not known, an unknown resource, or an empty span.

    """
    customers = call.only(customer_id)
    from_ns, until_ns = 0 if start is None else start, LATEST_NS if until is None else until
    if until_ns <= from_ns:
        raise invalid("until", str(until_ns), "until: is not after from")
    registry = call.desk.store.registry
    keys: Sequence[int] | None = None
    if resource_id is not None:
        found = registry.resource(call.place, resource_id)
        owners = {} if found is None else registry.attributes(call.place, [found.row])
        if found is None or not (customers is None or any(span.customer_id in customers for span in owners[resource_id])):
            raise not_found("resource_id", resource_id)
        keys = [found.row]
    elif customers is not None:
        keys = [each.row for each in registry.resources(call.place, customers=customers)]
        if not keys and customer_id is not None and registry.customer(call.place, customer_id) is None:
            raise not_found("customer_id", customer_id)
    return Asked(call=call, resource_id=resource_id, customers=customers, from_ns=from_ns, until_ns=until_ns, keys=keys)


Wanted = Annotated[Asked, Depends(asked)]


@router.get("/usage/minutes", summary="Usage minutes, newest first")
def usage_minutes(wanted: Wanted, limit: Limit = 100, cursor: Cursor = None) -> ListedMinutes:
    """UTC minutes that begin in [from, until), exact: they add up to the five-minute cells of the hours. At most a day and 100 resources.

    Without `until` up to now, without `from` the day before the end. They are made of what was sent, so only while that is kept: `deleted`
    names resources of which a part of the span is gone, and all of it gone is the problem `gone`. The minutes of a resource of which
    nothing comes are listed all the same: without meters, `unknown_ns` long.
    """
    start = None if cursor is None else read_cursor(cursor, (int, int))
    before = None if start is None else (int(start[0]), int(start[1]))
    found = wanted.call.desk.services.usage_minutes(wanted.call.place, wanted.query, before, limit + 1)
    last = found.minutes[limit - 1] if len(found.minutes) > limit else None
    return shown_minutes(found, limit, None if last is None else write_cursor((last.minute.minute_ns, last.resource_key)))


@router.get("/usage/hours", summary="Usage hours, newest first")
def usage_hours(wanted: Wanted, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownHour]:
    """UTC hours that begin in [from, until), exact, with their five-minute cells. An hour that belonged to two customers is two rows.

    The hours of a resource of which nothing comes are listed all the same: without meters, `unknown_ns` long.
    """
    covered = CoveredHours(wanted.call.desk.store, wanted.call.desk.clock.now_ns())

    def parts(key: int, hour: UsageHour) -> Iterator[ShownHour]:
        for customer, part, whole in hour_parts(hour, wanted.attributes[key]):
            if wanted.sees(customer):
                yield shown_hour(part, customer, whole=whole, unknown_ns=covered.unknown_ns(key, hour.hour_ns))

    return _Walk(wanted, covered.hours, lambda hour: hour.hour_ns, parts).page(cursor, limit)


@router.get("/usage/days", summary="Usage days, newest first")
def usage_days(wanted: Wanted, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownTotal]:
    """Local days, in the zone of the customer, that begin in [from, until)."""
    return _totals(wanted.call.desk.services.usage_days(wanted.call.place, wanted.query), wanted, cursor, limit)


@router.get("/usage/months", summary="Usage months, newest first")
def usage_months(wanted: Wanted, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownTotal]:
    """Local months, in the zone of the customer, that begin in [from, until)."""
    return _totals(wanted.call.desk.services.usage_months(wanted.call.place, wanted.query), wanted, cursor, limit)


@router.get("/usage/views", summary="Usage and cost for a person, newest first")
def usage_views(wanted: Wanted, by: UsageBy = UsageBy.DAY, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownView]:
    """UTC hours, local days or local months of a resource or a customer: averages, largest values, totals, and of days and months the cost.

    Hours that begin in [from, until), and the days that hold them: at most 31 days, without `until` up to the last usage hour. Months
    that begin in it.
    """
    found = wanted.call.desk.services.usage_views(wanted.call.place, wanted.query, by)
    ours = [each for each in found if wanted.sees(each.customer_id)]
    page, following = page_of(ours, lambda each: (each.start_ns, each.resource_id, each.customer_id), (int, str, str), cursor, limit)
    return Listing(items=tuple(map(shown_view, page)), next_cursor=following)


@router.get("/usage/labels", summary="Usage by the value of a label")
def usage_labels(wanted: Wanted, name: Annotated[Id, Query(description="The name of the label.")]) -> Listing[ShownLabel]:
    """What resources used in the hours that begin in [from, until) while they had each value: at most 31 days, on one page."""
    found = wanted.call.desk.services.usage_by_label(wanted.call.place, name, wanted.query)
    return Listing(items=tuple(shown_label(name, each) for each in found), next_cursor=None)


@router.get("/usage/percentiles", summary="Percentiles of five-minute rates")
def usage_percentiles(wanted: Wanted, percentile: Percent = "95", method: RankMethod = RankMethod.NEAREST_RANK) -> ShownPercentiles:
    """Network (the larger of what all resources received and what all sent) and CPU, over the five-minute slots of [from, until).

    At most 31 days: without `until` up to the last usage hour, without `from` the 31 days before the end.
    """
    found = wanted.call.desk.services.usage_percentiles(wanted.call.place, wanted.query, Fraction(percentile), method)
    return shown_percentiles(found, percentile, method)


@router.get("/gaps", summary="Silences, newest first")
def gaps(wanted: Wanted, state: States = GapStates.STANDING, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownGap]:
    """Gaps that reach into [from, until), each as far as its resource belonged to one customer."""

    def parts(key: int, gap: ListedGap) -> Iterator[ShownGap]:
        for customer, part in gap_parts(gap, wanted.attributes[key]):
            if wanted.sees(customer):
                yield shown_gap(part, customer)

    fetch = partial(wanted.call.desk.store.gaps.gaps, states=STATES[state])
    return _Walk(wanted, fetch, lambda gap: gap.from_ns, parts).page(cursor, limit)


@router.get("/findings", summary="What was noticed in the usage, newest first")
def findings(wanted: Wanted, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownFinding]:
    """Findings of [from, until): counters that fell, samples after a stop, and the like."""

    def parts(key: int, finding: Finding) -> Iterator[ShownFinding]:
        customer = customer_at(finding.at_ns or 0, wanted.attributes[key])
        if wanted.sees(customer):
            yield shown_finding(finding, customer)

    return _Walk(wanted, wanted.call.desk.store.usage.findings, lambda finding: finding.at_ns or 0, parts).page(cursor, limit)


@dataclass(frozen=True, slots=True)
class _Walk(Generic[Row, Shown]):
    """A list of the store, newest first by (instant, resource number), of which rows may be several items or none.

    Its cursor is (instant, resource number, how many items of that pair were shown).
    """

    wanted: Asked
    fetch: Callable[..., list[tuple[int, Row]]]
    instant: Callable[[Row], int]
    parts: Callable[[int, Row], Iterator[Shown]]

    def page(self, cursor: str | None, limit: int) -> Listing[Shown]:
        start = None if cursor is None else read_cursor(cursor, (int, int, int))
        shown = list(islice(self._items(start, limit + 2), limit + 1))
        following = write_cursor(shown[limit - 1][0]) if len(shown) > limit else None
        return Listing(items=tuple(item for _, item in shown[:limit]), next_cursor=following)

    def _items(self, start: tuple[int | str, ...] | None, size: int) -> Iterator[tuple[tuple[int, int, int], Shown]]:
        first = None if start is None else (int(start[0]), int(start[1]))
        passed = 0 if start is None else int(start[2])
        for (instant_ns, key), rows in self._groups(first, size):
            items = [item for row in rows for item in self.parts(key, row)]
            for number, item in enumerate(items, start=1):
                if (instant_ns, key) != first or number > passed:
                    yield (instant_ns, key, number), item

    def _groups(self, first: tuple[int, int] | None, size: int) -> Iterator[tuple[tuple[int, int], list[Row]]]:
        """The rows of each (instant, resource number), whole; from `first` on, it included. `size` rows are read at first."""
        wanted = self.wanted
        before = None if first is None else (first[0], first[1] + 1)
        while True:
            rows = self.fetch(wanted.call.place, wanted.from_ns, wanted.until_ns, resource_keys=wanted.keys, before=before, limit=size)
            wanted.learn({key: row.resource_id for key, row in rows})
            groups = self._grouped(rows)
            if len(rows) < size:
                yield from groups
                return
            if len(groups) == 1:  # one pair fills the chunk: ask for more at once
                size *= 4
                continue
            yield from groups[:-1]  # the last may go on after what was read
            before = groups[-2][0]
            size = min(2 * size, max(size, MOST_ROWS))

    def _grouped(self, rows: list[tuple[int, Row]]) -> list[tuple[tuple[int, int], list[Row]]]:
        def pair(each: tuple[int, Row]) -> tuple[int, int]:
            return self.instant(each[1]), each[0]

        return [(key, [row for _, row in members]) for key, members in groupby(rows, key=pair)]


def _totals(totals: Sequence[UsageTotal], wanted: Asked, cursor: str | None, limit: int) -> Listing[ShownTotal]:
    ours = [each for each in totals if wanted.sees(each.customer_id)]
    page, following = page_of(ours, lambda each: (each.start_ns, each.resource_id, each.customer_id), (int, str, str), cursor, limit)
    return Listing(items=tuple(map(shown_total, page)), next_cursor=following)
