"""What it costs to rate a month: customers with three resources each, 720 stored hours, four charges with tiers; nothing is written.

A slice of customers is rated, on SQLite and on PostgreSQL, a hundred read together: contracts, prices, and of resources with even
hours their sums. The cost of 10,000 is that of the slice in proportion, which the ratio of customers bears out; BENCH_CUSTOMERS=10000
rates them all. Hours lie in the store as a roll-up leaves them, those of all resources of one hour together, with days and months.
Also what it costs where only the hours can tell.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.measure import line, status_mib
from tallystick.app.answers.services import activate_book, add_book, subscribe
from tallystick.app.answers.together import read_together
from tallystick.app.clock import SystemClock
from tallystick.app.jobs.days import Touched, Zones, write_days
from tallystick.app.serving.memory import collect_seldom, keep_freed_memory
from tallystick.invoice.runs import due, usage_window
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, DAY_NS, HOUR_NS
from tallystick.model.resources import Fact
from tallystick.model.usage import Cells, HoursResult, UsageHour
from tallystick.rate.rate import rate
from tallystick.store.records import DirtyHour
from tallystick.store.store import Store, Tx, migrate, open_store
from tallystick.store.tables.schema import schema
from tests.servers import cpu_seconds
from tests.stores import start_postgres

PLACE = Place()
CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "400"))
ALL = 10_000
FEW = 20
PER_CUSTOMER = 3
WORLDS = 30
TOGETHER = 100
HOURS = 720
MONTH_NS = 1_761_955_200 * 10**9
"""2025-11-01, 00:00 UTC: a month of 720 hours."""
UNTIL_NS = MONTH_NS + HOURS * HOUR_NS
GIB = 2**30
LADDER = "tiers: [{up_to: 100, price: 0.05}, {up_to: 1000, price: 0.04}, {price: 0.03}]"
BOOK = """
book: tiered
effective_from: 2025-10-01T00:00:00Z
plans:
  - id: tiered
    currency: EUR
    charges:
