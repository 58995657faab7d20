"""Random streams of one resource, small and mean: every instant that a rule names is hit, and missed by one nanosecond."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

from tallystick.model.instants import CELL_NS, DAY_NS, HOUR_NS, SECOND_NS
from tallystick.model.samples import COUNTERS, LARGEST, MEMORY
from tallystick.model.usage import STORED_METERS

Row = dict[str, Any]
BASE_NS = 491_981 * HOUR_NS
"""Some hour of 2026."""
INTERVALS_NS = (SECOND_NS, 15 * SECOND_NS, 60 * SECOND_NS, 100 * SECOND_NS, 7 * CELL_NS // 5, HOUR_NS // 3)
RESOURCE = "vm-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What a server was sent of one resource."""

    batches: list[Row]
    events: list[Row]
    facts: list[Row]
    records: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Temper:
    """Which troubles a stream has."""

    boots: int = 3
    unknown_boots: bool = True
    restarts: bool = True
    gaps: bool = True
    conflicts: bool = True
    overlaps: bool = True
    absent: bool = True
    huge: bool = True
    events: bool = True
    facts: bool = True


def stream(rng: Random, temper: Temper) -> Stream:
    """A stream of up to `temper.boots` runs of samples, with notices and facts near their instants."""
    interval = rng.choice(INTERVALS_NS)
    at = BASE_NS + rng.choice((0, -1, 1, -2 * interval, rng.randrange(HOUR_NS)))
    batches: list[Row] = []
    instants: list[int] = []
    runs: list[tuple[str, int, int]] = []
    for number in range(rng.randint(1, temper.boots)):
        boot = rng.choice(("", "", "a", "b") if temper.unknown_boots else ("a", "b", "c"))
        if boot and any(boot == other for other, _, _ in runs):
            boot = f"{boot}{number}"
        columns = _run(rng, temper, at, interval)
        times = columns["measured_at_ns"]
        batches += _cut(rng, f"spool-{number}", boot, interval, columns)
        instants += times
        runs.append((boot, times[0], times[-1]))
        pause = rng.choice((0, 1, interval, 10 * interval, 10 * interval + 1, rng.randrange(20 * interval), -rng.randrange(8 * interval)))
        at = max(times[-1] + pause, BASE_NS - DAY_NS)
    if temper.overlaps:
        batches += _again(rng, temper, batches)
    for place, batch in enumerate(rng.sample(batches, len(batches))):
        batch["received_at_ns"] = max(instants) + place
    batches.sort(key=lambda batch: batch["received_at_ns"])
    events = _events(rng, runs, instants, interval) if temper.events else []
    facts = _facts(rng, instants, interval) if temper.facts else []
    return Stream(batches=batches, events=events, facts=facts)


