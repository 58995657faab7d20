"""The meter and the scalar reference over one stream, as values that can be compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from random import Random
from typing import Any

from tallystick.model.samples import COLUMNS, MEASURED_AT
from tallystick.model.usage import HoursResult
from tests.laws.memory import Memory, Resource
from tests.laws.streams import RESOURCE, Stream, Temper, several, stream
from tests.reference import scalar, sources

Seen = dict[str, Any]


def taken(given: Stream) -> Resource:
    """The resource of a stream, after a server took all of it. Every batch must be stored, or be a repeat."""
    memory = Memory()
    outcomes = memory.take(given.batches)
    assert all(outcome["outcome"] in ("stored", "repeated") for outcome in outcomes), outcomes
    memory.tell(given.events, given.facts)
    memory.record(given.records)
    return memory.resource(RESOURCE)


def seen(result: HoursResult) -> Seen:
    """A result of the meter as plain values."""
    return {
        "hours": {
            hour.hour_ns: (
                {meter: list(cells) for meter, cells in hour.cells.items()},
                {meter: list(cells) for meter, cells in hour.estimated.items()},
                hour.samples,
                hour.memory_peak_bytes,
                list(hour.runs),
            )
            for hour in result.hours
        },
        "gaps": sorted((gap.from_ns, gap.until_ns, str(gap.filled)) for gap in result.gaps),
        "findings": sorted((str(one.code), one.at_ns, one.boot_id, one.counters) for one in result.findings),
    }


def expected(given: Stream, resource: Resource) -> Seen:
    """What the scalar reference makes of the same stream."""
    records = {(row["record_id"], row["meter"]): row for row in reversed(given.records)}
    batches, until_ns = reference_batches(given.batches), resource.span()[1]
    by_source = [[batch for batch in batches if batch["source"] == source] for source in sorted({batch["source"] for batch in batches})]
    found = [scalar.metered(mine, given.events, given.facts, until_ns, 10) for mine in by_source or [[]]]
    if len(found) == 1 and not records:
        result = scalar.written(*found[0])
    else:
        result = sources.one_each(found, given.facts, list(records.values()), scalar.Result(), scalar.Hour)
    return {
        "hours": {
            start: (hour.cells, hour.estimated, hour.samples, hour.memory_peak_bytes, hour.runs) for start, hour in result.hours.items()
        },
        "gaps": sorted(result.gaps),
        "findings": sorted(result.findings),
    }


def reference_batches(batches: Sequence[Seen]) -> list[Seen]:
    """Lines of a stream as the reference takes them: what is sent again under a known identity is left out."""
    known = set()
    result = []
    for batch in batches:
        number = (batch["boot_id"], batch.get("source", 0), batch["spool"], batch["sequence"])
        identity = number if batch["sequence"] else repr(batch | {"received_at_ns": 0})
        if identity not in known:
            known.add(identity)
            columns = {name: batch.get("measured_at_ns" if name == MEASURED_AT else name, ()) for name in COLUMNS}
            kept = ("boot_id", "received_at_ns", "interval_ns")
            result.append({**{name: batch[name] for name in kept}, "columns": columns, "source": batch.get("source", 0)})
    return result


def difference(have: Seen, want: Seen) -> str:
    """The first thing that differs, or nothing."""
    for name in ("hours", "gaps", "findings"):
        if have[name] != want[name]:
            if name == "hours":
                for hour in sorted(have[name].keys() | want[name].keys()):
                    if have[name].get(hour) != want[name].get(hour):
                        return f"hour {hour}: have {have[name].get(hour)}, want {want[name].get(hour)}"
            return f"{name}: have {have[name]}, want {want[name]}"
    return ""


def check(seed: int, temper: Temper | None = None) -> str:
    """The first difference between the meter, hour by hour, and the reference over the stream of a seed, from one source and several."""
    given = stream(Random(seed), temper or Temper())
    for sent in (given, several(Random(seed), given)):
        resource = taken(sent)
        found = difference(seen(resource.one_by_one()), expected(sent, resource))
        if found:
            return found
    return ""


def main() -> int:
    """Check the seeds [low, high) given as arguments; print the first difference."""
    low, high = map(int, sys.argv[1:])
    for seed in range(low, high):
        try:
            found = check(seed)
        except Exception as error:  # a mutated meter may fail in any way: that is being caught too
            found = repr(error)
        if found:
            print(f"seed {seed}: {found}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