"""
CHARGES = (
    ("cpu.used", "core-hour", "graduated"),
    ("memory.used", "GiB-hour", "graduated"),
    ("network.tx", "GiB", "volume"),
    ("cpu.allocated", "vcpu-hour", "graduated"),
)


@dataclass(frozen=True)
class Cost:
    """CPU-seconds of rating a slice: of this process, and of the database beside it; by how much this process grew."""

    customers: int
    client_s: float
    database_s: float
    lines: int
    grown_mib: float

    @property
    def each_ms(self) -> float:
        """CPU-milliseconds a customer."""
        return (self.client_s + self.database_s) / self.customers * 1e3


def book(lines: int) -> str:
    """Four charges with tiers; with twice the lines each has two groups."""
    grouped = ", group_by: [resource]" if lines > 1 else ""
    told = [
        f"      - {{id: {meter.replace('.', '-')}, meter: {meter}, per: {per}, model: {model}, {LADDER}{grouped}}}"
        for meter, per, model in CHARGES
    ]
    return BOOK + "\n".join(told) + "\n"


def fill(store: Store, customers: int, hours: int, lines: int) -> None:
    """Customers with their resources, subscriptions and stored hours: of some worlds, that all others are copies of."""
    found = add_book(store, PLACE, "bench", book(lines)).book
    assert found is not None
    activate_book(store, PLACE, "bench", found.id, found.version)
    resources = customers * PER_CUSTOMER
    for number in range(customers):
        name = _customer(number)
        store.registry.create_customer(PLACE, Customer(id=name, name=name, currency="EUR"), actor="bench")
        subscribe(store, PLACE, "bench", Subscription(id=f"s-{name}", customer_id=name, plan_id="tiered", start_ns=MONTH_NS - DAY_NS))
    for low in range(0, resources, 100):
        facts = [
            Fact(
                resource_id=f"vm-{number:06d}",
                at_ns=MONTH_NS - DAY_NS,
                received_at_ns=MONTH_NS - DAY_NS,
                customer_id=_customer(number // PER_CUSTOMER),
                vcpus=4,
                memory_bytes=8 * GIB,
                disk_bytes=80 * GIB,
            )
            for number in range(low, min(low + 100, resources))
        ]
        with store.write() as tx:
            store.batches.write_facts(tx, PLACE, facts)
    keys = [each.row for each in sorted(store.registry.resources(PLACE), key=lambda each: each.id)]
    for world in range(min(WORLDS, resources)):
        with store.write() as tx:
            _world(store, tx, keys[world], f"vm-{world:06d}", hours, np.random.default_rng(world))
    store.transact(lambda tx: _copy(tx, keys))


def _customer(number: int) -> str:
    return f"customer-{number:05d}"


def _world(store: Store, tx: Tx, key: int, resource_id: str, hours: int, random: np.random.Generator) -> None:
    marks = [
        DirtyHour(place=PLACE, resource_key=key, resource_id=resource_id, hour_ns=MONTH_NS + at * HOUR_NS, generation=1)
        for at in range(hours)
    ]
    tx.run("DELETE FROM dirty_hour")
    tx.many(
        "INSERT INTO dirty_hour (scope_key, resource_key, hour_ns, generation) SELECT scope_key, resource_key, ?, 1 FROM resource"
        " WHERE resource_key = ?",
        [(mark.hour_ns, key) for mark in marks],
    )
    found = [_hour(resource_id, mark.hour_ns, random) for mark in marks]
    replaced = store.usage.replace_hours(tx, marks, HoursResult(hours=tuple(found), gaps=(), findings=()))
    owned = Zones.read(store, PLACE, [key], tx).owned(resource_id)
    span = {"from_ns": MONTH_NS, "until_ns": MONTH_NS + hours * HOUR_NS}
    write_days(tx, store, PLACE, [Touched(resource_key=key, resource_id=resource_id, owned=owned, exchanged=replaced.exchanged, **span)])


def _hour(resource_id: str, hour_ns: int, random: np.random.Generator) -> UsageHour:
    """What an agent's samples make of an hour: every meter but those of GPUs."""

    def cells(most: int, times: int = 1) -> Cells:
        return tuple(int(each) * times for each in random.integers(most // 2, most, CELLS_PER_HOUR))

    def level(amount: int) -> Cells:
        return (amount * CELL_NS,) * CELLS_PER_HOUR

    return UsageHour(
        resource_id=resource_id,
        hour_ns=hour_ns,
        cells={
            "cpu.used": cells(10**12),
            "cpu.allocated": level(4),
            "memory.used": cells(4 * GIB, CELL_NS - 1),
            "memory.allocated": level(8 * GIB),
            "gpu.allocated": level(0),
            "disk.allocated": level(80 * GIB),
            **{meter: cells(10**9) for meter in ("disk.read", "disk.write", "network.rx", "network.tx")},
            **{meter: cells(60_000) for meter in ("disk.read_ops", "disk.write_ops")},
            "uptime": level(1),
        },
        estimated={},
        samples=36_000,
        memory_peak_bytes=4 * GIB,
    )


def _copy(tx: Tx, keys: list[int]) -> None:
    """The hours, days and months of the worlds are also those of all other resources; hours in the order in which a roll-up leaves them."""
    tx.run("CREATE TEMP TABLE worlds (world INTEGER, own INTEGER, customer TEXT)")
    copies = [(keys[place % WORLDS], key, _customer(place // PER_CUSTOMER)) for place, key in enumerate(keys)]
    tx.many("INSERT INTO worlds (world, own, customer) VALUES (?, ?, ?)", copies)
    for table, order in (("usage_hour", "hour_ns"), ("usage_day", "start_ns"), ("usage_month", "start_ns")):
        names = list(schema(tx.dialect)[table].columns.keys())
        tx.run(f"CREATE TEMP TABLE made AS SELECT * FROM {table}")
        tx.run(f"DELETE FROM {table}")
        own = {"resource_key": "w.own", "customer_id": "w.customer"}
        picked = ", ".join(own.get(name, f"m.{name}") for name in names)
        tx.run(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {picked} FROM made m JOIN worlds w ON w.world = m.resource_key"
            f" ORDER BY m.{order}, w.own"
        )
        tx.run("DROP TABLE made")
    tx.run("DROP TABLE worlds")


def rated(url: str, customers: int, database: int | None, *, uneven: bool = False) -> Cost:
    """Rate the month of each customer; every one has its lines. `uneven`: by its hours, as if their sums did not tell enough."""
    store = open_store(url, SystemClock())
    lines = 0
    Path("/proc/self/clear_refs").write_text("5")
    resident = status_mib("VmRSS")
    before, beside = time.process_time(), cpu_seconds(database) if database else 0
    for low in range(0, customers, TOGETHER):
        names = [_customer(number) for number in range(low, min(low + TOGETHER, customers))]
        for contract, books, usage in read_together(store, PLACE, names, (MONTH_NS, UNTIL_NS), at_ns=UNTIL_NS):
            if uneven:
                usage = replace(usage, sums=(), hours=tuple(hour for sums in usage.sums for hour in sums.hours()))  # noqa: PLW2901 (the same)
            (run,) = [each for each in due(contract, books, UNTIL_NS, MONTH_NS) if usage_window(each) == (MONTH_NS, UNTIL_NS)]
            result = rate(usage, contract, books, run)
            if result.findings:
                raise SystemExit(f"bench/billing/rating.py: {result.findings[0]}")
            lines += len(result.lines)
    client_s, database_s = time.process_time() - before, (cpu_seconds(database) if database else 0) - beside
    cost = Cost(customers, client_s, database_s, lines, status_mib("VmHWM") - resident)
    store.close()
    if lines < len(CHARGES) * customers:
        raise SystemExit(f"bench/billing/rating.py: {lines} lines for {customers} customers")
    return cost


@contextmanager
def filled(kind: str, customers: int, hours: int = HOURS, lines: int = 1) -> Iterator[tuple[str, int | None]]:
    """A new store with that many customers, and the process of its database, if it has one."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        postgres = start_postgres() if kind == "postgresql" else None
        url = postgres.new_database() if postgres else f"sqlite:///{Path(name) / 'tallystick.db'}"
        try:
            migrate(url)
            store = open_store(url, SystemClock())
            fill(store, customers, hours, lines)
            store.close()
            yield url, postgres.pid if postgres else None
        finally:
            if postgres:
                postgres.stop()


def measured(kind: str, customers: int, hours: int = HOURS, lines: int = 1, *, uneven: bool = False) -> Cost:
    """The cost of a slice in a new store."""
    with filled(kind, customers, hours, lines) as (url, database):
        cost = rated(url, customers, database, uneven=uneven)
    print(f"{kind}: {customers} customers x {hours} h, {cost.lines} lines: {cost.each_ms:.2f} CPU-ms each", file=sys.stderr)
    return cost


def main() -> None:
    keep_freed_memory()  # as a worker does
    collect_seldom()
    half = measured("sqlite", CUSTOMERS // 2)
    whole = measured("sqlite", CUSTOMERS)
    more = measured("sqlite", CUSTOMERS // 2, lines=2)
    by_hours = [measured("sqlite", FEW, hours, uneven=True) for hours in (HOURS // 2, HOURS)]
    other = measured("postgresql", CUSTOMERS)
    what = f"a month of 10,000 customers, 3 resources x {HOURS} stored hours, 4 charges with tiers, by {CUSTOMERS} of them"
    line("rate_10000_cpu_s", whole.each_ms * ALL / 1e3, "CPU-s", f"{what}, SQLite", 20)
    line("rate_10000_postgresql_cpu_s", other.each_ms * ALL / 1e3, "CPU-s", f"{what}, PostgreSQL, client and database together", 20)
    line("rate_memory_grown_mib", whole.grown_mib, "MiB", f"by how much the process grew while it rated {CUSTOMERS} customers", 64)
    line("rate_customers_growth", 2 * whole.each_ms / half.each_ms, "x", "CPU of twice the customers", 2.2)
    line("rate_lines_growth", more.each_ms / half.each_ms, "x", f"CPU of {more.lines / half.lines:g} times the lines", 2.2)
    line("rate_hours_growth", by_hours[1].each_ms / by_hours[0].each_ms, "x", "CPU of twice the hours, where they all have to be read", 2.2)
    what = f"one of these customers where sums do not tell enough and all of its {PER_CUSTOMER * HOURS} hours are read, SQLite"
    line("rate_by_hours_cpu_ms", by_hours[1].each_ms, "CPU-ms", what, 250)


if __name__ == "__main__":
    main()
