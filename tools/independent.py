"""Usage out of raw samples, without the product: the file's rows by plain SQL, the scalar reference, one sample at a time.

    python -m tools.independent DATABASE

prints the totals of every resource in a server's SQLite file. Nothing of the product is imported: payloads are opened by
`tools/bill/raw.py`, and metering.md is `tests/reference/scalar.py`, which shares no code with `src/tallystick/meter`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reference import scalar
from tools.bill import raw

PLANES = 1
SIZES = ("vcpus", "memory_bytes", "disk_bytes", "gpus")


@dataclass(frozen=True, slots=True)
class RawBatch:
    """One stored batch: its identity, when it came, and its columns as absolute values."""

    resource_id: str
    boot_id: str
    spool_id: str
    sequence: int
    received_at_ns: int
    interval_ns: int
    columns: dict[str, list[int]]
    payload_sha256: str


@dataclass(slots=True)
class RawResource:
    """Everything that is stored of one resource: batches, and events and facts as rows by column name."""

    batches: list[RawBatch] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)


def read(database: Path) -> dict[str, RawResource]:
    """All resources of a server's SQLite file, which no server has open."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        found = {row["resource_id"]: RawResource() for row in connection.execute("SELECT resource_id FROM resource")}
        for row in connection.execute(
            """SELECT resource_id, boot_id, spool_id, sequence, batch.received_at_ns, form, interval_ns, body
               FROM batch JOIN boot USING (boot_key) JOIN resource USING (resource_key)
                    JOIN spool USING (spool_key) JOIN payload USING (batch_key)
               ORDER BY batch.received_at_ns, batch_key"""
        ):
            found[row["resource_id"]].batches.append(_batch(row))
        for row in connection.execute(
            """SELECT resource_id, boot_id, lifecycle_event.kind, at_ns, received_at_ns
               FROM lifecycle_event JOIN resource USING (resource_key)"""
        ):
            found[row["resource_id"]].events.append(dict(row))
        for row in connection.execute(
            """SELECT resource_id, at_ns, received_at_ns, vcpus, memory_bytes, disk_bytes, gpus, deleted
               FROM resource_fact JOIN resource USING (resource_key)"""
        ):
            sizes = {name: row[name] for name in SIZES if row[name] is not None}
            if sizes or row["deleted"]:
                deleted = {"deleted": True} if row["deleted"] else {}
                found[row["resource_id"]].facts.append({"at_ns": row["at_ns"], "received_at_ns": row["received_at_ns"], **sizes, **deleted})
    return found


def _batch(row: sqlite3.Row) -> RawBatch:
    if row["form"] != PLANES:
        raise ValueError(f"a payload of form {row['form']}: this reads planes")
    return RawBatch(
        resource_id=row["resource_id"],
        boot_id=row["boot_id"],
        spool_id=row["spool_id"],
        sequence=row["sequence"],
        received_at_ns=row["received_at_ns"],
        interval_ns=row["interval_ns"],
        columns=raw.decode(row["body"], row["interval_ns"]),
        payload_sha256=hashlib.sha256(row["body"]).hexdigest(),
    )


def usage(stored: RawResource) -> dict[str, int]:
    """The meters of one resource in base units, summed over everything that is stored of it; `disk.allocated` is left out.

    That one counts whole hours to a horizon that only the server knows, and no line of the first bill is made of it.
    """
    batches = [
        {"boot_id": one.boot_id, "received_at_ns": one.received_at_ns, "interval_ns": one.interval_ns, "columns": one.columns}
        for one in stored.batches
    ]
    result = scalar.usage_hours(batches, stored.events, stored.facts, 0)
    meters = {meter for hour in result.hours.values() for meter in hour.cells if meter != "disk.allocated"}
    return {meter: result.total(meter) for meter in sorted(meters)}


def main() -> int:
    """Print the totals of every resource."""
    if len(sys.argv) != 2:
        print("usage: python -m tools.independent DATABASE", file=sys.stderr)
        return 2
    found = read(Path(sys.argv[1]))
    print(json.dumps({name: usage(stored) for name, stored in sorted(found.items())}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
