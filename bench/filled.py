"""A store that is filled as if many resources had been metered for long: a few are made by the product itself, the others are their copies.

Each resource has what an agent at 10 Hz leaves of an hour: 60 batches of 600 samples that do not begin at cell boundaries, so 72
segments, and those of the ten minutes before and after. Twenty belong to one customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tallystick.app.clock import SystemClock
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.meter import content, fold
from tallystick.meter.samples import Samples
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Customer
from tallystick.model.instants import DAY_NS, HOUR_NS, MINUTE_NS
from tallystick.model.resources import Fact
from tallystick.model.samples import ALL_COLUMNS_MASK, BatchIdentity
from tallystick.model.timeline import StorableBatch
from tallystick.store.store import Store, Tx, migrate, open_store

PLACE = Place()
MADE = 20
PER_CUSTOMER = 20
PER_BATCH = 600
INTERVAL_NS = 100_000_000
MONTH_NS = 1_764_547_200 * 10**9
"""2025-12-01, 00:00 UTC: a month of 31 days, and in Berlin a month without a change of the clock."""
ZONE = "UTC"
COPIED_AT_ONCE = 500


@dataclass(frozen=True)
class Filled:
    """How a store is filled: `hours` beginning at `from_ns` have segments and wait; those of the day before are stored."""

    resources: int
    from_ns: int
    hours: int = 1


def filled_store(folder: Path, wanted: Filled) -> Store:
    """A new SQLite store with resources whose hours wait to be computed, the earlier hours of their day and days of their month stored."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder / 'tallystick.db'}"
    migrate(url)
    store = open_store(url, SystemClock())
    add_customers(store, range((wanted.resources + PER_CUSTOMER - 1) // PER_CUSTOMER))
    made = min(MADE, wanted.resources)
    until_ns = wanted.from_ns + wanted.hours * HOUR_NS
    for number in range(made):
        store.transact(lambda tx, number=number: _make(store, tx, number, wanted.from_ns - 10 * MINUTE_NS, until_ns + 10 * MINUTE_NS))
    roll_up(store, DiskHorizon.CLOCK, until_ns + HOUR_NS)
    copy_hours(store, wanted.from_ns, range(wanted.from_ns - wanted.from_ns % DAY_NS, wanted.from_ns, HOUR_NS))
    copy_days(store, wanted.from_ns)
    copy_resources(store, made, wanted.resources)
    with store.write() as tx:
        tx.run("DELETE FROM usage_hour WHERE hour_ns >= ?", (wanted.from_ns,))
        tx.run("DELETE FROM dirty_hour")
        tx.many(
            "INSERT INTO dirty_hour (scope_key, resource_key, hour_ns, generation)"
            " SELECT scope_key, resource_key, ?, generation FROM resource",
            [(hour_ns,) for hour_ns in range(wanted.from_ns, until_ns, HOUR_NS)],
        )
    return store


def add_customers(store: Store, numbers: Sequence[int]) -> None:
    """Customers such as `customer-0000`."""
    with store.write() as tx:
        for number in numbers:
            name = f"customer-{number:04d}"
            store.registry.create_customer(PLACE, Customer(id=name, name=name, currency="EUR", time_zone=ZONE), actor="bench", tx=tx)


def _make(store: Store, tx: Tx, number: int, from_ns: int, until_ns: int) -> None:
    """One resource by way of the product: its facts and batches."""
    resource_id = f"vm-{number:06d}"
    fact = Fact(
        resource_id=resource_id,
        at_ns=MONTH_NS,
        received_at_ns=MONTH_NS,
        customer_id="customer-0000",
        vcpus=4,
        memory_bytes=8 * 2**30,
        disk_bytes=80 * 2**30,
    )
    store.batches.write_facts(tx, PLACE, [fact])
    store.batches.write(tx, PLACE, _batches(resource_id, number, from_ns, until_ns))


def _batches(resource_id: str, seed: int, from_ns: int, until_ns: int) -> Sequence[StorableBatch]:
    random = np.random.default_rng(seed)
    start_ns = from_ns + int(random.integers(1, MINUTE_NS // INTERVAL_NS)) * INTERVAL_NS
    count = (until_ns - start_ns) // INTERVAL_NS
    values = np.empty((9, count), np.int64)
    values[0] = start_ns + np.arange(count) * INTERVAL_NS + random.integers(0, 2_000_000, count)
    values[1] = 2**32 + np.cumsum(random.integers(-64, 65, count)) * 4096
    for column, most in enumerate((10**8, 2**20, 2**20, 40, 40, 10**6, 10**6), start=2):
        values[column] = int(random.integers(10**12, 10**14)) + np.cumsum(random.integers(0, most, count))
    found = []
    for sequence, low in enumerate(range(0, count, PER_BATCH), start=1):
        samples = Samples(values=values[:, low : low + PER_BATCH], mask=ALL_COLUMNS_MASK, interval_ns=INTERVAL_NS)
        times = samples.values[0]
        found.append(
            StorableBatch(
                identity=BatchIdentity(resource_id=resource_id, boot_id="boot", spool_id="spool", sequence=sequence),
                content_hash=content.content_hash(samples),
                interval_ns=INTERVAL_NS,
                received_at_ns=int(times[-1]) + 10**9,
                first_at_ns=int(times[0]),
                last_at_ns=int(times[-1]),
                samples=samples.count,
                segments=fold.fold([samples], [True])[0],
                payload=b"",
            )
        )
    return found


def copy_hours(store: Store, from_ns: int, hours: Sequence[int]) -> None:
    """The hour that begins at `from_ns` is also the usage of other hours."""
    with store.write() as tx:
        names = _columns(tx, "usage_hour")
        picked = ", ".join("?" if name == "hour_ns" else name for name in names)
        tx.run("DELETE FROM usage_hour WHERE hour_ns < ?", (from_ns,))
        tx.many(
            f"INSERT INTO usage_hour ({', '.join(names)}) SELECT {picked} FROM usage_hour WHERE hour_ns = ?",
            [(hour_ns, from_ns) for hour_ns in hours if hour_ns != from_ns],
        )


def copy_days(store: Store, from_ns: int) -> None:
    """The day of the hours that wait, made of the hours stored before them; the days of its month before it; the month, their sum."""
    from tallystick.app.jobs.days import Touched, Zones, write_days  # noqa: PLC0415 (the product's own way to make days)

    day_ns = from_ns - from_ns % DAY_NS
    for resource in store.registry.resources(PLACE):
        with store.write() as tx:
            tx.run("DELETE FROM usage_hour WHERE hour_ns >= ? AND resource_key = ?", (from_ns, resource.row))
            tx.run("DELETE FROM usage_day WHERE resource_key = ?", (resource.row,))
            owned = Zones.read(store, PLACE, [resource.row], tx).owned(resource.id)
            day = Touched(
                resource_key=resource.row,
                resource_id=resource.id,
                owned=owned,
                from_ns=day_ns,
                until_ns=day_ns + DAY_NS,
                exchanged={},
            )
            write_days(tx, store, PLACE, [day])
            names = _columns(tx, "usage_day")
            for shift in range(DAY_NS, day_ns - MONTH_NS + 1, DAY_NS):
                shifted = ", ".join(f"{name} - {shift}" if name in {"start_ns", "end_ns"} else name for name in names)
                tx.run(
                    f"INSERT INTO usage_day ({', '.join(names)}) SELECT {shifted} FROM usage_day WHERE start_ns = ? AND resource_key = ?",
                    (day_ns, resource.row),
                )
            tx.run("DELETE FROM usage_day WHERE start_ns = ? AND resource_key = ?", (day_ns, resource.row))
            tx.run("DELETE FROM usage_month WHERE resource_key = ?", (resource.row,))
            write_days(tx, store, PLACE, [day])


def copy_resources(store: Store, made: int, wanted: int) -> None:
    """Resources `made` and on, each with everything of one of the first: only its numbers and its name are its own."""
    tables = ("boot", "resource_fact", "segment", "usage_hour", "usage_day", "usage_month")
    shifts = list(range(made, wanted, made))
    for low in range(0, len(shifts), COPIED_AT_ONCE):
        with store.write() as tx:
            tx.run("CREATE TEMP TABLE IF NOT EXISTS shift (by INTEGER)")
            tx.run("DELETE FROM shift")
            tx.many("INSERT INTO shift (by) VALUES (?)", [(each,) for each in shifts[low : low + COPIED_AT_ONCE]])
            _copy_registry(tx, made, wanted)
            for table in tables:
                _copy(tx, table, made, wanted)


def _copy_registry(tx: Tx, made: int, wanted: int) -> None:
    names = [name for name in _columns(tx, "resource") if name not in {"resource_key", "resource_id", "customer_id"}]
    key = "resource_key + by"
    customer = f"printf('customer-%04d', ({key} - 1) / {PER_CUSTOMER})"
    where = f"WHERE resource_key <= {made} AND resource_key + by <= {wanted}"
    tx.run(
        f"INSERT INTO resource (resource_key, resource_id, customer_id, {', '.join(names)})"
        f" SELECT {key}, printf('vm-%06d', {key} - 1), {customer}, {', '.join(names)} FROM shift CROSS JOIN resource {where}"
    )
    tx.run(
        "INSERT INTO resource_customer (scope_key, customer_id, resource_key)"
        f" SELECT scope_key, {customer}, {key} FROM shift CROSS JOIN resource_customer {where}"
    )


def _copy(tx: Tx, table: str, made: int, wanted: int) -> None:
    names = [name for name in _columns(tx, table) if name != "fact_key"]
    own = {
        "resource_key": "resource_key + by",
        "boot_key": "boot_key + by",
        "customer_id": f"printf('customer-%04d', (resource_key + by - 1) / {PER_CUSTOMER})",
    }
    tx.run(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(own.get(name, name) for name in names)}"
        f" FROM shift CROSS JOIN {table} WHERE resource_key <= {made} AND resource_key + by <= {wanted}"
    )


def _columns(tx: Tx, table: str) -> list[str]:
    return [row[1] for row in tx.rows(f"PRAGMA table_info({table})")]
