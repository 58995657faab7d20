"""What a customer used in a span: from its months and days where they fit, from its hours at the edges; exact either way."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

from tallystick.app.answers.previews import preview
from tallystick.app.answers.queries.rates import RatesNow
from tallystick.app.answers.queries.silences import silences_of, silent_ns
from tallystick.app.clock import Clock, Ids
from tallystick.meter.days import Hour, Owned, usage_between
from tallystick.model.access import Place
from tallystick.model.billing.money import Money
from tallystick.model.calendar import add_months, day_start, local_date, month_of, next_day
from tallystick.model.instants import CELL_NS, DAY_NS, HOUR_NS, hour_start, iso
from tallystick.model.silence import ListedGap
from tallystick.model.usage import METERS, UsagePeriod
from tallystick.serve.problems import invalid, not_found
from tallystick.serve.queries.answers import Amount, CustomerUsage, Known, ResourceTotals, UsageQuestion
from tallystick.store.engine import Tx
from tallystick.store.store import Store

MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
MOST_EDGE_NS = 400 * DAY_NS
Span = tuple[int, int]


class UsageAnswers:
    """Answers `GetCustomerUsage` from a snapshot each."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._rates = RatesNow(store)

    def __call__(self, place: Place, question: UsageQuestion) -> CustomerUsage:
        """The usage that was asked for.

        Raises:
            Problem: no such customer, or a span that cannot be.

        """
        now_ns = self._clock.now_ns()
        with self._store.read() as tx:
            customer = self._store.registry.customer(place, question.customer_id, tx=tx)
            if customer is None:
                raise not_found("customer_id", question.customer_id)
            span = span_of(question, customer.time_zone, now_ns)
            periods = parts_of(tx, self._store, place, customer.id, customer.time_zone, span)
            waiting = self._store.usage.waiting_of(tx, place, customer.id, hour_start(span[0]), span[1])
            silences = silences_of(tx, self._store, place, customer.id, span)
            rates = self._rates.of(tx, place, customer.id, now_ns)
        cost, missing = self._cost(place, customer.id, span, now_ns) if question.with_cost else (None, "")
        return CustomerUsage(
            customer_id=customer.id,
            zone=customer.time_zone,
            from_ns=span[0],
            until_ns=span[1],
            amounts=_amounts(periods),
            known=known_of(periods, silent_ns(silences, span, now_ns)),
            resources=_by_resource(periods, silences, span, now_ns) if question.per_resource else (),
            rates=rates,
            hours_waiting=waiting,
            cost=cost,
            cost_missing=missing,
        )

    def _cost(self, place: Place, customer_id: str, span: Span, now_ns: int) -> tuple[Money | None, str]:
        """What the drafts of the billing period cost that the span is, before tax; or why that cannot be told."""
        if not span[0] <= now_ns < span[1]:
            return None, "the span does not hold the present: its cost is on an invoice, or none yet"
        drafts = preview(self._store, place, customer_id, now_ns, self._ids)
        mine = [draft for draft in drafts if (draft.run.period_start_ns, draft.run.period_end_ns) == span]
        if not mine or len(mine) != len(drafts):
            return None, "the span is no billing period of all plans of the customer"
        if len({draft.currency for draft in mine}) > 1:
            return None, "the plans of the customer have several currencies"
        blocking = next(
            (each.detail or each.code.value for draft in mine for each in draft.findings if each.severity.value == "blocking"), ""
        )
        return (None, blocking) if blocking else (sum((draft.net for draft in mine), Money(minor=0, currency=mine[0].currency)), "")


def span_of(question: UsageQuestion, zone: str, now_ns: int) -> Span:
    """The instants [from, until) that a question is about.

    Raises:
        Problem: a month that is none, a span beside a month, half a span, or one that is empty or no whole cells.

    """
    from_ns, until_ns = question.from_ns, question.until_ns
    if question.month:
        found = MONTH.fullmatch(question.month)
        if found is None or not 1970 < int(found[1]) < 2262:
            raise invalid("month", question.month, f"month: {question.month!r} is no month such as 2026-11")
        if from_ns is not None or until_ns is not None:
            raise invalid("month", question.month, "month: stands beside from or until; name either")
        first = date(int(found[1]), int(found[2]), 1)
        return day_start(first, zone), day_start(add_months(first, 1), zone)
    if from_ns is None and until_ns is None:
        return month_of(now_ns, zone)
    if from_ns is None or until_ns is None:
        raise invalid("from" if from_ns is None else "until", "", "from, until: they go together")
    for name, at_ns in (("from", from_ns), ("until", until_ns)):
        if at_ns < 0 or at_ns % CELL_NS:
            told = iso(at_ns) if at_ns >= 0 else str(at_ns)
            raise invalid(name, told, f"{name}: {told} is no boundary of a five-minute cell")
    if until_ns <= from_ns:
        raise invalid("until", iso(until_ns), "until: is not after from")
    return from_ns, until_ns


