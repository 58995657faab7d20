"""The price book of the first bill: prices so high that a minute of use of every meter costs more than 1.00.

The same table makes the YAML that the product reads and is what the independent computation prices with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

NOMINAL_SECONDS = 60
BOOK_ID = "first-bill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One charge: `price` for each `per` of `meter`; `by_resource` gives each resource its own line."""

    id: str
    name: str
    meter: str
    per: str
    price: Fraction
    by_resource: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A monthly plan on the calendar with a fee in arrears, prorated exactly."""

    id: str
    name: str
    currency: str
    fee: Fraction
    charges: tuple[Charge, ...]


def _charge(id: str, name: str, meter: str, per: str, price: int, *, by_resource: bool = False) -> Charge:
    return Charge(id=id, name=name, meter=meter, per=per, price=Fraction(price), by_resource=by_resource)


COMPUTE = Plan(
    id="compute",
    name="Compute",
    currency="USD",
    fee=Fraction(250_000),
    charges=(
        _charge("cpu-used", "CPU time", "cpu.used", "core-hour", 2700, by_resource=True),
        _charge("cpu-allocated", "vCPUs", "cpu.allocated", "vcpu-hour", 177),
        _charge("memory-used", "Memory in use", "memory.used", "GiB-hour", 9007),
        _charge("memory-allocated", "Memory", "memory.allocated", "GiB-hour", 271),
        _charge("uptime", "Time up", "uptime", "hour", 333, by_resource=True),
    ),
)
STORAGE = Plan(
    id="storage",
    name="Storage",
    currency="EUR",
    fee=Fraction(199_999),
    charges=(
        _charge("cpu-used", "CPU time", "cpu.used", "core-hour", 3900),
        _charge("cpu-allocated", "vCPUs", "cpu.allocated", "vcpu-hour", 149),
        _charge("memory-used", "Memory in use", "memory.used", "GiB-hour", 12007),
        _charge("memory-allocated", "Memory", "memory.allocated", "GiB-hour", 259),
        _charge("uptime", "Time up", "uptime", "hour", 307),
        _charge("disk-write", "Bytes written", "disk.write", "GiB", 97),
    ),
)


def plans(seconds: int, disk: bool) -> tuple[Plan, ...]:
    """The plans for workloads of so many seconds: shorter ones cost as much. Without a disk counter there is no disk charge."""
    factor = Fraction(max(1, -(-NOMINAL_SECONDS // seconds)))
    return tuple(
        replace(
            plan,
            fee=plan.fee * factor,
            charges=tuple(replace(charge, price=charge.price * factor) for charge in plan.charges if disk or charge.meter != "disk.write"),
        )
        for plan in (COMPUTE, STORAGE)
    )


def document(plans: tuple[Plan, ...], effective_from: str) -> str:
    """The book as the product reads it: YAML, in force from an ISO 8601 instant."""
    rows = [f"book: {BOOK_ID}", "version: 1", f"effective_from: {effective_from}", "plans:"]
    for plan in plans:
        rows += [f"  - id: {plan.id}", f"    name: {plan.name}", f"    currency: {plan.currency}", "    cycle: monthly", "    fees:"]
        rows += [f"      - {{id: fee, name: Platform, amount: {plan.fee}, timing: arrears, proration: exact}}", "    charges:"]
        rows += [_row(charge) for charge in plan.charges]
    return "\n".join(rows) + "\n"


def _row(charge: Charge) -> str:
    group = ", group_by: [resource]" if charge.by_resource else ""
    priced = f"meter: {charge.meter}, per: {charge.per}, model: unit, price: {charge.price}"
    return f"      - {{id: {charge.id}, name: {charge.name}, {priced}{group}}}"
