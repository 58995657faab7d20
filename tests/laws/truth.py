"""The meter over whole sample streams whose true usage is known: outcomes, hours, days, gaps and findings, compared one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tallystick.meter.days import Owned, usage_days
from tallystick.model.findings import FindingCode
from tallystick.model.instants import LATEST_NS
from tallystick.model.usage import METERS, HoursResult, UsageHour
from tests.laws.memory import Memory

Row = dict[str, Any]
NOT_TOLD = {FindingCode.SAMPLE_AFTER_DELETE}
"""Findings that the truth of the streams does not name."""


def differences(stream: Row, truth: Row) -> Iterator[str]:
    """Everything in which the meter differs from the truth, a line each.

    `stream` holds `samples`, `lifecycle` and `sizes` in order of delivery. Hours are computed all at once and each from a
    timeline of its own, which holds no more than it must.
    """
    memory = Memory()
    outcomes = memory.take(stream["samples"])
    memory.tell(stream["lifecycle"], stream["sizes"])
    told = {row["line"]: {name: value for name, value in row.items() if name != "line"} for row in truth["outcomes_not_stored"]}
    for line, outcome in enumerate(outcomes):
        if outcome != told.get(line, {"outcome": "stored"}):
            yield f"line {line}: {outcome}, expected {told.get(line)}"
    metered = {name: resource for name, resource in memory.resources.items() if resource.segments}
    whole = {name: resource.at_once() for name, resource in metered.items()}
    parts = {name: resource.one_by_one() for name, resource in metered.items()}
    for name, result in whole.items():
        if _listed(result) != _listed(parts[name]):
            yield f"{name}: hours one at a time differ from all at once"
    yield from _hours(whole, truth["usage"])
    yield from _days(whole, stream, truth)
    yield from _lists(whole, truth)


def _listed(result: HoursResult) -> tuple[Any, ...]:
    gaps = sorted((gap.from_ns, gap.until_ns, gap.filled) for gap in result.gaps)
    findings = sorted((one.code, one.at_ns, one.boot_id, one.counters) for one in result.findings)
    return result.hours, gaps, findings


def _hours(results: dict[str, HoursResult], usage: Sequence[Row]) -> Iterator[str]:
    have = {(name, hour.hour_ns): hour for name, result in results.items() for hour in result.hours}
    want = {(row["resource_id"], row["hour_start_ns"]): row for row in usage}
    for key in sorted(have.keys() | want.keys()):
        if key not in have or key not in want:
            yield f"hour {key}: {'extra' if key in have else 'missing'}"
            continue
        hour, row = have[key], want[key]
        yield from (f"hour {key}: {text}" for text in _amounts(_totals(hour), _estimates(hour), row))
        peak = hour.memory_peak_bytes or 0
        if (hour.samples, peak) != (row["samples"], int(row["memory_peak_bytes"])):
            yield f"hour {key}: {hour.samples} samples with peak {peak}"


def _totals(hour: UsageHour) -> dict[str, int]:
    return {meter: total for meter in METERS if (total := hour.total(meter)) is not None}


def _estimates(hour: UsageHour) -> dict[str, int]:
    return {meter: hour.estimated_total(meter) for meter in hour.estimated}


def _amounts(totals: dict[str, int], estimates: dict[str, int], row: Row) -> Iterator[str]:
    for meter in METERS:
        want = row["meters"].get(meter)
        have = totals.get(meter)
        if (have or 0) != int(want or 0) or (want is None and have is not None):
            yield f"{meter} is {have}, expected {want}"
        guessed = int(row["estimated"].get(meter, 0))
        if estimates.get(meter, 0) != guessed:
            yield f"{meter} estimated is {estimates.get(meter)}, expected {guessed}"


def _days(results: dict[str, HoursResult], stream: Row, truth: Row) -> Iterator[str]:
    customer = {row["resource_id"]: row["customer_id"] for row in reversed(stream["samples"])}
    want = {(row["resource_id"], row["date"]): row for row in truth["days"]}
    seen = set()
    for name, result in results.items():
        if not result.hours:
            continue
        zone = truth["customers"][customer[name]]["timezone"]
        owned = [Owned(customer_id=customer[name], zone=zone, from_ns=0, until_ns=LATEST_NS)]
        first, last = result.hours[0].hour_ns, result.hours[-1].hour_ns + 1
        for day in usage_days(name, owned, hours=result.hours, gaps=(), from_ns=first, until_ns=last):
            row = want.get((name, day.date))
            if row is None:
                if any(day.totals.values()):
                    yield f"day {name} {day.date}: extra"
                continue
            seen.add((name, day.date))
            if (day.start_ns, day.end_ns) != (row["day_start_ns"], row["day_end_ns"]):
                yield f"day {name} {day.date}: [{day.start_ns}, {day.end_ns})"
            totals = {meter: total for meter in METERS if (total := day.total(meter)) is not None}
            yield from (f"day {name} {day.date}: {text}" for text in _amounts(totals, dict(day.estimated), row))
    yield from (f"day {key}: missing" for key in want.keys() - seen if any(map(int, want[key]["meters"].values())))


def _lists(results: dict[str, HoursResult], truth: Row) -> Iterator[str]:
    gaps = Counter((name, gap.from_ns, gap.until_ns, str(gap.filled)) for name, result in results.items() for gap in result.gaps)
    true_gaps = Counter((row["resource_id"], row["from_ns"], row["until_ns"], row["filled"]) for row in truth["gaps"])
    findings = Counter(
        (name, str(one.code), one.at_ns, one.boot_id, one.counters)
        for name, result in results.items()
        for one in result.findings
        if one.code not in NOT_TOLD
    )
    true_findings = Counter(
        (row["resource_id"], row["code"], row["at_ns"], row["boot_id"], tuple(row["counters"])) for row in truth["findings"]
    )
    yield from (f"extra: {one}" for one in (gaps - true_gaps) + (findings - true_findings))
    yield from (f"missing: {one}" for one in (true_gaps - gaps) + (true_findings - findings))
