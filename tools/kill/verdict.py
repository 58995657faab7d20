"""The end of a kill test: what the ledger says must be, beside what the product holds and tells. Each difference is a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.reference import scalar
from tools.bill import raw
from tools.kill.host import COUNTERS, Host
from tools.kill.ledger import Identity, Ledger, SampleKey, named, rows_of

Stored = Sequence[tuple[Identity, str, int, bytes]]
Row = Mapping[str, Any]


def batch_differences(ledger: Ledger, stored: Stored) -> Iterator[str]:
    """Nothing acknowledged is missing or changed, nothing is there twice, nothing is there that nobody sent, no number is left out."""
    held = {identity: digest for identity, digest, _, _ in stored}
    for identity, digest in sorted(ledger.acknowledged.items()):
        if held.get(identity) != digest:
            yield f"acknowledged and {'changed' if identity in held else 'MISSING'}: {named(identity)}"
    for identity, count in Counter(identity for identity, _, _, _ in stored).items():
        if count > 1:
            yield f"stored {count} times: {named(identity)}"
    for identity, digest in sorted(held.items()):
        if ledger.sent.get(identity) != digest:
            yield f"stored as it was never sent: {named(identity)}"
    runs: dict[tuple[str, str, str], set[int]] = {}
    for resource_id, boot_id, spool_id, sequence in held:
        runs.setdefault((resource_id, boot_id, spool_id), set()).add(sequence)
    for run, numbers in sorted(runs.items()):
        for number in sorted(set(range(1, max(numbers))) - numbers):
            yield f"number left out: {' '.join(run)} {number}"


def sample_differences(ledger: Ledger, stored: Stored) -> Iterator[str]:
    """Every sample that was on a disk is stored, once, as it was; no other is."""
    held: dict[SampleKey, dict[str, int]] = {}
    for (resource_id, boot_id, _, _), _, interval_ns, planes in stored:
        for at, values in rows_of(raw.decode(planes, interval_ns)):
            if (resource_id, boot_id, at) in held:
                yield f"sample in two batches: {resource_id} {boot_id} {at}"
            held[resource_id, boot_id, at] = values
    for key, (_, values) in sorted(ledger.samples.items()):
        if held.get(key) != values:
            yield f"sample that was on a disk is {'changed' if key in held else 'MISSING'}: {' '.join(map(str, key))}"
    for key in sorted(held.keys() - ledger.samples.keys()):
        yield f"sample that was on no disk: {' '.join(map(str, key))}"


def usage_differences(ledger: Ledger, hosts: Sequence[Host], told: Mapping[str, Sequence[Row]], gaps: Sequence[Row]) -> Iterator[str]:
    """Hours, gaps and findings are what an integer computation makes of the samples; and each counter is billed as far as it rose."""
    of = ledger.by_resource()
    results = {name: scalar.usage_hours(each["samples"], each["events"], [], 0) for name, each in of.items()}
    hours = {(row["resource_id"], int(row["hour_start_ns"])): row for row in told["usage"]}
    expected = {(name, start): hour for name, result in results.items() for start, hour in result.hours.items()}
    for name, start in sorted(hours.keys() | expected.keys()):
        yield from _hour_differences(name, start, expected.get((name, start)), hours.get((name, start)))
    want = Counter((name, *gap) for name, result in results.items() for gap in result.gaps)
    yield from _counter_differences("gap", want, Counter(_gap(row) for row in told["gaps"]))
    named_gaps = Counter((row["resource_id"], row["filled"]) for row in gaps if row["state"] != "closed")
    yield from _counter_differences("gap of `tally gaps`", Counter((name, filled) for name, _, _, filled in want.elements()), named_gaps)
    wanted = Counter((name, *finding[:3]) for name, result in results.items() for finding in result.findings)
    yield from _counter_differences("finding", wanted, Counter(_finding(row) for row in told["findings"]))
    for host in hosts:
        for guest in host.guests:
            first = of[guest.resource_id]["samples"][0]["columns"]
            for column in COUNTERS:
                billed, rose = results[guest.resource_id].total(scalar.COUNTERS[column]), guest.values[column] - first[column][0]
                if billed != rose:
                    yield f"{guest.resource_id} {column}: the host counted {rose} since the first sample, its samples say {billed}"


def _hour_differences(name: str, start: int, want: scalar.Hour | None, have: Row | None) -> Iterator[str]:
    if want is None or have is None:
        yield f"hour {name} {start}: {'extra' if want is None else 'missing'}"
        return
    for meter in sorted({*want.cells, *(meter for meter, amount in have["meters"].items() if amount != "0")}):
        for kind, cells, amounts in (("", want.cells, have["meters"]), ("estimated ", want.estimated, have["estimated"])):
            if kind and meter not in amounts:
                continue  # estimated parts are told of levels only: a counter's amount is never estimated
            amount = _sum(meter, cells)
            if int(amounts.get(meter, "0")) != amount:
                yield f"hour {name} {start} {kind}{meter}: expected {amount}, found {amounts.get(meter)}"
    if int(have["samples"]) != want.samples:
        yield f"hour {name} {start} samples: expected {want.samples}, found {have['samples']}"


def _sum(meter: str, cells: Mapping[str, Sequence[int]]) -> int:
    """A meter of an hour; network.io is what came and what went."""
    parts = ("network.rx", "network.tx") if meter == "network.io" else (meter,)
    return sum(sum(cells.get(part, ())) for part in parts)


def _gap(row: Row) -> tuple[Any, ...]:
    return row["resource_id"], int(row["from_ns"]), int(row["until_ns"]), row["filled"]


def _finding(row: Row) -> tuple[Any, ...]:
    return row["resource_id"], row["code"], int(row["at_ns"]), row["boot_id"]


def _counter_differences(noun: str, want: Counter[tuple[Any, ...]], have: Counter[tuple[Any, ...]]) -> Iterator[str]:
    yield from (f"{noun} missing: {' '.join(map(str, row))}" for row in sorted((want - have).elements()))
    yield from (f"{noun} extra: {' '.join(map(str, row))}" for row in sorted((have - want).elements()))
