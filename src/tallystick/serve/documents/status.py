"""Documents of how things are now: the live table, agents, health."""

from __future__ import annotations

from tallystick.model.instants import iso
from tallystick.serve.documents.values import Document, ShownInstant, ShownMoney, shown_instant, shown_money
from tallystick.serve.services import AgentStatus, ResourceStatus, Status


class ShownResourceStatus(Document):
    """One resource in the live table. Null is "not known", never 0; `cost` null says why in `cost_reason`.

    `silent_since` tells that nothing comes of it though it should: that is not "no usage", and `unknown_ns` has the time since.

    `cost_micros` is the cost before rounding, in millionths of its currency.
    """

    resource_id: str
    name: str
    customer_id: str
    active: bool
    millicores_now: int | None
    memory_bytes_now: int | None
    cpu_used_core_ns: int | None
    memory_used_byte_ns: int | None
    network_tx_bytes: int | None
    cost: ShownMoney | None
    cost_micros: int | None
    cost_reason: str
    measured_ns: int
    estimated_ns: int
    unknown_ns: int
    last_sample_at: ShownInstant | None
    silent_since: ShownInstant | None
    silent_cause: str


class ShownAgent(Document):
    """One agent as its heartbeats tell it; what it did not say is null. `reported_until_ns` is `reported_until` as a number.

    `state` is `alive`, `late` (it reports, minutes behind) or `away`.
    """

    agent_id: str
    heartbeat_at: ShownInstant
    reported_until: ShownInstant | None
    reported_until_ns: int | None
    resources: int
    samples_sent: int | None
    samples_waiting: int | None
    state: str
    clock_offset_ns: int | None
    clock_synchronised: bool | None
    warnings: tuple[str, ...]


class ShownStatus(Document):
    """What `tally up` shows. Usage and cost are of the UTC month so far; `costs` are the totals, one per currency.

    `costs_micros` are the totals of usage before rounding, in millionths, by currency.
    """

    at: ShownInstant
    month_start: ShownInstant
    resources: tuple[ShownResourceStatus, ...]
    agents: tuple[ShownAgent, ...]
    costs: tuple[ShownMoney, ...]
    costs_micros: dict[str, int]
    hours_waiting: int


class Health(Document):
    """The server answers."""

    status: str


def shown_agent(agent: AgentStatus) -> ShownAgent:
    """An agent as a document."""
    return ShownAgent(
        agent_id=agent.agent_id,
        heartbeat_at=iso(agent.heartbeat_at_ns),
        reported_until=shown_instant(agent.reported_until_ns),
        reported_until_ns=agent.reported_until_ns,
        resources=agent.resources,
        samples_sent=agent.samples_sent,
        samples_waiting=agent.samples_waiting,
        state=agent.state,
        clock_offset_ns=agent.clock_offset_ns,
        clock_synchronised=agent.clock_synchronised,
        warnings=agent.warnings,
    )


def shown_status(status: Status) -> ShownStatus:
    """The live table as a document."""
    return ShownStatus(
        at=iso(status.at_ns),
        month_start=iso(status.month_start_ns),
        resources=tuple(map(_resource, status.resources)),
        agents=tuple(map(shown_agent, status.agents)),
        costs=tuple(map(shown_money, status.costs)),
        costs_micros=dict(status.costs_micros),
        hours_waiting=status.hours_waiting,
    )


def _resource(one: ResourceStatus) -> ShownResourceStatus:
    return ShownResourceStatus(
        resource_id=one.resource_id,
        name=one.name,
        customer_id=one.customer_id,
        active=one.active,
        millicores_now=one.millicores_now,
        memory_bytes_now=one.memory_bytes_now,
        cpu_used_core_ns=one.cpu_used_core_ns,
        memory_used_byte_ns=one.memory_used_byte_ns,
        network_tx_bytes=one.network_tx_bytes,
        cost=None if one.cost is None else shown_money(one.cost),
        cost_micros=one.cost_micros,
        cost_reason=one.cost_reason,
        measured_ns=one.measured_ns,
        estimated_ns=one.estimated_ns,
        unknown_ns=one.unknown_ns,
        last_sample_at=shown_instant(one.last_sample_at_ns),
        silent_since=shown_instant(one.silent_since_ns),
        silent_cause=one.silent_cause,
    )
