"""What one resource used in each cell of a window, and the cumulative floors by which an interval is split into cells.

A cell is five minutes of UTC, but where somebody asks for minutes: the floors are the same, so minutes add up to their cell.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import sub

from tallystick.meter.chains import Span, Window
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, HOUR_NS, hour_start
from tallystick.model.resources import Fact
from tallystick.model.samples import COUNTERS
from tallystick.model.usage import UsageHour

MEMORY = len(COUNTERS)
(MEMORY_ESTIMATED, UPTIME, CPU_ALLOCATED, MEMORY_ALLOCATED, GPU_ALLOCATED, UPTIME_ESTIMATED, CPU_ALLOCATED_ESTIMATED,
 MEMORY_ALLOCATED_ESTIMATED, GPU_ALLOCATED_ESTIMATED, DISK_ALLOCATED, WIDTH) = range(MEMORY + 1, MEMORY + 12)  # fmt: skip
"""The places in a row of a cell: the counters in their order, then these."""

MEASURED = (
    ("cpu.used", 0, 2), ("memory.used", MEMORY, 1), ("disk.read", 1, 3), ("disk.write", 2, 4), ("disk.read_ops", 3, 5),
    ("disk.write_ops", 4, 6), ("network.rx", 5, 7), ("network.tx", 6, 8),
)  # fmt: skip
"""Stored meter, place in a row, number of the column that it is measured by."""
ALLOCATED = (
    ("cpu.allocated", CPU_ALLOCATED),
    ("memory.allocated", MEMORY_ALLOCATED),
    ("gpu.allocated", GPU_ALLOCATED),
    ("disk.allocated", DISK_ALLOCATED),
)
ESTIMATED = (
    ("memory.used", MEMORY_ESTIMATED), ("uptime", UPTIME_ESTIMATED), ("cpu.allocated", CPU_ALLOCATED_ESTIMATED),
    ("memory.allocated", MEMORY_ALLOCATED_ESTIMATED), ("gpu.allocated", GPU_ALLOCATED_ESTIMATED),
)  # fmt: skip
_MEMORY_BIT = 2


@dataclass(frozen=True, slots=True)
class Level:
    """The sizes in force from an instant on; what no fact told of is 0."""

    from_ns: int
    vcpus: int
    memory_bytes: int
    disk_bytes: int
    gpus: int
    deleted: bool


def levels(facts: Iterable[Fact]) -> list[Level]:
    """The sizes of a resource by instant: each holds until the next fact that names it, `deleted` ends all.

    Of two facts at one instant the one received later wins.
    """
    found: list[Level] = []
    held = _NOTHING
    for fact in sorted(facts, key=lambda fact: (fact.at_ns, fact.received_at_ns)):
        if not fact.is_size:
            continue
        if fact.deleted:
            held = Level(fact.at_ns, 0, 0, 0, 0, True)
        else:
            held = Level(
                fact.at_ns,
                held.vcpus if fact.vcpus is None else fact.vcpus,
                held.memory_bytes if fact.memory_bytes is None else fact.memory_bytes,
                held.disk_bytes if fact.disk_bytes is None else fact.disk_bytes,
                held.gpus if fact.gpus is None else fact.gpus,
                False,
            )
        if found and found[-1].from_ns == fact.at_ns:
            found[-1] = held
        else:
            found.append(held)
    return found


_NOTHING = Level(0, 0, 0, 0, 0, False)


@dataclass(slots=True)
class Ledger:
    """Rows by cell of a window, and what was measured in it: samples, peak of memory, presence by `grain_ns`; openings by hour.

    The grain is an hour, or a cell where several sources must be told apart. `evenly` is the part of `rows` of which nothing tells in
    which of several cells it lies: only where a cell is shorter than the segments of a batch whose samples are gone.
    """

    window: Window
    levels: list[Level]
    grain_ns: int = HOUR_NS
    cell_ns: int = CELL_NS
    rows: dict[int, list[int]] = field(default_factory=dict)
    samples: dict[int, int] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)
    masks: dict[int, int] = field(default_factory=dict)
    runs: dict[int, list[int]] = field(default_factory=dict)
    evenly: dict[int, list[int]] = field(default_factory=dict)
    deletes: bool = field(init=False)
    """Whether the resource was ever deleted."""

    def __post_init__(self) -> None:
        """Look at the levels once."""
        self.deletes = any(level.deleted for level in self.levels)

    def row(self, cell_ns: int) -> list[int]:
        """The row of a cell, which must lie in the window."""
        found = self.rows.get(cell_ns)
        if found is None:
            found = self.rows[cell_ns] = [0] * WIDTH
        return found

    def measured(self, cell_ns: int, mask: int, samples: int, peak: int) -> None:
        """Count samples of a cell of the window, with the largest memory among them."""
        grain = cell_ns - cell_ns % self.grain_ns
        self.samples[grain] = self.samples.get(grain, 0) + samples
        self.masks[grain] = self.masks.get(grain, 0) | mask
        if mask & _MEMORY_BIT:
            self.peaks[grain] = max(self.peaks.get(grain, 0), peak)

    def opened(self, at_ns: int) -> None:
        """An incarnation begins."""
        if self.window.holds(at_ns):
            self.runs.setdefault(hour_start(at_ns), []).append(at_ns)

    def spread(self, start_ns: int, end_ns: int, amounts: Sequence[int], mask: int) -> None:
        """Counter usage over [start, end): at each boundary the floor of the running share, the rest later.

        With start = end all of it lies in the cell that holds that instant.
        """
        if start_ns == end_ns:
            if self.window.holds(end_ns):
                self._add(self.row(end_ns - end_ns % self.cell_ns), amounts)
                self._touch(end_ns, end_ns + 1, mask)
            return
        low, until = max(start_ns, self.window.from_ns), min(end_ns, self.window.until_ns)
        if low >= until:
            return
        self._touch(low, until, mask)
        if not any(amounts):
            return
        span = end_ns - start_ns
        done: Sequence[int] = [amount * (low - start_ns) // span for amount in amounts] if low > start_ns else [0] * len(amounts)
        while low < until:
            cell = low - low % self.cell_ns
            low = min(cell + self.cell_ns, end_ns)
            upto = amounts if low == end_ns else [amount * (low - start_ns) // span for amount in amounts]
            row = self.row(cell)
            for place, (after, before) in enumerate(zip(upto, done, strict=True)):
                row[place] += after - before
            done = upto

    def crossed(self, start_ns: int, end_ns: int, amounts: Sequence[int], level: int, mask: int) -> bool:
        """What `spread` and `held` add of a held level, in one step, where a single boundary of cells parts [start, end) and both cells
        lie in the window, as it is at nearly every boundary. False: it is otherwise, and nothing was added.
        """  # noqa: D205 (the condition is one sentence)
        cell_ns = self.cell_ns
        cell = start_ns - start_ns % cell_ns
        middle = cell + cell_ns
        if not (self.window.from_ns <= start_ns and middle < end_ns <= middle + cell_ns and end_ns <= self.window.until_ns):
            return False
        self._touch(start_ns, end_ns, mask)
        span, before = end_ns - start_ns, middle - start_ns
        left, right = self.row(cell), self.row(middle)
        for place, amount in enumerate(amounts):
            share = amount * before // span
            left[place] += share
            right[place] += amount - share
        left[MEMORY] += level * before
        right[MEMORY] += level * (span - before)
        return True

    def piece(self, span: Span, mask: int, samples: int, peak: int, row: Sequence[int]) -> None:
        """Count a piece [first, last] that no samples part, of which `row` is what it adds up to, evenly over its time."""
        start, length = span[0], span[1] - span[0]
        guessed = row[MEMORY_ESTIMATED]
        amounts = (*row[:MEMORY], row[MEMORY] - guessed, guessed, samples)
        done = [0] * len(amounts)
        for cell, _, until in self.cells(*span):
            upto = [amount * (until - start) // length for amount in amounts]
            *counted, held, guessed, count = map(sub, upto, done)
            part, done = (*counted, held + guessed, guessed), upto
            self._add(self.row(cell), part)
            self._add(self.evenly.setdefault(cell, [0] * WIDTH), part)
            self.measured(cell, mask, count, peak)

    def _add(self, row: list[int], amounts: Sequence[int]) -> None:
        for place, amount in enumerate(amounts):
            row[place] += amount

    def _touch(self, low_ns: int, until_ns: int, mask: int) -> None:
        """Note that the meters of a mask are measured in [low, until), which lies in the window."""
        for grain in range(low_ns - low_ns % self.grain_ns, until_ns, self.grain_ns):
            self.masks[grain] = self.masks.get(grain, 0) | mask

    def held(self, whole: Span, counted: Iterable[Span], low: int, high: int, estimated: bool) -> None:
        """The area under the line from level `low` to `high` over `whole`, at each boundary the floor of the running area.

        Only what lies in the `counted` spans is added.
        """
        start, span = whole[0], whole[1] - whole[0]

        def area(at_ns: int) -> int:
            x = at_ns - start
            return low * x + ((high - low) * x * x // (2 * span) if high != low else 0)

        for since, until in counted:
            for cell, begin, end in self.cells(since, until):
                amount = area(end) - area(begin)
                row = self.row(cell)
                row[MEMORY] += amount
                if estimated:
                    row[MEMORY_ESTIMATED] += amount

    def cells(self, start_ns: int, end_ns: int) -> Iterator[tuple[int, int, int]]:
        """(cell, begin, end) of each part of [start, end) in the window, in order."""
        low, until = max(start_ns, self.window.from_ns), min(end_ns, self.window.until_ns)
        while low < until:
            cell = low - low % self.cell_ns
            end = min(cell + self.cell_ns, until)
            yield cell, low, end
            low = end

    def levelled(self, start_ns: int, end_ns: int) -> Iterator[tuple[int, int, Level]]:
        """(cell, ns, sizes) of each part of [start, end) in the window in which no size changes."""
        place = bisect_right(self.levels, start_ns, key=_from_ns) - 1
        for cell, begin, end in self.cells(start_ns, end_ns):
            low = begin
            while low < end:
                while place + 1 < len(self.levels) and self.levels[place + 1].from_ns <= low:
                    place += 1
                following = self.levels[place + 1].from_ns if place + 1 < len(self.levels) else end
                until = min(following, end)
                yield cell, until - low, self.levels[place] if place >= 0 else _NOTHING
                low = until

    def up(self, spans: Iterable[Span], estimated: bool) -> None:
        """Uptime over disjoint spans, and with it the sizes but for the disk; `estimated`: count it as estimated only."""
        base = UPTIME_ESTIMATED if estimated else UPTIME
        for low, high in spans:
            for cell, span, level in self.levelled(low, high):
                row = self.row(cell)
                row[base] += span
                row[base + 1] += level.vcpus * span
                row[base + 2] += level.memory_bytes * span
                row[base + 3] += level.gpus * span

    def disk(self, until_ns: int) -> None:
        """Disk x time from the first fact to the horizon, up or not."""
        if self.levels:
            for cell, span, level in self.levelled(self.levels[0].from_ns, until_ns):
                if level.disk_bytes:
                    self.row(cell)[DISK_ALLOCATED] += level.disk_bytes * span

    def hours(self, resource_id: str) -> Iterator[UsageHour]:
        """The usage hours of the window, without those in which nothing was; the grain is an hour."""
        used = {hour_start(cell) for cell, row in self.rows.items() if any(row)}
        for hour in sorted(used | self.samples.keys() | self.runs.keys()):
            yield self._hour(resource_id, hour)

    def _hour(self, resource_id: str, hour: int) -> UsageHour:
        by_cell = [self.rows.get(cell, _EMPTY_ROW) for cell in range(hour, hour + CELLS_PER_HOUR * CELL_NS, CELL_NS)]
        columns = list(zip(*by_cell, strict=True))
        mask = self.masks.get(hour, 0)
        cells = {meter: columns[place] for meter, place, column in MEASURED if mask >> column & 1}
        if mask or any(columns[UPTIME]):
            cells["uptime"] = columns[UPTIME]
        if self.levels:
            cells.update((meter, columns[place]) for meter, place in ALLOCATED)
        return UsageHour(
            resource_id=resource_id,
            hour_ns=hour,
            cells=cells,
            estimated={meter: columns[place] for meter, place in ESTIMATED if any(columns[place])},
            samples=self.samples.get(hour, 0),
            memory_peak_bytes=self.peaks.get(hour),
            runs=tuple(sorted(self.runs.get(hour, ()))),
        )


_EMPTY_ROW = [0] * WIDTH


def _from_ns(level: Level) -> int:
    return level.from_ns


def without(span: Span, taken: Sequence[Span]) -> list[Span]:
    """A span less every one of `taken`, which are in order and disjoint."""
    low, high = span
    left = []
    for begin, end in taken:
        if end <= low or begin >= high:
            continue
        if low < begin:
            left.append((low, begin))
        low = max(low, end)
    if low < high:
        left.append((low, high))
    return left
