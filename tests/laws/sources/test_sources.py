"""Two sources for one thing: the laws over streams of agents, daemons of rows and usage records together."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.meter import hours
from tallystick.meter.chains import Window, chains, strands
from tallystick.meter.sources.combined import combined
from tallystick.model.instants import CELL_NS, HOUR_NS
from tests.laws.compare import difference, expected, seen, taken
from tests.laws.streams import BASE_NS, RESOURCE, Row, Stream, several
from tests.laws.test_laws import SEEDS, STREAMS, cut_again

MIXED = st.builds(lambda seed, given: several(Random(seed), given), SEEDS, STREAMS)


@settings(max_examples=150)
@given(MIXED)
def test_the_meter_equals_the_reference(sent: Stream) -> None:
    resource = taken(sent)
    assert not difference(seen(resource.one_by_one()), expected(sent, resource))


@settings(max_examples=60)
@given(MIXED, SEEDS)
def test_any_cut_order_and_repeat(sent: Stream, seed: int) -> None:
    """Batches in other pieces and all in another order, some of it twice, are the same usage."""
    rng = Random(seed)
    pieces = [{**piece, "source": batch["source"]} for batch in sent.batches for piece in cut_again(batch, rng)]
    again = Stream(
        batches=rng.sample(pieces, len(pieces)),
        events=rng.sample(sent.events, len(sent.events)),
        facts=rng.sample(sent.facts, len(sent.facts)),
        records=rng.sample(sent.records, len(sent.records)) + sent.records[:2],
    )
    assert not difference(seen(taken(again).at_once()), seen(taken(sent).at_once()))


@settings(max_examples=60)
@given(MIXED, st.integers(1, 5))
def test_any_partition(sent: Stream, step: int) -> None:
    resource = taken(sent)
    whole = seen(resource.at_once())
    assert not difference(seen(resource.one_by_one()), whole)
    assert not difference(seen(resource.one_by_one(step)), whole)


@settings(max_examples=60)
@given(STREAMS)
def test_one_source_is_combined_into_what_it_is(sent: Stream) -> None:
    """Told by cell and put together, one source is what it is told by hour."""
    resource = taken(sent)
    timeline, (from_ns, until_ns) = resource.whole(), resource.span()
    window = Window(from_ns=from_ns, until_ns=until_ns)
    needed = {key: resource.samples[key] for key in hours.needs_samples(timeline, from_ns, until_ns)}
    found = chains(timeline, strands(timeline, window), needed, 10, frozenset())
    meter = hours.metered(timeline, window, found, 10, CELL_NS)
    meter.ledger.disk(until_ns)
    made, gaps, findings = combined(timeline, [meter])
    plain = resource.at_once()
    again = replace(plain, hours=tuple(made), gaps=tuple(gaps), findings=tuple(findings))
    assert not difference(seen(again), seen(plain))


def record(number: int, meter: str, from_ns: int, until_ns: int, amount: int, **more: Any) -> Row:
    source = more.pop("source", 0)
    return {
        "resource_id": RESOURCE,
        "source": f"exporter-{source}",
        "number": source,
        "record_id": str(number),
        "meter": meter,
        "from_ns": from_ns,
        "until_ns": until_ns,
        "amount": amount,
        "received_at_ns": until_ns,
        **more,
    }


@settings(max_examples=60)
@given(SEEDS)
def test_conservation_of_one_source_of_records(seed: int) -> None:
    """Nothing else measures it: every unit of every record is in some cell, and nowhere else than in its span."""
    rng = Random(seed)
    records = []
    for number in range(rng.randint(1, 20)):
        from_ns = BASE_NS + rng.randrange(5 * HOUR_NS)
        span = rng.choice((0, 1, CELL_NS, HOUR_NS, rng.randrange(1, 9 * HOUR_NS)))
        records.append(record(number, "network.tx", from_ns, from_ns + span, rng.choice((0, 1, 10, 2**100, rng.randrange(10**12)))))
    result = taken(Stream(batches=[], events=[], facts=[], records=records)).one_by_one()
    assert sum(hour.total("network.tx") or 0 for hour in result.hours) == sum(row["amount"] for row in records)
    assert all(set(hour.cells) == {"network.tx"} and hour.samples == 0 and hour.memory_peak_bytes is None for hour in result.hours)
    touched = {
        cell for row in records for cell in range(row["from_ns"] // CELL_NS * CELL_NS, max(row["until_ns"], row["from_ns"] + 1), CELL_NS)
    }
    for hour in result.hours:
        for place, amount in enumerate(hour.cells["network.tx"]):
            assert not amount or hour.hour_ns + place * CELL_NS in touched
    assert {hour.hour_ns for hour in result.hours} == {cell // HOUR_NS * HOUR_NS for cell in touched}
    assert not result.findings


@settings(max_examples=60)
@given(SEEDS)
def test_conservation_of_each_billed_source(seed: int) -> None:
    """What is billed in a cell is the whole share of one source: summed by cells, each source's records are split, never mixed."""
    rng = Random(seed)
    records = []
    for number in range(rng.randint(2, 12)):
        from_ns = BASE_NS + rng.randrange(2 * HOUR_NS)
        span = rng.choice((CELL_NS, HOUR_NS, rng.randrange(1, 2 * HOUR_NS)))
        records.append(record(number, "http.requests", from_ns, from_ns + span, rng.randrange(10**6), source=rng.randrange(3)))

    def alone(source: int) -> dict[int, int]:
        mine = [row for row in records if row["number"] == source]
        if not mine:
            return {}
        found = taken(Stream(batches=[], events=[], facts=[], records=mine)).at_once()
        cells = [
            (hour.hour_ns + place * CELL_NS, amount) for hour in found.hours for place, amount in enumerate(hour.cells["http.requests"])
        ]
        return dict(cells)

    by_source = [alone(source) for source in range(3)]
    result = taken(Stream(batches=[], events=[], facts=[], records=records)).one_by_one()
    for hour in result.hours:
        for place, amount in enumerate(hour.cells["http.requests"]):
            assert amount in {found.get(hour.hour_ns + place * CELL_NS, 0) for found in by_source}
