"""Documents of what was measured: usage minutes, hours, days and months, with averages and costs for a person, by label; findings."""

from __future__ import annotations

from fractions import Fraction

from pydantic import Field

from tallystick.model.billing.money import round_minor
from tallystick.model.findings import Finding, Severity
from tallystick.model.instants import HOUR_NS, iso
from tallystick.model.usage import METERS, UsageHour, total_of
from tallystick.serve.documents.values import Document, Exact, Listing, ShownInstant, ShownMoney, exact, shown_instant, shown_money
from tallystick.serve.services import (
    CustomerMinute,
    LabelTotal,
    RankMethod,
    SlotSummary,
    UsageMinutes,
    UsagePercentiles,
    UsageSummary,
    UsageTotal,
)

GIB = 2**30


class MeterOfHour(Document):
    """What one meter counted in an hour, in its base unit: the total, the part inside gaps, and the twelve five-minute cells."""

    unit: str
    total: int
    estimated: int
    cells: tuple[int, ...]


class ShownHour(Document):
    """The usage of one resource in one UTC hour. A meter that nothing measured is absent: it is not 0.

    `samples` is null where the hour is split between customers, as is `unknown_ns`: it is not known per part. `measured_ns` and
    `estimated_ns` are uptime, `unknown_ns` is the time in gaps that nothing filled, those that go on included.
    """

    resource_id: str
    customer_id: str
    hour: ShownInstant
    samples: int | None
    memory_peak_bytes: int | None
    runs: tuple[ShownInstant, ...]
    meters: dict[str, MeterOfHour]
    measured_ns: int
    estimated_ns: int
    unknown_ns: int | None


class MeterOfMinute(Document):
    """What one meter counted in a minute, in its base unit: the total, the part inside gaps, and the part that is placed `evenly`.

    That part was told by something that reaches out of the minute, a usage record or a batch whose samples are kept no more: how much
    it is is exact, where in its time it lies is not known.
    """

    unit: str
    total: int
    estimated: int
    evenly: int


class ShownMinute(Document):
    """The usage of one resource in one UTC minute. A meter that nothing measured is absent: it is not 0.

    `measured_ns` and `estimated_ns` are uptime, `unknown_ns` is the time in gaps that nothing filled, those that go on included.
    """

    resource_id: str
    customer_id: str
    minute: ShownInstant
    samples: int
    memory_peak_bytes: int | None
    runs: tuple[ShownInstant, ...]
    meters: dict[str, MeterOfMinute]
    measured_ns: int
    estimated_ns: int
    unknown_ns: int


class DeletedMinutes(Document):
    """A resource of which a part of the span cannot be told by minute: what was sent before `until` is deleted by age."""

    resource_id: str
    until: ShownInstant


class ListedMinutes(Listing[ShownMinute]):
    """A page of usage minutes, and of which resources a part of the span is deleted."""

    deleted: tuple[DeletedMinutes, ...]


class MeterOfTotal(Document):
    """What one meter counted in a day or month, in its base unit, and the part of it inside gaps."""

    unit: str
    total: int
    estimated: int


class ShownTotal(Document):
    """The usage of one resource in a local day or month, with how much of its time was measured, estimated or unknown."""

    resource_id: str
    customer_id: str
    date: str
    zone: str
    start: ShownInstant
    end: ShownInstant
    samples: int
    memory_peak_bytes: int | None
    meters: dict[str, MeterOfTotal]
    measured_ns: int
    estimated_ns: int
    unknown_ns: int


