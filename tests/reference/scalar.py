"""Metering one sample at a time: the slow version of the rules, to hold the columnar one against.

It shares no code with the product and imports nothing of it: integers, lists and dictionaries only.

    result = usage_hours(batches, events, facts, disk_until_ns)

`batches`: dictionaries of one resource with `boot_id`, `received_at_ns`, `interval_ns`, and `columns`: name -> values, of
which `measured_at` is always there; a column that is missing or empty is absent. They have been stored: nothing is
refused here, and a batch that was sent twice is given once. Of two copies of one instant the one received first stays,
then the one earlier in the list.
`events`: dictionaries with `boot_id`, `kind` (`started`, `stopped`; others tell nothing) and `at_ns`.
`facts`: dictionaries with `at_ns`, `received_at_ns` and any of `vcpus`, `memory_bytes`, `disk_bytes`, `gpus`, or `deleted`.
Instants are ns since the epoch. `disk_until_ns` is the horizon of `disk.allocated`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

CELL = 300 * 10**9
HOUR = 12 * CELL
DAY = 24 * HOUR
COUNTERS = {
    "cpu_time_nanos": "cpu.used",
    "disk_read_bytes": "disk.read",
    "disk_write_bytes": "disk.write",
    "disk_read_ops": "disk.read_ops",
    "disk_write_ops": "disk.write_ops",
    "network_rx_bytes": "network.rx",
    "network_tx_bytes": "network.tx",
}
"""Column -> meter."""
MEMORY = "memory_bytes_used"
SIZES = {"vcpus": "cpu.allocated", "memory_bytes": "memory.allocated", "gpus": "gpu.allocated", "disk_bytes": "disk.allocated"}

Record = Mapping[str, Any]


@dataclass
class Hour:
    """One usage hour: per meter its twelve cells, whole and the estimated part (meters without one are left out)."""

    cells: dict[str, list[int]] = field(default_factory=dict)
    estimated: dict[str, list[int]] = field(default_factory=dict)
    samples: int = 0
    memory_peak_bytes: int | None = None
    runs: list[int] = field(default_factory=list)


@dataclass
class Result:
    """Usage hours by their start; gaps (from, until, filled); findings (code, at, boot, counters); both in order."""

    hours: dict[int, Hour] = field(default_factory=dict)
    gaps: list[tuple[int, int, str]] = field(default_factory=list)
    findings: list[tuple[str, int, str, tuple[str, ...]]] = field(default_factory=list)

    def total(self, meter: str) -> int:
        """A meter summed over all hours."""
        return sum(sum(hour.cells.get(meter, ())) for hour in self.hours.values())


@dataclass
class Sample:
    at: int
    interval: int
    columns: dict[str, int]


@dataclass
class Incarnation:
    """Samples in order, at least one; `start` None: nothing said so, or (`baseline`) too long before."""

    boot: str
    samples: list[Sample]
    start: int | None
    baseline: bool
    stops: list[int]

    @property
    def opened(self) -> int:
        return self.samples[0].at if self.start is None else self.start

    @property
    def final_stop(self) -> int | None:
        return min((stop for stop in self.stops if stop >= self.samples[-1].at), default=None)

    @property
    def ended(self) -> int:
        return self.samples[-1].at if self.final_stop is None else self.final_stop

    def points(self) -> list[Sample]:
        first, last = self.samples[0], self.samples[-1]
        points = list(self.samples)
        if self.start is not None:
            zeros = {name: value if name == MEMORY else 0 for name, value in first.columns.items()}
            points.insert(0, Sample(self.start, first.interval, zeros))
        if self.final_stop is not None:
            points.append(Sample(self.final_stop, last.interval, last.columns))
        return points


class Book:
    """Where usage is written: cells of meters, gaps, findings, and which hours were touched by which column."""

    def __init__(self, facts: Sequence[Record], gap_after_intervals: int) -> None:
        self.result = Result()
        sized = [fact for fact in facts if fact.get("deleted") or any(fact.get(name) is not None for name in SIZES)]
        self.facts = sorted(sized, key=lambda fact: (fact["at_ns"], fact["received_at_ns"]))
        self.gap_after = gap_after_intervals
        self.touched: dict[int, set[str]] = {}
        self.seen: dict[int, set[str]] = {}  # by cell, as `touched` by hour
        self.amounts: dict[tuple[int, str, bool], int] = {}  # (cell, meter, estimated)
        self.newer: list[tuple[int, int]] = []

    def add(self, cell: int, meter: str, amount: int, estimated: bool = False) -> None:
        key = (cell, meter, estimated)
        self.amounts[key] = self.amounts.get(key, 0) + amount

    def find(self, code: str, at: int, boot: str, counters: Iterable[str] = ()) -> None:
        self.result.findings.append((code, at, boot, tuple(counters)))

    def gap(self, since: int, until: int, a: Sample, b: Sample, filled: str) -> bool:
        if until - since <= self.gap_after * max(a.interval, b.interval):
            return False
        self.result.gaps.append((since, until, filled))
        return True

    def touch(self, since: int, until: int, columns: Iterable[str]) -> None:
        for hour in range(since // HOUR, max(since, until - 1) // HOUR + 1):
            self.touched.setdefault(hour * HOUR, set()).update(columns)
        for cell in range(since // CELL, max(since, until - 1) // CELL + 1):
            self.seen.setdefault(cell * CELL, set()).update(columns)

    def split(self, since: int, until: int, upto: Callable[[int], int]) -> Iterator[tuple[int, int]]:
        """(cell, amount) of [since, until): differences of the running share `upto` at the cell boundaries."""
        at = since
        while True:
            edge = min((at // CELL + 1) * CELL, until)
            yield at // CELL * CELL, upto(edge) - (upto(at) if at > since else 0)
            if edge >= until:
                return
            at = edge

    def count(self, since: int, until: int, rises: Mapping[str, int]) -> None:
        """Counter usage over [since, until), or at that instant."""
        self.touch(since, until, rises)
        for column, rise in rises.items():

            def upto(at: int, rise: int = rise) -> int:
                return rise if at == until else rise * (at - since) // (until - since)

            for cell, amount in self.split(since, until, upto):
                self.add(cell, COUNTERS[column], amount)

    def hold(self, since: int, until: int, low: int, high: int, estimated: bool) -> None:
        """Memory over the part of [since, until) that no newer incarnation has."""

        def area(at: int) -> int:
            x = at - since
            return low * x + (high - low) * x * x // (2 * (until - since))

        for begin, end in minus((since, until), self.newer):

            def upto(at: int, begin: int = begin) -> int:
                return area(at) - area(begin)

            for cell, amount in self.split(begin, end, upto):
                self.add(cell, "memory.used", amount)
                if estimated:
                    self.add(cell, "memory.used", amount, True)

    def up(self, since: int, until: int, estimated: bool) -> None:
        """Uptime, and the sizes over it, of the part of [since, until) that no newer incarnation has."""
        for begin, end in minus((since, until), self.newer):
            self.touch(begin, end, ["uptime"])
            for low, high in self.parts(begin, end):
                for guess in (False, True) if estimated else (False,):
                    self.add(low // CELL * CELL, "uptime", high - low, guess)
                    for size in ("vcpus", "memory_bytes", "gpus"):
                        self.add(low // CELL * CELL, SIZES[size], self.size(size, low) * (high - low), guess)

    def parts(self, since: int, until: int) -> Iterator[tuple[int, int]]:
        """The time between cell boundaries and facts."""
        edges = {since, until, *(fact["at_ns"] for fact in self.facts), *range((since // CELL + 1) * CELL, until, CELL)}
        inside = sorted(edge for edge in edges if since <= edge <= until)
        yield from pairwise(inside)

    def size(self, name: str, at: int) -> int:
        held = 0
        for fact in self.facts:
            if fact["at_ns"] <= at:
                if fact.get("deleted"):
                    held = 0
                elif fact.get(name) is not None:
                    held = fact[name]
        return held

    def deleted(self, at: int) -> int | None:
        """Since when the resource is declared deleted at an instant, if it is."""
        last = [fact for fact in self.facts if fact["at_ns"] <= at]
        return last[-1]["at_ns"] if last and last[-1].get("deleted") else None


def minus(span: tuple[int, int], taken: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a span without any of `taken`."""
    left = [span] if span[0] < span[1] else []
    for low, high in taken:
        cut: list[tuple[int, int]] = []
        for begin, end in left:
            cut += [(begin, min(end, low)), (max(begin, high), end)]
        left = [(begin, end) for begin, end in cut if begin < end]
    return left