def _run(rng: Random, temper: Temper, at: int, interval: int) -> Row:
    """The columns of consecutive samples of one boot."""
    count = rng.choice((1, 2, 3, rng.randint(4, 24)))
    times = [at]
    for _ in range(count - 1):
        span = interval + rng.choice((0, 0, rng.randrange(-interval // 3, interval // 3)))
        if temper.gaps and rng.random() < 0.1:
            span = rng.choice((10 * interval, 10 * interval + 1, 10 * interval - 1, rng.randrange(1, 40 * interval), 1))
        if rng.random() < 0.1:
            edge = (times[-1] // CELL_NS + 1) * CELL_NS
            span = edge - times[-1] + rng.choice((0, 0, 1, -1))
        times.append(times[-1] + max(span, 1))
    columns: Row = {"measured_at_ns": times}
    huge = temper.huge and rng.random() < 0.2
    for name in (MEMORY, *COUNTERS):
        if name != COUNTERS[0] and temper.absent and rng.random() < 0.1:
            continue
        if name == MEMORY:
            top = LARGEST if huge else 2**34
            columns[name] = [rng.choice((rng.randrange(top), 0, top, 5)) for _ in times]
        else:
            columns[name] = _counter(rng, temper, count, LARGEST if huge else 10**6)
    return columns


def _counter(rng: Random, temper: Temper, count: int, top: int) -> list[int]:
    value = rng.choice((0, 0, rng.randrange(top), top // 2))
    values = [value]
    for _ in range(count - 1):
        if temper.restarts and rng.random() < 0.08:
            value = rng.choice((0, value // 2, value - value // 2, max(value - 1, 0), value // 2 + 1, value // 10))
        else:
            value = min(value + rng.choice((0, 1, 7, rng.randrange(max(top // 20, 1)))), LARGEST)
        values.append(value)
    return values


def _cut(rng: Random, spool: str, boot: str, interval: int, columns: Row) -> list[Row]:
    """Batches of a run, with the sequence numbers of a spool of its own."""
    count = len(columns["measured_at_ns"])
    edges = sorted({0, count, *(rng.randrange(count) for _ in range(rng.randrange(4)))})
    batches = []
    for number, (low, high) in enumerate(pairwise(edges), start=1):
        declared = interval if rng.random() < 0.9 else rng.choice((interval * 2, interval // 2))
        batches.append(batch_of(boot, declared, {name: values[low:high] for name, values in columns.items()}, spool=spool, sequence=number))
    return batches


def batch_of(boot: str, interval: int, columns: Row, *, received: int = 0, spool: str = "", sequence: int | None = None) -> Row:
    """A batch as a line of a sample stream; columns that are missing are absent."""
    return {
        "resource_id": RESOURCE,
        "boot_id": boot,
        "spool": spool,
        "sequence": sequence,
        "interval_ns": interval,
        "received_at_ns": received,
        **columns,
    }


def _again(rng: Random, temper: Temper, batches: list[Row]) -> list[Row]:
    """Parts of batches again, some with other values, some with a column less."""
    copies = []
    for batch in batches:
        if rng.random() < 0.3:
            count = len(batch["measured_at_ns"])
            low = rng.randrange(count)
            high = rng.randint(low + 1, count)
            columns = {name: list(batch[name][low:high]) for name in ("measured_at_ns", MEMORY, *COUNTERS) if name in batch}
            if temper.conflicts and rng.random() < 0.5:
                name = rng.choice([name for name in columns if name != "measured_at_ns"])
                place = rng.randrange(high - low)
                columns[name][place] = min(columns[name][place] + rng.choice((1, 10**5)), LARGEST)
            if temper.absent and rng.random() < 0.2:
                columns.pop(rng.choice(COUNTERS), None)
            copies.append(batch_of(batch["boot_id"], rng.choice((batch["interval_ns"], batch["interval_ns"] * 3)), columns))
    return copies


def _near(rng: Random, instants: list[int], interval: int) -> int:
    """An instant at, beside or between others."""
    at = rng.choice(instants)
    return at + rng.choice((0, 0, 1, -1, rng.randrange(-3 * interval, 3 * interval), 10 * interval, 10 * interval + 1, -10 * interval - 1))


def _events(rng: Random, runs: list[tuple[str, int, int]], instants: list[int], interval: int) -> list[Row]:
    events = []
    for boot, first, last in runs:
        for kind in ("started", "stopped"):
            for _ in range(rng.choice((0, 0, 1, 1, 2))):
                likely = (
                    first - rng.choice((0, 1, interval // 2, DAY_NS, DAY_NS + 1))
                    if kind == "started"
                    else last + rng.choice((0, 1, interval))
                )
                at = rng.choice((likely, likely, _near(rng, instants, interval)))
                events.append({"resource_id": RESOURCE, "boot_id": boot, "kind": kind, "at_ns": at, "received_at_ns": at + 1})
    if events and rng.random() < 0.3:
        events.append(dict(rng.choice(events)))
    return events


def _facts(rng: Random, instants: list[int], interval: int) -> list[Row]:
    facts = []
    for place in range(rng.choice((0, 1, 2, 4))):
        at = _near(rng, instants, interval)
        at = rng.choice((at, at, at // CELL_NS * CELL_NS))
        if facts and rng.random() < 0.2:
            at = facts[-1]["at_ns"]
        named = rng.sample(("vcpus", "memory_bytes", "disk_bytes", "gpus"), rng.randint(1, 4))
        sizes: Row = {name: rng.choice((0, 2, 2**46)) for name in named} if rng.random() < 0.8 else {"deleted": True}
        facts.append({"resource_id": RESOURCE, "at_ns": at, "received_at_ns": at + rng.choice((place, 10 - place)) * 10 + place, **sizes})
    return facts


def several(rng: Random, given: Stream) -> Stream:
    """The same stream, with some of its batches sent by a daemon of rows, and usage records around its instants."""
    instants = [at for batch in given.batches for at in batch["measured_at_ns"]]
    how = rng.choice(("agent", "rows", "boots", "batches"))
    boots = {batch["boot_id"]: rng.randrange(2) for batch in given.batches}
    batches = []
    for batch in given.batches:
        source = {"agent": 0, "rows": 1, "boots": boots[batch["boot_id"]], "batches": rng.randrange(2)}[how]
        batches.append({**batch, "source": source})
    interval = given.batches[0]["interval_ns"]
    records = [_record(rng, instants, interval, number) for number in range(rng.choice((0, 1, 3, 12)))]
    return Stream(batches=batches, events=given.events, facts=given.facts, records=records)


def _record(rng: Random, instants: list[int], interval: int, number: int) -> Row:
    """A usage record, often of whole cells, of one of three sources."""
    at = _near(rng, instants, interval)
    at = rng.choice((at, at // CELL_NS * CELL_NS, at // HOUR_NS * HOUR_NS))
    source = rng.randrange(3)
    meter = rng.choice((*STORED_METERS, "memory.used", "uptime", "network.rx"))
    span = rng.choice((0, 1, CELL_NS, CELL_NS, HOUR_NS, rng.randrange(1, 3 * HOUR_NS)))
    peak: Row = {"peak": rng.choice((0, 7, LARGEST))} if meter == "memory.used" and rng.random() < 0.7 else {}
    return {
        "resource_id": RESOURCE,
        "source": f"exporter-{source}",
        "number": source,
        "record_id": str(number),
        "meter": meter,
        "from_ns": at,
        "until_ns": at + span,
        "amount": rng.choice((0, 1, 10, rng.randrange(10**9), 2**100)),
        "received_at_ns": max(instants) + number,
        **peak,
    }
