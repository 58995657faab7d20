"""The live table: what is metered now, what it used and costs this month, and how whole that is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tallystick.app.accounts import bill_name
from tallystick.app.answers.previews import cost_by_resource, preview
from tallystick.app.clock import Clock, Ids
from tallystick.model.access import Place
from tallystick.model.billing.invoices import Invoice
from tallystick.model.billing.money import Money, round_minor
from tallystick.model.calendar import month_of
from tallystick.model.findings import Severity
from tallystick.model.instants import CELL_NS, DAY_NS, HOUR_NS, LATEST_NS, hour_start
from tallystick.model.resources import UNASSIGNED
from tallystick.model.silence import Absence
from tallystick.model.usage import UsageHour, UsagePeriod
from tallystick.serve.services import AgentStatus, ResourceStatus, Status
from tallystick.store.records import NotFound
from tallystick.store.registry import Agent, StoredResource
from tallystick.store.store import Store
from tallystick.store.watch.listing import LATE_NS

KEPT_NS = 5 * 10**9
KEPT_TIMES = 10
"""How long the costs of a customer are believed: ten times as long as rating took, at most five seconds. A table that is looked at each
second would else cost more than it tells; and where rating is quick, costs are as new as the usage beside them."""
LONGEST_MONTH_NS = 33 * DAY_NS
Cost = tuple[Mapping[str, tuple[Fraction, str]], str, tuple[Money, ...]]
"""Exact costs by the names that resources have on a bill, with their currency; why there is none; totals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLimits:
    """From when on an agent is away or late, and its clock off."""

    away_after_ns: int = 75 * 10**9
    clock_offset_ns: int = 10**9

    def state(self, agent: Agent, now_ns: int) -> str:
        """`away`, `late` or `alive`."""
        if now_ns - agent.received_at_ns > self.away_after_ns:
            return "away"
        return "late" if agent.reported_until_ns and agent.received_at_ns - agent.reported_until_ns > LATE_NS else "alive"

    def warnings(self, agent: Agent) -> tuple[str, ...]:
        """What is wrong with its clock or its spool, a sentence each."""
        found = []
        offset_ns = agent.clock_offset_ns
        if offset_ns is not None and abs(offset_ns) > self.clock_offset_ns:
            found.append(f"its clock is {abs(offset_ns) // 10**6} ms {'ahead of' if offset_ns > 0 else 'behind'} the server's")
        if agent.clock_synchronised is False:
            found.append("its kernel says that its clock is not synchronised")
        if agent.thinned_batches:
            found.append(f"its spool or disk was full: {agent.thinned_batches} batches were thinned since its start")
        return tuple(found)


USUAL_LIMITS = AgentLimits()


class StatusBoard:
    """Makes the live table; costs are kept for some seconds."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, limits: AgentLimits) -> None:
        self._limits = limits
        self._store = store
        self._clock = clock
        self._ids = ids
        self._costs: dict[tuple[Place, str], tuple[int, Cost]] = {}

    def status(self, place: Place, customers: frozenset[str] | None) -> Status:
        """The table of some customers, or of all with the agents."""
        now_ns = self._clock.now_ns()
        month_ns = month_of(now_ns, "UTC")[0]
        ever = self._store.registry.resources(place, customers=customers)
        resources = [each for each in ever if customers is None or each.customer_id in customers]
        keys = [each.row for each in resources]
        months = self._months(place, {each.row: each.customer_id for each in resources}, now_ns)
        latest = _latest(
            self._store.usage.hours(place, hour_start(now_ns) - HOUR_NS, LATEST_NS, resource_keys=keys),
            {name: spans[-1].from_ns for name, spans in self._store.registry.attributes(place, keys).items() if spans},
        )
        agents = self.agents(place)
        active = {name for agent in self._store.registry.agents(place) for name in agent.active_resources}
        silent = {one.absence.subject: one.absence for one in self._store.absences.open(place) if one.resource_key is not None}
        costs = {each: self._cost(place, each, now_ns) for each in {one.customer_id for one in resources} - {UNASSIGNED}}
        return Status(
            at_ns=now_ns,
            month_start_ns=month_ns,
            resources=tuple(
                _row(
                    each,
                    months.get(each.row),
                    latest.get(each.row),
                    active=each.id in active,
                    cost=costs.get(each.customer_id),
                    billed_as=bill_name(place, each.id),
                    silence=_silence(silent.get(each.id), month_ns, now_ns),
                )
                for each in resources
            ),
            agents=agents if customers is None else (),
            costs=_summed(cost for found in costs.values() for cost in found[2]),
            costs_micros=_micros(each for found in costs.values() for each in found[0].values()),
            hours_waiting=self._store.usage.dirty_count(place, resource_keys=keys if customers is not None else None),
        )

    def _months(self, place: Place, owners: Mapping[int, str], now_ns: int) -> Mapping[int, UsagePeriod]:
        """The running local month of each resource, as far as it was its present customer's."""
        found = self._store.usage.periods(place, "month", now_ns - LONGEST_MONTH_NS, now_ns + 1, resource_keys=list(owners))
        return {key: month for key, month in found if month.customer_id == owners[key] and month.start_ns <= now_ns < month.end_ns}

    def agents(self, place: Place) -> tuple[AgentStatus, ...]:
        """Every agent that ever sent a heartbeat."""
        now_ns = self._clock.now_ns()
        return tuple(
            AgentStatus(
                agent_id=each.instance_id,
                heartbeat_at_ns=each.received_at_ns,
                reported_until_ns=each.reported_until_ns or None,
                resources=len(each.active_resources),
                samples_sent=None,
                samples_waiting=each.spool_depth,
                state=self._limits.state(each, now_ns),
                clock_offset_ns=each.clock_offset_ns,
                clock_synchronised=each.clock_synchronised,
                warnings=self._limits.warnings(each),
            )
            for each in self._store.registry.agents(place)
        )

    def _cost(self, place: Place, customer_id: str, now_ns: int) -> Cost:
        asked_ns = self._clock.monotonic_ns()
        kept = self._costs.get((place, customer_id))
        if kept and asked_ns < kept[0]:
            return kept[1]
        try:
            invoices = preview(self._store, place, customer_id, now_ns, self._ids)
        except NotFound:  # agents may name a customer before it is created
            return {}, f"there is no customer {customer_id!r}: create it", ()
        costs = cost_by_resource(invoices)
        found = (costs, _reason(invoices), tuple(one.net for one in invoices))
        made_ns = self._clock.monotonic_ns()
        self._costs[place, customer_id] = (made_ns + min(KEPT_NS, KEPT_TIMES * (made_ns - asked_ns)), found)
        return found