Samples = Mapping[str, Sequence[Sample]]
Metered = tuple[Book, Samples, Sequence[Incarnation]]


def usage_hours(
    batches: Sequence[Record], events: Sequence[Record], facts: Sequence[Record], disk_until_ns: int, gap_after_intervals: int = 10
) -> Result:
    """All usage hours of one resource with one source, with its gaps and findings."""
    return written(*metered(batches, events, facts, disk_until_ns, gap_after_intervals))


def metered(
    batches: Sequence[Record], events: Sequence[Record], facts: Sequence[Record], disk_until_ns: int, gap_after_intervals: int
) -> Metered:
    """What the samples of one source tell."""
    book = Book(facts, gap_after_intervals)
    samples = united(batches, book)
    found = incarnations(samples, events, book)
    for boot, known in samples.items():
        for sample in known:
            book.touch(sample.at, sample.at, [*sample.columns, "uptime"])
        after_delete(book, found, boot)
    for place in range(len(found) - 1, -1, -1):
        if place:
            follow(book, found[place], found[:place])
        live(book, found[place])
    if book.facts:
        for low, high in book.parts(book.facts[0]["at_ns"], disk_until_ns):
            book.add(low // CELL * CELL, "disk.allocated", book.size("disk_bytes", low) * (high - low))
    return book, samples, found


def united(batches: Sequence[Record], book: Book) -> dict[str, list[Sample]]:
    """The samples of each boot in order of time, each instant once."""
    copies: dict[str, dict[int, list[Sample]]] = {}
    for batch in sorted(batches, key=lambda batch: batch["received_at_ns"]):
        columns = {name: values for name, values in batch["columns"].items() if len(values)}
        for place, at in enumerate(columns["measured_at"]):
            values = {name: column[place] for name, column in columns.items() if name != "measured_at"}
            copies.setdefault(batch["boot_id"], {}).setdefault(at, []).append(Sample(at, batch["interval_ns"], values))
    for boot, by_instant in copies.items():
        for at, same in by_instant.items():
            if any(
                one.columns[name] != other.columns[name]
                for one in same
                for other in same
                for name in one.columns.keys() & other.columns.keys()
            ):
                book.find("conflicting_sample", at, boot)
    return {boot: [by_instant[at][0] for at in sorted(by_instant)] for boot, by_instant in copies.items()}


def incarnations(samples: Mapping[str, list[Sample]], events: Sequence[Record], book: Book) -> list[Incarnation]:
    """Oldest first."""
    found: list[Incarnation] = []
    for boot, known in samples.items():
        starts = sorted({event["at_ns"] for event in events if event["boot_id"] == boot and event["kind"] == "started"})
        stops = sorted({event["at_ns"] for event in events if event["boot_id"] == boot and event["kind"] == "stopped"})
        opening: list[int] = []
        for start in starts[:1] if boot else starts:
            if boot and start > known[0].at:
                book.find("start_after_sample", start, boot)
            elif not boot and runs_on(known, stops, start):
                book.find("start_while_running", start, boot)
            else:
                opening.append(start)
        for start, until in zip([None, *opening], [*opening, None], strict=True):
            mine = [one for one in known if (start is None or start <= one.at) and (until is None or one.at < until)]
            if not mine:
                continue
            too_old = start is not None and mine[0].at - start > DAY
            if start is not None and too_old:
                book.find("start_too_old", start, boot)
            ends = [stop for stop in stops if (start is None or start < stop) and (until is None or stop <= until)]
            found.append(Incarnation(boot, mine, None if too_old else start, too_old, ends))
    found.sort(key=lambda one: (one.opened, one.samples[0].at, one.boot))
    return found


def runs_on(known: Sequence[Sample], stops: Sequence[int], start: int) -> bool:
    """Whether a start without boot id lies between two samples that show no restart."""
    before = [one for one in known if one.at < start]
    after = [one for one in known if one.at >= start]
    if not before or not after:
        return False
    a, b = before[-1], after[0]
    stopped = any(a.at <= stop < b.at for stop in stops)
    fell = any(b.columns[name] < a.columns[name] for name in COUNTERS if name in a.columns and name in b.columns)
    return not stopped and not fell


def after_delete(book: Book, found: Sequence[Incarnation], boot: str) -> None:
    """The first sample of each incarnation after the resource was deleted."""
    for one in found:
        if one.boot == boot:
            seen = None
            for sample in one.samples:
                deleted = book.deleted(sample.at)
                if deleted is not None and (seen is None or seen < deleted):
                    book.find("sample_after_delete", sample.at, boot)
                seen = sample.at


def follow(book: Book, one: Incarnation, older: Sequence[Incarnation]) -> None:
    """What an incarnation did before its first sample, where others came before it."""
    first = one.samples[0]
    if one.start is None and not one.baseline:
        since = max(min(other.ended, first.at) for other in older)
        rises = {name: first.columns[name] for name in COUNTERS if name in first.columns}
        book.touch(since, first.at, [*first.columns, "uptime"])
        book.count(since, first.at, rises)
        book.find("counter_reset", first.at, one.boot, rises)
    latest = max(other.ended for other in older)
    last = next(other for other in older if other.ended == latest)
    if one.start is None or last.final_stop is None:
        book.gap(last.ended, one.opened, first, last.samples[-1], "unknown")


def live(book: Book, one: Incarnation) -> None:
    """Everything between the neighbours of one incarnation."""
    points = one.points()
    lives: list[tuple[int, int]] = []
    for a, b in pairwise(points):
        both = a.columns.keys() & b.columns.keys()
        book.touch(a.at, b.at, [*both, "uptime"])
        book.count(a.at, b.at, rises(book, one.boot, a, b))
        stop = min((stop for stop in one.stops if a.at <= stop < b.at), default=None)
        until = b.at if stop is None else stop
        silent = book.gap(a.at, until, a, b, "interpolated")
        if stop is not None:
            book.find("sample_after_stop", b.at, one.boot)
            book.gap(stop, b.at, a, b, "unknown")
        if MEMORY in both:
            high = b.columns[MEMORY] if silent and stop is None else a.columns[MEMORY]
            book.hold(a.at, until, a.columns[MEMORY], high, silent)
        book.up(a.at, until, silent)
        if lives and lives[-1][1] == a.at:
            lives[-1] = (lives[-1][0], until)
        else:
            lives.append((a.at, until))
    book.newer += lives


def rises(book: Book, boot: str, a: Sample, b: Sample) -> dict[str, int]:
    """Counter usage between two neighbours, of the counters that both have."""
    amounts: dict[str, int] = {}
    reset, fell = [], []
    for name in COUNTERS:
        if name in a.columns and name in b.columns:
            x, y = a.columns[name], b.columns[name]
            amounts[name] = y - x
            if y < x and boot and y > x - y:
                amounts[name] = 0
                fell.append(name)
            elif y < x:
                amounts[name] = y
                reset.append(name)
    if reset:
        book.find("counter_reset", b.at, boot, reset)
    if fell:
        book.find("counter_fell", b.at, boot, fell)
    return amounts


def written(book: Book, samples: Samples, found: Sequence[Incarnation]) -> Result:
    """The hours out of the cells: those with an amount, a sample or an opening."""
    result = book.result
    hours = {cell // HOUR * HOUR for (cell, _, _), amount in book.amounts.items() if amount}
    hours |= {sample.at // HOUR * HOUR for known in samples.values() for sample in known}
    hours |= {one.opened // HOUR * HOUR for one in found}
    for start in sorted(hours):
        hour = result.hours[start] = Hour()
        touched = book.touched.get(start, set())
        names = [meter for column, meter in (*COUNTERS.items(), (MEMORY, "memory.used"), ("uptime", "uptime")) if column in touched]
        names += SIZES.values() if book.facts else []
        for meter in names:
            hour.cells[meter] = [book.amounts.get((cell, meter, False), 0) for cell in range(start, start + HOUR, CELL)]
            guessed = [book.amounts.get((cell, meter, True), 0) for cell in range(start, start + HOUR, CELL)]
            if any(guessed):
                hour.estimated[meter] = guessed
        measured = [sample for known in samples.values() for sample in known if start <= sample.at < start + HOUR]
        hour.samples = len(measured)
        hour.memory_peak_bytes = max((sample.columns[MEMORY] for sample in measured if MEMORY in sample.columns), default=None)
        hour.runs = sorted(one.opened for one in found if start <= one.opened < start + HOUR)
    result.gaps.sort()
    result.findings.sort(key=lambda finding: (finding[1], finding[0], finding[2]))
    return result