class ShownView(Document):
    """One resource over an hour, or a local day or month: CPU in cores, levels and traffic in bytes. Null: nothing measured it.

    Averages are over the time up. The largest and the 95th percentile are of five-minute averages, of months they are not told.
    The hours of vCPUs, memory and disk are sizes times time. `cost_estimated` is its part of what the running period or the invoices
    come to, `cost_billed` that of invoices, which `invoices` names; both before tax, rounded for show.
    """

    resource_id: str
    customer_id: str
    date: str
    zone: str
    start: ShownInstant
    end: ShownInstant
    samples: int
    uptime_hours: Exact
    cpu_average: Exact | None
    cpu_p95: Exact | None
    cpu_maximum: Exact | None
    memory_average_bytes: Exact | None
    memory_maximum_bytes: int | None
    disk_average_bytes: Exact | None
    disk_maximum_bytes: Exact | None
    network_bytes: int | None
    disk_io_bytes: int | None
    vcpu_hours: Exact | None
    memory_gib_hours: Exact | None
    disk_gib_hours: Exact | None
    cost_estimated: ShownMoney | None
    cost_billed: ShownMoney | None
    invoices: tuple[str, ...]


class MeterOfLabel(Document):
    """What one meter counted while a label had a value, in its base unit."""

    unit: str
    total: int


class ShownLabel(Document):
    """What resources used while a label had a value; without the label it is the empty one."""

    label: str
    value: str
    resources: int
    meters: dict[str, MeterOfLabel]


class ShownFinding(Document):
    """What was noticed: its code, how much it matters, and where."""

    code: str
    severity: Severity
    resource_id: str
    customer_id: str
    boot_id: str
    at: ShownInstant | None
    counters: tuple[str, ...]
    record: str
    detail: str


class ShownSlots(Document):
    """What the measured five-minute slots of a span say; `slots` is how many there are."""

    unit: str
    slots: int
    percentile: Exact
    maximum: Exact
    average: Exact


class ShownPercentiles(Document):
    """Percentiles of five-minute rates of all resources asked for together. Null: nothing measured it.

    `slots` is how many the span has. A slot in which nothing was up is left out; one that was measured and moved nothing is 0.
    """

    from_: ShownInstant = Field(alias="from")
    until: ShownInstant
    slots: int
    percentile: str
    method: RankMethod
    network: ShownSlots | None
    cpu: ShownSlots | None


def shown_percentiles(found: UsagePercentiles, percentile: str, method: RankMethod) -> ShownPercentiles:
    """Percentiles as a document."""
    return ShownPercentiles.model_validate(
        {
            "from": iso(found.from_ns),
            "until": iso(found.until_ns),
            "slots": found.slots,
            "percentile": percentile,
            "method": method,
            "network": _slots(found.network, "Mbit/s"),
            "cpu": _slots(found.cpu, "cores"),
        }
    )


def _slots(found: SlotSummary | None, unit: str) -> ShownSlots | None:
    if found is None:
        return None
    return ShownSlots(
        unit=unit,
        slots=found.slots,
        percentile=exact(found.percentile),
        maximum=exact(found.maximum),
        average=exact(found.average),
    )


def shown_hour(hour: UsageHour, customer_id: str, *, whole: bool, unknown_ns: int) -> ShownHour:
    """A usage hour as a document, sums of meters included."""
    meters: dict[str, MeterOfHour] = {}
    for meter, unit in METERS.items():
        cells = hour.meter_cells(meter)
        total = hour.total(meter)
        if cells is not None and total is not None:
            meters[meter] = MeterOfHour(unit=unit.value, total=total, estimated=hour.estimated_total(meter), cells=cells)
    return ShownHour(
        resource_id=hour.resource_id,
        customer_id=customer_id,
        hour=iso(hour.hour_ns),
        samples=hour.samples if whole else None,
        memory_peak_bytes=hour.memory_peak_bytes if whole else None,
        runs=tuple(map(iso, hour.runs)),
        meters=meters,
        measured_ns=(hour.total("uptime") or 0) - hour.estimated_total("uptime"),
        estimated_ns=hour.estimated_total("uptime"),
        unknown_ns=unknown_ns if whole else None,
    )


def shown_minutes(found: UsageMinutes, limit: int, next_cursor: str | None) -> ListedMinutes:
    """A page of minutes as a document."""
    return ListedMinutes(
        items=tuple(map(_minute, found.minutes[:limit])),
        next_cursor=next_cursor,
        deleted=tuple(DeletedMinutes(resource_id=resource_id, until=iso(until_ns)) for resource_id, until_ns in found.deleted),
    )