def _reason(invoices: Sequence[Invoice]) -> str:
    blocking = [finding for one in invoices for finding in one.findings if finding.severity is Severity.BLOCKING]
    return blocking[0].detail or blocking[0].code.value if blocking else ""


def _latest(hours: Sequence[tuple[int, UsageHour]], since_ns: Mapping[str, int]) -> Mapping[int, tuple[UsageHour, int]]:
    """The last cell of each resource in which it was up, since it is whose it is now."""
    found: dict[int, tuple[UsageHour, int]] = {}
    for key, hour in hours:
        begin_ns = since_ns.get(hour.resource_id, 0)
        up = [place for place, amount in enumerate(hour.cells.get("uptime", ())) if amount and hour.hour_ns + place * CELL_NS >= begin_ns]
        if up:
            found[key] = (hour, up[-1])
    return found


def _row(
    resource: StoredResource,
    month: UsagePeriod | None,
    latest: tuple[UsageHour, int] | None,
    *,
    active: bool,
    cost: Cost | None,
    billed_as: str,
    silence: tuple[int | None, str, int],
) -> ResourceStatus:
    amounts = month.totals if month else {}
    guessed_ns = month.estimated.get("uptime", 0) if month else 0
    exact = cost[0].get(billed_as) if cost else None
    return ResourceStatus(
        resource_id=resource.id,
        name=resource.name,
        customer_id=resource.customer_id,
        active=active,
        millicores_now=_level(latest, "cpu.used", 1000),
        memory_bytes_now=_level(latest, "memory.used", 1),
        cpu_used_core_ns=amounts.get("cpu.used"),
        memory_used_byte_ns=amounts.get("memory.used"),
        network_tx_bytes=amounts.get("network.tx"),
        cost=round_minor(*exact) if exact else None,
        cost_micros=_cut(exact[0]) if exact else None,
        cost_reason="unassigned" if cost is None else cost[1],
        measured_ns=amounts.get("uptime", 0) - guessed_ns,
        estimated_ns=guessed_ns,
        unknown_ns=(month.unknown_ns if month else 0) + silence[2],
        last_sample_at_ns=resource.last_sample_at_ns,
        silent_since_ns=silence[0],
        silent_cause=silence[1],
    )


def _silence(absence: Absence | None, month_ns: int, now_ns: int) -> tuple[int | None, str, int]:
    """Since when nothing comes of a resource, why, and how much of the month is not known for it."""
    if absence is None:
        return None, "", 0
    return absence.since_ns, absence.cause.value, max(0, now_ns - max(absence.since_ns, month_ns))


def _level(latest: tuple[UsageHour, int] | None, meter: str, scale: int) -> int | None:
    """The mean level of a meter over the last cell in which the resource was up."""
    if latest is None or meter not in latest[0].cells:
        return None
    hour, place = latest
    return hour.cells[meter][place] * scale // hour.cells["uptime"][place]


def _summed(costs: Iterable[Money]) -> tuple[Money, ...]:
    """One amount per currency, by its code."""
    sums: dict[str, int] = defaultdict(int)
    for cost in costs:
        sums[cost.currency] += cost.minor
    return tuple(Money(minor=minor, currency=currency) for currency, minor in sorted(sums.items()))


def _micros(costs: Iterable[tuple[Fraction, str]]) -> tuple[tuple[str, int], ...]:
    """The exact sum per currency, in millionths, cut."""
    sums: dict[str, Fraction] = defaultdict(Fraction)
    for amount, currency in costs:
        sums[currency] += amount
    return tuple((currency, _cut(amount)) for currency, amount in sorted(sums.items()))


def _cut(amount: Fraction) -> int:
    return amount.numerator * 10**6 // amount.denominator
