"""The answers of the query service as messages, and instants of messages as nanoseconds."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.model.instants import LATEST_NS, SECOND_NS
from tallystick.model.silence import ListedGap
from tallystick.model.usage import METERS, Gap, UsageHour
from tallystick.proto.billing.collector.v1 import query_pb2 as wire
from tallystick.serve.problems import invalid
from tallystick.serve.queries.answers import Amount, CustomerUsage, Known, Rates, Window, Windows, WindowState

STATES = {
    WindowState.OPEN: wire.BILLING_WINDOW_STATE_OPEN,
    WindowState.WAITING: wire.BILLING_WINDOW_STATE_WAITING,
    WindowState.CLOSED: wire.BILLING_WINDOW_STATE_CLOSED,
    WindowState.PARKED: wire.BILLING_WINDOW_STATE_PARKED,
}
SHARE_DIGITS = 6


def read_instant(field: str, value: Timestamp) -> int:
    """Nanoseconds since the epoch.

    Raises:
        Problem: it is not between 1970 and 2262.

    """
    at_ns = value.seconds * SECOND_NS + value.nanos
    if not 0 <= at_ns <= LATEST_NS or not 0 <= value.nanos < SECOND_NS:
        raise invalid(field, f"{value.seconds} s {value.nanos} ns", f"{field}: is not between 1970 and 2262")
    return at_ns


def instant(at_ns: int) -> Timestamp:
    """An instant as a message."""
    return Timestamp(seconds=at_ns // SECOND_NS, nanos=at_ns % SECOND_NS)


def usage_message(found: CustomerUsage) -> wire.GetCustomerUsageResponse:
    """The reply to GetCustomerUsage."""
    return wire.GetCustomerUsageResponse(
        customer_id=found.customer_id,
        time_zone=found.zone,
        until=instant(found.until_ns),
        meters=_meters(found.amounts),
        coverage=_coverage(found.known),
        resources=[
            wire.ResourceUsage(resource_id=each.resource_id, meters=_meters(each.amounts), coverage=_coverage(each.known))
            for each in found.resources
        ],
        pricing=_rates(found.rates),
        hours_waiting=found.hours_waiting,
        estimated_cost=found.cost.text if found.cost else "",
        currency=found.cost.currency if found.cost else "",
        cost_missing=found.cost_missing,
        **{"from": instant(found.from_ns)},
    )


def windows_message(found: Windows) -> wire.GetBillingWindowResponse:
    """The reply to GetBillingWindow."""
    return wire.GetBillingWindowResponse(
        customer_id=found.customer_id, time_zone=found.zone, windows=[_window(each) for each in found.windows]
    )


def hour_message(hour: UsageHour) -> wire.HourUpdate:
    """A usage hour of a live stream."""
    totals = [
        Amount(meter=meter, unit=unit.value, total=total, estimated=hour.estimated_total(meter))
        for meter, unit in METERS.items()
        if (total := hour.total(meter)) is not None
    ]
    return wire.HourUpdate(
        resource_id=hour.resource_id,
        hour=instant(hour.hour_ns),
        meters=_meters(totals),
        samples=hour.samples,
        memory_peak_bytes=hour.memory_peak_bytes or 0,
        millicores=_level(hour, "cpu.used", 1000),
        memory_bytes=_level(hour, "memory.used", 1),
        network_rx_bytes_per_second=_level(hour, "network.rx", SECOND_NS),
        network_tx_bytes_per_second=_level(hour, "network.tx", SECOND_NS),
    )


def _level(hour: UsageHour, meter: str, scale: int) -> int:
    """The mean of a meter over the time up in the last cell that has any; 0: nothing measured it."""
    up = hour.cells.get("uptime", ())
    last = max((place for place, amount in enumerate(up) if amount), default=None)
    if last is None or meter not in hour.cells:
        return 0
    return hour.cells[meter][last] * scale // up[last]


def _meters(amounts: Iterable[Amount]) -> list[wire.MeterUsage]:
    return [
        wire.MeterUsage(meter=each.meter, unit=each.unit, total=str(each.total), estimated=str(each.estimated) if each.estimated else "")
        for each in amounts
    ]


def _coverage(known: Known) -> wire.UsageCoverage:
    counted = known.measured_ns + known.estimated_ns
    return wire.UsageCoverage(
        measured_ns=known.measured_ns,
        estimated_ns=known.estimated_ns,
        unknown_ns=known.unknown_ns,
        estimated_share=_decimal(known.estimated_ns, counted) if counted else "",
    )


def _decimal(part: int, whole: int) -> str:
    """A share from 0 to 1, cut after six digits: 1 of 3 is 0.333333."""
    before, after = divmod(part * 10**SHARE_DIGITS // whole, 10**SHARE_DIGITS)
    return f"{before}.{after:0{SHARE_DIGITS}d}"


def _rates(rates: Rates | None) -> wire.PricingRates | None:
    if rates is None:
        return None
    return wire.PricingRates(
        cpu_per_core_hour=float(rates.prices.get("cpu.used", "0")),
        memory_per_gb_hour=float(rates.prices.get("memory.used", "0")),
        disk_io_per_gb=float(rates.prices.get("disk.io", "0")),
        network_per_gb=float(rates.prices.get("network.io", "0")),
    )


def _window(found: Window) -> wire.BillingWindow:
    return wire.BillingWindow(
        start=instant(found.start_ns),
        end=instant(found.end_ns),
        closing=instant(found.closing_ns),
        currency=found.currency,
        subscription_ids=found.subscription_ids,
        state=STATES[found.state],
        waits_for=found.waits_for,
        invoice_number=found.invoice_number,
        reported_until=None if found.reported_until_ns is None else instant(found.reported_until_ns),
        hours_waiting=found.hours_waiting,
        coverage=_coverage(found.known),
        gaps=[_gap(gap) for gap in found.gaps],
        gaps_left_out=found.gaps_left_out,
    )


def _gap(gap: Gap | ListedGap) -> wire.WindowGap:
    return wire.WindowGap(
        resource_id=gap.resource_id,
        until=None if gap.until_ns == LATEST_NS else instant(gap.until_ns),
        filled="" if gap.filled is None else gap.filled.value,
        cause=gap.cause.value,
        **{"from": instant(gap.from_ns)},
    )