def _minute(found: CustomerMinute) -> ShownMinute:
    minute = found.minute
    guessed_ns = minute.estimated.get("uptime", 0)
    meters = {
        meter: MeterOfMinute(
            unit=unit.value,
            total=total,
            estimated=minute.estimated.get(meter, 0),
            evenly=total_of(minute.evenly, meter) or 0,
        )
        for meter, unit in METERS.items()
        if (total := total_of(minute.amounts, meter)) is not None
    }
    return ShownMinute(
        resource_id=minute.resource_id,
        customer_id=found.customer_id,
        minute=iso(minute.minute_ns),
        samples=minute.samples,
        memory_peak_bytes=minute.memory_peak_bytes,
        runs=tuple(map(iso, minute.runs)),
        meters=meters,
        measured_ns=minute.amounts.get("uptime", 0) - guessed_ns,
        estimated_ns=guessed_ns,
        unknown_ns=found.unknown_ns,
    )


def shown_total(total: UsageTotal) -> ShownTotal:
    """A day or month as a document."""
    estimated = dict(total.estimated)
    return ShownTotal(
        resource_id=total.resource_id,
        customer_id=total.customer_id,
        date=total.date,
        zone=total.zone,
        start=iso(total.start_ns),
        end=iso(total.end_ns),
        samples=total.samples,
        memory_peak_bytes=total.memory_peak_bytes,
        meters={
            meter: MeterOfTotal(unit=METERS[meter].value, total=amount, estimated=estimated.get(meter, 0))
            for meter, amount in total.amounts
        },
        measured_ns=total.measured_ns,
        estimated_ns=total.estimated_ns,
        unknown_ns=total.unknown_ns,
    )


def shown_view(summary: UsageSummary) -> ShownView:
    """A summary as a document."""
    view = summary.view
    return ShownView(
        resource_id=summary.resource_id,
        customer_id=summary.customer_id,
        date=summary.date,
        zone=summary.zone,
        start=iso(summary.start_ns),
        end=iso(summary.end_ns),
        samples=view.samples,
        uptime_hours=exact(Fraction(view.uptime_ns, HOUR_NS)),
        cpu_average=_exact(view.cpu_average),
        cpu_p95=_exact(view.cpu_p95),
        cpu_maximum=_exact(view.cpu_maximum),
        memory_average_bytes=_exact(view.memory_average),
        memory_maximum_bytes=view.memory_maximum,
        disk_average_bytes=_exact(view.disk_average),
        disk_maximum_bytes=_exact(view.disk_maximum),
        network_bytes=view.network_bytes,
        disk_io_bytes=view.disk_io_bytes,
        vcpu_hours=_hours(view.vcpu_ns, 1),
        memory_gib_hours=_hours(view.memory_byte_ns, GIB),
        disk_gib_hours=_hours(view.disk_byte_ns, GIB),
        cost_estimated=_money(summary.cost_estimated, summary.currency),
        cost_billed=_money(summary.cost_billed, summary.currency),
        invoices=summary.invoices,
    )


def shown_label(name: str, total: LabelTotal) -> ShownLabel:
    """A value's totals as a document."""
    meters = {meter: MeterOfLabel(unit=METERS[meter].value, total=amount) for meter, amount in total.amounts}
    return ShownLabel(label=name, value=total.value, resources=total.resources, meters=meters)


def _exact(value: Fraction | None) -> Exact | None:
    return None if value is None else exact(value)


def _hours(amount: int | None, base: int) -> Exact | None:
    return None if amount is None else exact(Fraction(amount, base * HOUR_NS))


def _money(amount: Fraction | None, currency: str) -> ShownMoney | None:
    return None if amount is None else shown_money(round_minor(amount, currency))


def shown_finding(finding: Finding, customer_id: str = "") -> ShownFinding:
    """A finding as a document."""
    return ShownFinding(
        code=finding.code.value,
        severity=finding.severity,
        resource_id=finding.resource_id,
        customer_id=customer_id,
        boot_id=finding.boot_id,
        at=shown_instant(finding.at_ns),
        counters=finding.counters,
        record=finding.record,
        detail=finding.detail,
    )
