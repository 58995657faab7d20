"""The six laws of metering.md as properties, over random streams with every trouble that the rules know."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallystick.model.instants import HOUR_NS, SECOND_NS
from tallystick.model.samples import COUNTERS, MEMORY
from tests.laws.compare import difference, expected, seen, taken
from tests.laws.streams import BASE_NS, Stream, Temper, batch_of, stream

METER = Path(__file__).resolve().parents[2] / "src" / "tallystick" / "meter"
METERS = dict(
    zip(
        COUNTERS,
        ("cpu.used", "disk.read", "disk.write", "disk.read_ops", "disk.write_ops", "network.rx", "network.tx"),
        strict=True,
    )
)
SEEDS = st.integers(0, 2**32)
TEMPERS = st.builds(
    Temper,
    boots=st.integers(1, 4),
    unknown_boots=st.booleans(),
    restarts=st.booleans(),
    gaps=st.booleans(),
    conflicts=st.booleans(),
    overlaps=st.booleans(),
    absent=st.booleans(),
    huge=st.booleans(),
    events=st.booleans(),
    facts=st.booleans(),
)
STREAMS = st.builds(lambda seed, temper: stream(Random(seed), temper), SEEDS, TEMPERS)
COLUMNS = ("measured_at_ns", MEMORY, *COUNTERS)


@settings(max_examples=400)
@given(STREAMS)
@example(stream(Random(948), Temper()))
def test_the_meter_equals_the_reference(sent: Stream) -> None:
    resource = taken(sent)
    assert not difference(seen(resource.one_by_one()), expected(sent, resource))


@settings(max_examples=100)
@given(SEEDS, st.booleans())
def test_law_1_conservation(seed: int, huge: bool) -> None:
    """Rises, resets and first values where it counts from 0: by last minus first, without hours and without intervals."""
    sent = stream(Random(seed), Temper(unknown_boots=False, events=False, facts=False, absent=False, overlaps=False, huge=huge))
    result = taken(sent).one_by_one()
    by_boot: dict[str, dict[int, tuple[int, ...]]] = {}
    intervals: dict[tuple[str, int], int] = {}
    for batch in sent.batches:
        for values in zip(*(batch[name] for name in COLUMNS), strict=True):
            by_boot.setdefault(batch["boot_id"], {})[values[0]] = values[1:]
            intervals[batch["boot_id"], values[0]] = batch["interval_ns"]
    oldest = min(by_boot, key=lambda boot: (min(by_boot[boot]), boot))
    for place, name in enumerate(COUNTERS, start=1):
        want = 0
        for boot, samples in by_boot.items():
            column = [samples[at][place] for at in sorted(samples)]
            falls = [(x, y) for x, y in pairwise(column) if y < x]
            want += column[-1] - (column[0] if boot == oldest else 0)
            want += sum(x if 2 * y <= x else x - y for x, y in falls)
        assert sum(hour.total(METERS[name]) or 0 for hour in result.hours) == want
    if len(by_boot) == 1:
        area = 0
        instants = sorted(by_boot[oldest])
        for a, b in pairwise(instants):
            low, high = by_boot[oldest][a][0], by_boot[oldest][b][0]
            silent = b - a > 10 * max(intervals[oldest, a], intervals[oldest, b])
            area += low * (b - a) + ((high - low) * (b - a) // 2 if silent else 0)
        assert sum(hour.total("memory.used") or 0 for hour in result.hours) == area


def cut_again(batch: dict[str, Any], rng: Random) -> list[dict[str, Any]]:
    """The samples of a batch in other pieces, without a number, some overlapping, with the same time of reception."""
    count = len(batch["measured_at_ns"])
    edges = sorted({0, count, *(rng.randrange(count) for _ in range(rng.randrange(4)))})
    pieces = []
    for low, high in pairwise(edges):
        begin = max(0, low - rng.choice((0, 0, 2)))
        columns = {name: batch[name][begin:high] for name in COLUMNS if name in batch}
        pieces.append(batch_of(batch["boot_id"], batch["interval_ns"], columns, received=batch["received_at_ns"]))
    return pieces


@settings(max_examples=100)
@given(STREAMS, SEEDS)
def test_law_2_any_cut(sent: Stream, seed: int) -> None:
    rng = Random(seed)
    pieces = [piece for batch in sent.batches for piece in cut_again(batch, rng)]
    again = Stream(batches=pieces, events=sent.events, facts=sent.facts)
    assert not difference(seen(taken(again).at_once()), seen(taken(sent).at_once()))


@settings(max_examples=100)
@given(STREAMS, SEEDS)
def test_law_3_any_order(sent: Stream, seed: int) -> None:
    rng = Random(seed)
    shuffled = Stream(
        batches=rng.sample(sent.batches, len(sent.batches)),
        events=rng.sample(sent.events, len(sent.events)),
        facts=rng.sample(sent.facts, len(sent.facts)),
    )
    assert not difference(seen(taken(shuffled).at_once()), seen(taken(sent).at_once()))


@settings(max_examples=100)
@given(STREAMS, SEEDS)
def test_law_4_any_repeat(sent: Stream, seed: int) -> None:
    rng = Random(seed)
    later = max(batch["received_at_ns"] for batch in sent.batches) + 1
    whole = [{**batch, "received_at_ns": later + place} for place, batch in enumerate(rng.choices(sent.batches, k=3))]
    parts = [piece | {"received_at_ns": later + 10 + place} for place in range(2) for piece in cut_again(rng.choice(sent.batches), rng)]
    notices = sent.events + rng.choices(sent.events, k=2) if sent.events else []
    again = Stream(batches=sent.batches + whole + parts, events=notices, facts=sent.facts + sent.facts[:1])
    assert not difference(seen(taken(again).at_once()), seen(taken(sent).at_once()))


@settings(max_examples=150)
@given(STREAMS, st.integers(1, 5))
def test_law_5_any_partition(sent: Stream, step: int) -> None:
    """Hours one at a time, or a few, from the least that a store may load, and all at once from everything."""
    resource = taken(sent)
    whole = seen(resource.at_once())
    assert not difference(seen(resource.one_by_one()), whole)
    assert not difference(seen(resource.one_by_one(step)), whole)


def test_law_6_no_float() -> None:
    """16 TiB held for a year, at nanosecond resolution, with 512 vcpus, is exact to the byte·nanosecond in every hour."""
    level, year = 16 << 40, 8760
    columns = {"measured_at_ns": [BASE_NS + 1, BASE_NS + 1 + year * HOUR_NS], MEMORY: [level, 0], "cpu_time_nanos": [0, 10]}
    batch = batch_of("a", 8760 * HOUR_NS, columns, received=BASE_NS + year * HOUR_NS + SECOND_NS)
    fact = {"resource_id": "vm-1", "at_ns": BASE_NS, "received_at_ns": BASE_NS, "vcpus": 512, "memory_bytes": level}
    hours = taken(Stream(batches=[batch], events=[], facts=[fact])).at_once().hours
    assert [hour.total("memory.used") for hour in hours] == [level * (HOUR_NS - 1), *[level * HOUR_NS] * (year - 1), level]
    assert sum(hour.total("memory.allocated") or 0 for hour in hours) == level * year * HOUR_NS
    assert sum(hour.total("cpu.allocated") or 0 for hour in hours) == 512 * year * HOUR_NS
    assert sum(hour.total("cpu.used") or 0 for hour in hours) == 10


def test_law_6_no_float_in_the_source() -> None:
    """No float literal, true division or float type anywhere in the meter."""
    for path in METER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{path.name}:{node.lineno}"
            assert not (isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div)), f"{path.name}:{node.lineno}"
            assert not (isinstance(node, ast.Name) and node.id == "float"), f"{path.name}:{node.lineno}"
            assert not (isinstance(node, ast.Attribute) and node.attr.startswith("float")), f"{path.name}:{node.lineno}"


def test_the_reference_stands_alone() -> None:
    """The scalar reference imports nothing of the product."""
    reference = Path(__file__).resolve().parents[1] / "reference"
    for path in reference.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith(("tallystick", "tests", ".")) for name in names), f"{path.name}: {names}"
