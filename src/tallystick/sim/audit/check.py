"""The audit at the end of a world: the store against the truth, and the usage hours against what they must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.model.access import Place
from tallystick.model.findings import FindingCode
from tallystick.model.usage import UsageHour
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.sim.audit import stored as file
from tallystick.sim.audit.truth import Boot, Declared, Notice, Truth
from tallystick.sim.audit.usage import CELL_NS, HOUR_NS, Point, Reckoned, Silence, Sizes, hold_disk, lives_of, reckon
from tallystick.store.store import Store

CELLS = 12
LATEST_NS = 2**63 - 1
STRANGERS = "stranger"
MOST_OF_A_KIND = 5
"""So many of one kind are told in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One thing that is not as it must be."""

    what: str
    resource: str = ""
    at_ns: int = 0
    """The hour, or the instant."""
    meter: str = ""
    expected: str = ""
    got: str = ""


@dataclass(slots=True)
class Audit:
    """What was found wrong, and how many usage hours were held against the truth."""

    wrong: list[Wrong] = field(default_factory=list)
    hours: int = 0

    def add(self, what: str, resource: str, at_ns: int, expected: object = "", got: object = "", meter: str = "") -> None:
        """Something is wrong."""
        self.wrong.append(Wrong(what=what, resource=resource, at_ns=at_ns, meter=meter, expected=str(expected), got=str(got)))


Samples = dict[Boot, dict[int, Point]]


def audit(truth: Truth, store: Store, place: Place, database: Path) -> Audit:
    """Hold a store against the truth, once everything has arrived and was rolled up."""
    found, held = Audit(), file.read(database)
    if held.dirty:
        found.add("hours wait to be computed", "", 0, 0, held.dirty)
    samples = _samples(truth, held, found)
    _nothing_lost(truth, held, samples, found)
    _answers_kept(truth, held, samples, found)
    _notices(truth, held, found)
    _records(truth, held, found)
    _usage(held, samples, store, place, found)
    return found


def _samples(truth: Truth, held: file.Stored, found: Audit) -> Samples:
    """All stored samples, each once: the copy that was received first. Each must be one that was read, with its values."""
    samples: Samples = {}
    for batch in held.batches:
        readings = truth.readings.get(batch.boot, {})
        mine = samples.setdefault(batch.boot, {})
        if batch.samples is None:
            for first, last, count in batch.spans:
                inside = [reading for at_ns, reading in sorted(readings.items()) if first <= at_ns <= last]
                if len(inside) != count:
                    found.add("a thinned batch counts other samples than were read", batch.boot[0], first, len(inside), count)
                for reading in inside:
                    values = dict(enumerate(reading.values, 1))
                    mine.setdefault(reading.at_ns, Point(reading.at_ns, batch.interval_ns, values))
            continue
        for at_ns, values in batch.samples.items():
            read = readings.get(at_ns)
            if read is None:
                found.add("a sample is stored that was never read", batch.boot[0], at_ns)
            elif any(read.values[column - 1] != value for column, value in values.items()):
                found.add("a sample is stored with other values", batch.boot[0], at_ns, read.values, values)
            mine.setdefault(at_ns, Point(at_ns, batch.interval_ns, values))
    _columns_of_thinned(samples)
    return samples


def _columns_of_thinned(samples: Samples) -> None:
    """A thinned sample has the columns that the others of its boot have: a source that lacks one says 0 there."""
    for points in samples.values():
        measured = {column for point in points.values() for column in point.values} if points else set()
        full = [set(point.values) for point in points.values()]
        columns = set.intersection(*full) if full else measured
        for at_ns, point in list(points.items()):
            if set(point.values) != columns:
                points[at_ns] = point._replace(values={column: point.values[column] for column in columns})


def _nothing_lost(truth: Truth, held: file.Stored, samples: Samples, found: Audit) -> None:
    """What a disk promised to keep is stored, or kept aside where its identity had another content."""
    aside = {(boot, at_ns) for boot, instants in held.conflicts for at_ns in instants} | truth.conflicts
    for boot, at_ns in sorted(truth.promised):
        if at_ns not in samples.get(boot, {}) and (boot, at_ns) not in aside:
            found.add("a sample that was on the disk is lost", boot[0], at_ns)
    for resource, at_ns in sorted(truth.acknowledged_rows):
        if at_ns not in samples.get((resource, ""), {}):
            found.add("an acknowledged row is lost", resource, at_ns)


def _answers_kept(truth: Truth, held: file.Stored, samples: Samples, found: Audit) -> None:
    """What was answered as stored or repeated is in the store, whole; each identity once."""
    identities: set[tuple[Boot, str, int]] = set()
    owners: dict[tuple[Boot, int, str], int] = {}
    for batch in held.batches:
        for at_ns in batch.samples or () if batch.sequence and batch.spool_id not in truth.rolled_back else ():
            owner = owners.setdefault((batch.boot, at_ns, batch.spool_id), batch.sequence)
            if owner != batch.sequence:
                found.add("a sample was sent in two batches", batch.boot[0], at_ns, f"sequence {owner}", f"also {batch.sequence}")
        if batch.sequence:
            identity = (batch.boot, batch.spool_id, batch.sequence)
            if identity in identities:
                found.add("a batch is stored twice", batch.boot[0], batch.received_at_ns, got=identity)
            identities.add(identity)
    for answer in truth.answers:
        if answer.outcome not in (wire.OUTCOME_STORED, wire.OUTCOME_REPEATED):
            continue
        missing = [at_ns for at_ns in truth.instants(answer.batch) if at_ns not in samples.get(answer.boot, {})]
        if missing or (answer.boot, answer.spool_id, answer.sequence) not in identities:
            at_ns = missing[0] if missing else 0
            found.add("an acknowledged batch is lost", answer.boot[0], at_ns, got=f"sequence {answer.sequence} of {answer.spool_id}")


def _notices(truth: Truth, held: file.Stored, found: Audit) -> None:
    facts = {fact for fact, _ in held.facts if fact.resource_id.startswith("host")}
    told = held.notices | facts
    for each in sorted(truth.promised_notices - told, key=str):
        found.add("a notice that was on the disk is lost", each.resource_id, each.at_ns, each)
    for each in sorted(told - truth.handed, key=str):
        found.add("a notice is stored that was never told", each.resource_id, each.at_ns, got=each)


def _records(truth: Truth, held: file.Stored, found: Audit) -> None:
    for key, content in sorted(truth.acknowledged_records.items()):
        if key not in held.records:
            found.add("an acknowledged usage record is lost", content[0], content[1], content, meter=key[2])
    for key, content in sorted(held.records.items()):
        if truth.sent_records.get(key) != content:
            found.add("a usage record is stored that was not sent so", content[0], content[1], truth.sent_records.get(key), content, key[2])


def _usage(held: file.Stored, samples: Samples, store: Store, place: Place, found: Audit) -> None:
    """Every usage hour, cell by cell, and every gap."""
    resources = sorted({boot[0] for boot in samples} | {content[0] for content in held.records.values()})
    hours: dict[str, dict[int, UsageHour]] = {}
    for _, hour in store.usage.hours(place):
        if hour.resource_id.startswith(STRANGERS):
            continue
        hours.setdefault(hour.resource_id, {})[hour.hour_ns] = hour
    gaps: dict[str, list[Silence]] = {}
    for _, gap in store.usage.gaps(place):
        if gap.resource_id.startswith(STRANGERS):
            continue
        gaps.setdefault(gap.resource_id, []).append(Silence(gap.from_ns, gap.until_ns, gap.filled.value))
    _sums(store, place, found)
    for resource in resources:
        expected = _reckoned(resource, held, samples)
        _compare(resource, expected, hours.pop(resource, {}), found)
        _compare_gaps(resource, sorted(expected.gaps), sorted(gaps.pop(resource, [])), found)
    for resource, extra in hours.items():
        found.add("usage of what was never measured", resource, min(extra))
    for resource, silences in gaps.items():
        found.add("a gap of what was never measured", resource, silences[0].from_ns)


def _sums(store: Store, place: Place, found: Audit) -> None:
    """Hours add up to what the store says they add up to, and no source ever contradicted itself."""
    summed: dict[tuple[int, str], int] = {}
    for key, hour in store.usage.hours(place):
        for meter, cells in hour.cells.items():
            summed[key, meter] = summed.get((key, meter), 0) + sum(cells)
    for key, (totals, _) in store.usage.totals(place, 0, LATEST_NS).items():
        for meter, total in totals.items():
            if total != summed.get((key, meter), 0):
                found.add("hours add up to something else", str(key), 0, summed.get((key, meter), 0), total, meter)
    for _, finding in store.usage.findings(place):
        if finding.code is FindingCode.CONFLICTING_SAMPLE and not finding.resource_id.startswith(STRANGERS):
            found.add("samples are told to contradict each other", finding.resource_id, finding.at_ns or 0, got=finding.detail)


def _reckoned(resource: str, held: file.Stored, samples: Samples) -> Reckoned:
    mine = {boot[1]: [points[at_ns] for at_ns in sorted(points)] for boot, points in samples.items() if boot[0] == resource and points}
    told: dict[str, dict[str, list[int]]] = {"started": {}, "stopped": {}}
    for notice in held.notices:
        if notice.resource_id == resource and notice.kind in told:
            told[notice.kind].setdefault(notice.boot_id, []).append(notice.at_ns)
    facts = [(fact, order) for order, (fact, _) in enumerate(held.facts) if fact.resource_id == resource]
    sizes = Sizes((fact.at_ns, order, fact.vcpus, fact.memory_bytes, fact.disk_bytes) for fact, order in facts)
    out = reckon(lives_of(mine, told["started"], told["stopped"]), sizes)
    last = [points[-1].at_ns for points in mine.values()]
    last += [at_ns for instants in told.values() for boot in instants.values() for at_ns in boot]
    last += [at_ns for at_ns, _ in sizes.steps]
    if last:
        hold_disk(out, sizes, max(last) // HOUR_NS * HOUR_NS + HOUR_NS)
    for (_, _, meter), (owner, from_ns, until_ns, amount) in held.records.items():
        if owner == resource:
            out.count(meter, from_ns, until_ns, amount)
    return out


def _compare(resource: str, expected: Reckoned, got: Mapping[int, UsageHour], found: Audit) -> None:
    for hour_ns in sorted(expected.hours | set(got)):
        found.hours += 1
        hour = got.get(hour_ns)
        if hour is None:
            found.add("a usage hour is missing", resource, hour_ns)
            continue
        _compare_cells(resource, hour_ns, (expected.amounts, hour.cells), found, "usage differs")
        _compare_cells(resource, hour_ns, (expected.estimated, hour.estimated), found, "what is estimated differs")
        pairs = (
            ("samples", expected.samples.get(hour_ns, 0), hour.samples),
            ("memory peak", expected.peaks.get(hour_ns), hour.memory_peak_bytes),
            ("runs", sorted(expected.runs.get(hour_ns, ())), sorted(hour.runs)),
        )
        for name, must, is_ in pairs:
            if must != is_:
                found.add(f"{name} of an hour differ", resource, hour_ns, must, is_)


def _compare_cells(
    resource: str,
    hour_ns: int,
    both: tuple[Mapping[tuple[int, str], int], Mapping[str, tuple[int, ...]]],
    found: Audit,
    what: str,
) -> None:
    expected, got = both
    cells = [hour_ns + place * CELL_NS for place in range(CELLS)]
    meters = {meter for cell, meter in expected if hour_ns <= cell < hour_ns + HOUR_NS} | set(got)
    for meter in sorted(meters):
        must = tuple(expected.get((cell, meter), 0) for cell in cells)
        is_ = got.get(meter, (0,) * CELLS)
        if must != is_:
            found.add(what, resource, hour_ns, _shown(must), _shown(is_), meter)


def _shown(cells: Iterable[int]) -> str:
    return f"{sum(cells := tuple(cells))} = {list(cells)}"


def _compare_gaps(resource: str, expected: list[Silence], got: list[Silence], found: Audit) -> None:
    for gap in expected:
        if gap not in got:
            found.add("a gap is not told", resource, gap.from_ns, gap)
    for gap in got:
        if gap not in expected:
            found.add("a gap is told that is none", resource, gap.from_ns, got=gap)


__all__ = ["Audit", "Declared", "Notice", "Wrong", "audit"]
