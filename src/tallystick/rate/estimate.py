"""What a machine would cost: usage made up from its sizes, through the one formula."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from tallystick.model.billing.contracts import Contract, Customer, Run, Seller, Subscription
from tallystick.model.billing.invoices import RatingResult, Usage
from tallystick.model.billing.price_book import Plan, PriceBook
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, HOUR_NS, LATEST_NS
from tallystick.model.resources import SIZES, Attributes
from tallystick.model.usage import STORED_METERS, Cells, UsageHour
from tallystick.rate.rate import rate
from tallystick.rate.units import GIB, units_of

MONTH_HOURS = 730
MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is estimated: sizes, traffic out over the whole time, and how long it runs. Rationals; what is 0 costs nothing."""

    vcpus: Fraction = Fraction(0)
    memory_gib: Fraction = Fraction(0)
    disk_gib: Fraction = Fraction(0)
    gpus: Fraction = Fraction(0)
    network_out_gib: Fraction = Fraction(0)
    hours: Fraction = Fraction(MONTH_HOURS)
    region: str = ""
    kind: str = ""


def estimate(book: PriceBook, plan_id: str, machine: Machine) -> RatingResult:
    """The lines of a machine on a plan: 2 vCPU, 4 GiB and 50 GiB at 730 h are 14.60 + 14.60 + 5.00 on the shipped `standard`.

    Months are of 730 h here, whatever the plan says. CPU and memory count as fully used, so that a plan that bills what
    was used shows the most it can cost. Recurring fees are not in it.

    Raises:
        ValueError: an unknown plan, a negative figure, or time that is no whole nanosecond or above a year.

    """
    plan = book.plan(plan_id)
    if plan is None:
        raise ValueError(f"plan {plan_id!r} is not in {book.id}; there are: {', '.join(each.id for each in book.plans)}")
    length_ns = _checked(machine)
    start_ns = -(-book.effective_from_ns // HOUR_NS) * HOUR_NS
    end_ns = start_ns + -(-length_ns // HOUR_NS) * HOUR_NS
    priced = replace(book, effective_until_ns=None, plans=(_nominal(plan),))
    subscription = Subscription(id="estimate", customer_id="estimate", plan_id=plan_id, start_ns=start_ns)
    contract = Contract(
        seller=Seller(id="estimate", name=""),
        customer=Customer(id="estimate", name="", currency=plan.currency),
        subscriptions=(subscription,),
    )
    run = Run(
        customer_id="estimate",
        cycle=plan.cycle,
        anchor_ns=0,
        period_start_ns=start_ns,
        period_end_ns=end_ns,
        closing_ns=end_ns,
        currency=plan.currency,
        subscription_ids=(subscription.id,),
    )
    attributes = Attributes(
        from_ns=start_ns, until_ns=LATEST_NS, customer_id="estimate", name=MACHINE, region=machine.region, kind=machine.kind, sizes=SIZES
    )
    usage = Usage(hours=_hours(machine, start_ns, length_ns), attributes={MACHINE: (attributes,)})
    return rate(usage, contract, (priced,), run)


def _checked(machine: Machine) -> int:
    for name in ("vcpus", "memory_gib", "disk_gib", "gpus", "network_out_gib", "hours"):
        value = getattr(machine, name)
        if value < 0:
            raise ValueError(f"{name}: {value} is negative")
    length = machine.hours * HOUR_NS
    if length.denominator != 1 or not 0 < machine.hours <= 366 * 24:
        raise ValueError(f"hours: {machine.hours} is not above 0, at most {366 * 24}, and a whole number of nanoseconds")
    return length.numerator


def _nominal(plan: Plan) -> Plan:
    """The plan with every month of 730 h."""
    charges = tuple(
        replace(charge, month_hours=Fraction(MONTH_HOURS)) if _monthly(charge.meter, charge.per) else charge for charge in plan.charges
    )
    return replace(plan, charges=charges)


def _monthly(meter: str, per: str) -> bool:
    return any(unit.name == per and unit.monthly for unit in units_of(meter))


def _hours(machine: Machine, start_ns: int, length_ns: int) -> tuple[UsageHour, ...]:
    """Usage hours at constant levels; a total that is no multiple of its cells is split by cumulative floors."""
    totals = {
        "cpu.used": machine.vcpus * length_ns,
        "cpu.allocated": machine.vcpus * length_ns,
        "memory.used": machine.memory_gib * GIB * length_ns,
        "memory.allocated": machine.memory_gib * GIB * length_ns,
        "disk.allocated": machine.disk_gib * GIB * length_ns,
        "gpu.allocated": machine.gpus * length_ns,
        "network.tx": machine.network_out_gib * GIB,
        "uptime": Fraction(length_ns),
    }
    hours = []
    for hour_ns in range(0, length_ns, HOUR_NS):
        cells = {meter: _cells(totals[meter], hour_ns, length_ns) for meter in STORED_METERS if meter in totals}
        row = UsageHour(resource_id=MACHINE, hour_ns=start_ns + hour_ns, cells=cells, estimated={}, samples=0, memory_peak_bytes=None)
        hours.append(row)
    return tuple(hours)


def _cells(total: Fraction, hour_ns: int, length_ns: int) -> Cells:
    bounds = [min(hour_ns + cell * CELL_NS, length_ns) for cell in range(CELLS_PER_HOUR + 1)]
    shares = [total * bound // length_ns for bound in bounds]
    return tuple(after - before for before, after in pairwise(shares))
