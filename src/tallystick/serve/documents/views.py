"""Documents of usage for a person: hours, days and months with averages and costs, totals by label."""

from __future__ import annotations

from fractions import Fraction

from tallystick.model.billing.money import round_minor
from tallystick.model.instants import HOUR_NS, iso
from tallystick.model.usage import METERS
from tallystick.serve.documents.values import Document, Exact, ShownInstant, ShownMoney, exact, shown_money
from tallystick.serve.services import LabelTotal, UsageSummary

GIB = 2**30


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
