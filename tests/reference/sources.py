"""Of several sources of one resource, which one bills: cell by cell, the slow version of the rule.

As `scalar.py` it shares no code with the product and imports nothing of it, nor of the tests: what that made of each source of samples
is given, the one that bills first. `records`: dictionaries with `number` (of their source, in the order of registration), `meter`,
`from_ns`, `until_ns`, `amount` and perhaps `peak`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

CELL = 300 * 10**9
HOUR = 12 * CELL
MEMORY = "memory_bytes_used"
SIZES = {"vcpus": "cpu.allocated", "memory_bytes": "memory.allocated", "gpus": "gpu.allocated", "disk_bytes": "disk.allocated"}
METERS = (
    *("cpu.used", "cpu.allocated", "memory.used", "memory.allocated", "disk.allocated", "disk.read", "disk.write", "disk.read_ops"),
    *("disk.write_ops", "network.rx", "network.tx", "gpu.allocated", "gpu.used", "gpu.memory.used", "uptime", "http.requests"),
)
COLUMNS = {
    "cpu_time_nanos": "cpu.used",
    "disk_read_bytes": "disk.read",
    "disk_write_bytes": "disk.write",
    "disk_read_ops": "disk.read_ops",
    "disk_write_ops": "disk.write_ops",
    "network_rx_bytes": "network.rx",
    "network_tx_bytes": "network.tx",
    MEMORY: "memory.used",
    "uptime": "uptime",
}
"""Column -> meter."""

Record = Mapping[str, Any]
Metered = tuple[Any, Mapping[str, Sequence[Any]], Sequence[Any]]
"""What `scalar.metered` gives: book, samples, incarnations."""


class Sides:
    """The sources of samples, and what each of them measured."""

    def __init__(self, sources: Sequence[Metered], facts: Sequence[Record]) -> None:
        self.sources = sources
        self.facts = facts
        self.samples = [[one for known in samples.values() for one in known] for _, samples, _ in sources]
        self.sampled = [{one.at // CELL * CELL for one in samples} for samples in self.samples]

    def is_up(self, place: int, cell: int) -> bool:
        return cell in self.sampled[place] or self.sources[place][0].amounts.get((cell, "uptime", False), 0) > 0

    def is_told(self, places: Iterable[int], at: int) -> bool:
        return any(self.is_up(place, at // CELL * CELL) for place in places)

    def measures(self, place: int, cell: int, meter: str) -> bool:
        for name, allocated in SIZES.items():
            if allocated == meter:
                declared = any(fact.get(name) is not None and fact["at_ns"] < cell + CELL for fact in self.facts)
                return declared and (place == 0 if name == "disk_bytes" else self.is_up(place, cell))
        columns = [column for column, counted in COLUMNS.items() if counted == meter]
        seen = self.sources[place][0].seen.get(cell, set())
        return bool(seen.intersection(columns)) and (meter not in ("memory.used", "uptime") or self.is_up(place, cell))

    def inside(self, place: int, cell: int) -> list[Any]:
        """The samples of a source in a cell."""
        return [one for one in self.samples[place] if cell <= one.at < cell + CELL]

    def cells(self) -> set[int]:
        """Every cell in which anything is."""
        found = {cell for book, _, _ in self.sources for (cell, _, _), amount in book.amounts.items() if amount}.union(*self.sampled)
        return found | {one.opened // CELL * CELL for _, _, found in self.sources for one in found}


def one_each(
    sources: Sequence[Metered], facts: Sequence[Record], records: Sequence[Record], result: Any, new_hour: Callable[[], Any]
) -> Any:
    """Of each meter and cell one source: samples before records, our protocol first; of records the finer, then the earlier.

    `result` is an empty `scalar.Result`, which is filled; `new_hour` makes an empty `scalar.Hour`.
    """
    sides = Sides(sources, facts)
    known: set[tuple[str, int, str]] = set()
    for place, (book, _, _) in enumerate(sources):
        better = range(place)
        result.gaps += [gap for gap in book.result.gaps if not sides.is_told(better, gap[0])]
        for code, at, boot, counters in book.result.findings:
            if not sides.is_told(better, at) and (code, at, boot) not in known:
                known.add((code, at, boot))
                result.findings.append((code, at, boot, counters))
    cells = sides.cells()
    for record in records:
        cells |= set(range(record["from_ns"] // CELL * CELL, max(record["until_ns"], record["from_ns"] + 1), CELL))
    for start in sorted({cell // HOUR * HOUR for cell in cells}):
        hour, second = new_hour(), {}
        is_recorded = put_together(sides, records, start, hour, second)
        if hour.samples or hour.runs or is_recorded or any(map(any, hour.cells.values())):
            result.hours[start] = hour
        if second:
            result.findings.append(("second_source", min(second.values()), "", tuple(meter for meter in METERS if meter in second)))
    result.gaps.sort()
    result.findings.sort(key=lambda finding: (finding[1], finding[0], finding[2]))
    return result


def put_together(sides: Sides, records: Sequence[Record], start: int, hour: Any, second: dict[str, int]) -> bool:
    """Fill an hour, and note of which meters a source is left out, from which cell on; whether any record bills."""
    is_recorded = False
    for place, (book, _, found) in enumerate(sides.sources):
        opened = [one.opened for one in found if one.opened // HOUR * HOUR == start]
        hour.runs += [at for at in opened if not sides.is_told(range(place), at)]
        touched = book.touched.get(start, set())
        for meter in (*(meter for column, meter in COLUMNS.items() if column in touched), *(SIZES.values() if book.facts else ())):
            hour.cells.setdefault(meter, [0] * 12)
    hour.runs.sort()
    for cell in range(start, start + HOUR, CELL):
        mine = next((place for place in range(len(sides.sources)) if sides.is_up(place, cell)), None)
        hour.samples += 0 if mine is None else len(sides.inside(mine, cell))
        for meter in METERS:
            of_samples = [place for place in range(len(sides.sources)) if sides.measures(place, cell, meter)]
            claims = claimed(records, cell, meter)
            if len(of_samples) + len(claims) > 1:
                second.setdefault(meter, cell)
            if of_samples:
                book = sides.sources[of_samples[0]][0]
                amount, guess = book.amounts.get((cell, meter, False), 0), book.amounts.get((cell, meter, True), 0)
                if guess:
                    hour.estimated.setdefault(meter, [0] * 12)[(cell - start) // CELL] = guess
                peaks = [one.columns[MEMORY] for one in sides.inside(of_samples[0], cell) if MEMORY in one.columns]
            elif claims:
                _, _, amount, peaks = min(claims)
                is_recorded = True
            else:
                continue
            hour.cells.setdefault(meter, [0] * 12)[(cell - start) // CELL] = amount
            if meter == "memory.used" and peaks:
                hour.memory_peak_bytes = max(*peaks, hour.memory_peak_bytes or 0)
    return is_recorded


def claimed(records: Sequence[Record], cell: int, meter: str) -> list[tuple[int, int, int, list[int]]]:
    """(shortest window, number, amount, peaks) of each source of records that touch a cell."""
    found: dict[int, tuple[int, int, int, list[int]]] = {}
    for record in records:
        since, until, whole = record["from_ns"], record["until_ns"], record["amount"]
        low, high = max(since, cell), min(until, cell + CELL)
        if record["meter"] != meter or (low >= high and not (since == until and cell <= since < cell + CELL)):
            continue
        amount = whole if since == until else whole * (high - since) // (until - since) - whole * (low - since) // (until - since)
        peaks = [] if record.get("peak") is None else [record["peak"]]
        before = found.get(record["number"], (until - since, record["number"], 0, []))
        found[record["number"]] = (min(before[0], until - since), record["number"], before[2] + amount, before[3] + peaks)
    return list(found.values())