def parts_of(tx: Tx, store: Store, place: Place, customer_id: str, zone: str, span: Span) -> list[UsagePeriod]:
    """Usage in parts whose sum is that of the span: months, days or less. Those of other zones, which a customer that moved has, are
    of no use then: it is summed from hours.
    """  # noqa: D205 (the reason is one sentence)
    is_months = all(month_of(at_ns, zone)[0] == at_ns for at_ns in span)
    whole = span if is_months else _whole_days(zone, span)
    found: list[UsagePeriod] | None = None
    edges = [span]
    if whole[0] < whole[1]:
        found = store.usage.sums_of(tx, place, "month" if is_months else "day", customer_id, zone, whole)
        edges = [span] if found is None else [(span[0], whole[0]), (whole[1], span[1])]
    found = found or []
    for edge in edges:
        if edge[0] < edge[1]:
            found += _from_hours(tx, store, place, customer_id, zone, edge)
    return found


def _whole_days(zone: str, span: Span) -> Span:
    """The whole local days inside a span; where there are none the second bound is not after the first."""
    first = local_date(span[0], zone)
    start_ns = day_start(first, zone)
    if start_ns < span[0]:
        start_ns = day_start(next_day(first), zone)
    return start_ns, day_start(local_date(span[1], zone), zone)


def _from_hours(tx: Tx, store: Store, place: Place, customer_id: str, zone: str, span: Span) -> list[UsagePeriod]:
    if span[1] - span[0] > MOST_EDGE_NS:
        raise invalid("until", iso(span[1]), "until: more than 400 days that are no whole days of the customer's zone")
    resources = store.usage.resources_of(tx, place, customer_id)
    if not resources:
        return []
    keys = list(resources)
    attributes = store.registry.attributes(place, keys, tx=tx)
    hours: dict[int, dict[int, Hour]] = defaultdict(dict)
    for key, total in store.usage.hour_totals(place, hour_start(span[0]), span[1], resource_keys=keys, tx=tx):
        hours[key][total.hour_ns] = total
    gaps = store.usage.gaps(place, span[0], span[1], resource_keys=keys, tx=tx)
    found = []
    for key, resource_id in resources.items():
        owned = [
            Owned(customer_id=customer_id, zone=zone, from_ns=each.from_ns, until_ns=each.until_ns)
            for each in attributes.get(resource_id, ())
            if each.customer_id == customer_id
        ]
        bounds = {*span, *(bound for each in owned for bound in (each.from_ns, each.until_ns))}
        for hour_ns in {hour_start(bound) for bound in bounds if bound % HOUR_NS} & hours[key].keys():
            ((_, hours[key][hour_ns]),) = store.usage.hours(place, hour_ns, hour_ns + 1, resource_keys=[key], tx=tx)
        mine = [gap for number, gap in gaps if number == key]
        used = usage_between(resource_id, owned, hours=list(hours[key].values()), gaps=mine, span=span) if owned else None
        found += [used] if used else []
    return found


def _amounts(periods: Iterable[UsagePeriod]) -> tuple[Amount, ...]:
    """The sum of each meter over all periods; one that nothing measured is absent."""
    totals: dict[str, int] = defaultdict(int)
    estimated: dict[str, int] = defaultdict(int)
    for period in periods:
        for meter in METERS:
            total = period.total(meter)
            if total is not None:
                totals[meter] += total
        for meter, amount in period.estimated.items():
            estimated[meter] += amount
    return tuple(
        Amount(meter=meter, unit=unit.value, total=totals[meter], estimated=estimated.get(meter, 0))
        for meter, unit in METERS.items()
        if meter in totals
    )


def known_of(periods: Sequence[UsagePeriod], unheard_ns: int = 0) -> Known:
    """How well the usage of all periods is known; `unheard_ns` is time in silences that go on."""
    guessed_ns = sum(each.estimated.get("uptime", 0) for each in periods)
    return Known(
        measured_ns=sum(each.totals.get("uptime", 0) for each in periods) - guessed_ns,
        estimated_ns=guessed_ns,
        unknown_ns=sum(each.unknown_ns for each in periods) + unheard_ns,
    )


def _by_resource(periods: Iterable[UsagePeriod], silences: Sequence[ListedGap], span: Span, now_ns: int) -> tuple[ResourceTotals, ...]:
    found: dict[str, list[UsagePeriod]] = defaultdict(list)
    silent: dict[str, list[ListedGap]] = defaultdict(list)
    for gap in silences:
        silent[gap.resource_id].append(gap)
    for period in periods:
        found[period.resource_id].append(period)
    return tuple(
        ResourceTotals(resource_id=name, amounts=_amounts(mine), known=known_of(mine, silent_ns(silent[name], span, now_ns)))
        for name in sorted(found.keys() | silent.keys())
        for mine in [found[name]]
    )
