"""Deleting what may be deleted changes no hour that is not sealed, whatever arrives after it; held against a store that deletes nothing."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tallystick.meter.sealing.points import kept_points, needs_samples_to_seal
from tallystick.meter.segments import read_blocks
from tallystick.model.instants import CELL_NS, HOUR_NS, hour_start
from tallystick.model.timeline import last_point
from tallystick.model.usage import UsageHour
from tallystick.store.store import Store, open_store
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, SECOND, T, batch, opened, sweep, write
from tests.contract.test_late_data import deliver
from tests.laws.streams import Temper, stream
from tests.stores import migrated_database

STREAMS = {"sqlite": 25, "postgresql": 6}
LATEST = 2**63 - 1


def seal(store: Store, resource: str, until_ns: int, *, limit: int = 3) -> bool:
    """Seal the hours of a resource, and delete its segments there in small steps."""
    found = store.registry.resource(PLACE, resource)
    assert found is not None
    with store.read() as tx:
        held = store.retention.held(PLACE, [found.row], tx=tx)[found.row]
        timeline = store.retention.to_seal(PLACE, found.row, until_ns, tx=tx)
    needed = needs_samples_to_seal(timeline, until_ns)
    kept = kept_points(timeline, until_ns, opened(store, sorted(needed)))
    with store.write() as tx:
        done = store.retention.seal(tx, PLACE, found.row, until_ns, held, kept, 7)
    delete(store, found.row, limit)
    return done


def delete(store: Store, resource_key: int, limit: int = 3) -> None:
    ends = store.retention.last_cells(PLACE, resource_key)
    while some := store.retention.sealed_segments(PLACE, resource_key, limit):
        ended = [key for cell_ns, key in some if ends[key] == cell_ns]
        with store.write() as tx:
            assert store.retention.delete_segments(tx, PLACE, resource_key, some, ended) == len(some)


def hours_of(store: Store, resource: str, from_ns: int = 0) -> list[UsageHour]:
    found = store.registry.resource(PLACE, resource)
    return [] if found is None else [hour for _, hour in store.usage.hours(PLACE, from_ns, resource_keys=[found.row])]


def test_deletion_changes_no_hour_that_is_not_sealed(store: Store, url: str, tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    folder.mkdir()
    with migrated_database("sqlite", folder) as other:
        whole = open_store(other, StandingClock())
        for seed in range(STREAMS[url.partition(":")[0]]):
            check(store, whole, Random(seed), f"vm-{seed}")
        whole.close()


def check(store: Store, whole: Store, rng: Random, resource: str) -> None:
    """Half of a stream, then a seal, then what lies in open hours, some of it over the edge; a later seal, then nothing more."""
    made = stream(rng, Temper(unknown_boots=rng.random() < 0.5))
    instants = [at for row in made.batches for at in (row["measured_at_ns"][0], row["measured_at_ns"][-1])]
    places = sorted(rng.randrange(hour_start(min(instants)), max(instants) + 2 * HOUR_NS, HOUR_NS) for _ in range(2))
    early = rng.sample(made.batches, len(made.batches) // 2)
    for each in (store, whole):
        for kind, rows in (("batch", early), ("event", made.events), ("fact", made.facts)):
            for row in rows:
                deliver(each, resource, kind, row)
        sweep(each)
    sealed_hours: list[UsageHour] = []
    later = [row for row in made.batches if row not in early]
    for at_ns in places:
        if not early:
            return
        assert seal(store, resource, at_ns)
        sealed_hours = [hour for hour in hours_of(store, resource) if hour.hour_ns < at_ns]
        for row in later:
            # What lies in sealed hours alone is too late; of what reaches over their end, the open part counts.
            if row["measured_at_ns"][-1] >= at_ns and (row["measured_at_ns"][0] >= at_ns or row["boot_id"]):
                for each in (store, whole):
                    deliver(each, resource, "batch", row)
        later = []
        sweep(store)
        sweep(whole)
        have, want = (hours_of(each, resource, at_ns) for each in (store, whole))
        assert have == want
        assert [hour for hour in hours_of(store, resource) if hour.hour_ns < at_ns] == sealed_hours
        if places[0] == places[1]:
            return


def test_what_is_sealed_is_recognised_or_too_late(store: Store) -> None:
    batches = [batch(sequence=number, at_ns=T + (number - 1) * 60 * SECOND, count=60) for number in range(1, 301) if number != 7]
    write(store, *batches)
    anonymous = batch(sequence=0, at_ns=T + 10 * SECOND, boot="other")
    write(store, anonymous)
    sweep(store)
    until_ns = T + 3 * HOUR_NS
    before = hours_of(store, "vm-1")
    assert seal(store, "vm-1", until_ns, limit=50)
    assert write(store, *batches[:20], *batches[-20:]) == ["repeated"] * 40
    assert store.usage.dirty() == []
    # The one that is missing arrives a year later, the anonymous one again: too late, and they change nothing.
    missing = batch(sequence=7, at_ns=T + 6 * 60 * SECOND, received_at_ns=T + 9000 * HOUR_NS)
    assert write(store, missing, anonymous) == ["stored", "stored"]
    assert write(store, missing, anonymous) == ["repeated", "repeated"]
    assert store.usage.dirty() == []
    assert hours_of(store, "vm-1") == before
    with store.read() as tx:
        assert tx.rows("SELECT first_sequence, last_sequence FROM batch_range ORDER BY 1") == [(1, 6), (8, 180)]
        assert tx.row("SELECT COUNT(*) FROM segment WHERE cell_ns < ?", (until_ns,)) == (0,)
        assert tx.row("SELECT COUNT(*) FROM payload") == (120 + 2,)
        assert tx.rows("SELECT state, COUNT(*) FROM batch GROUP BY state ORDER BY state") == [(0, 120), (1, 2)]
    # Neighbours across the seal: the next batch links from the point that is kept.
    assert store.retention.deleted_at(PLACE, "segment", 1, T) == 7
    assert store.retention.deleted_at(PLACE, "segment", 1, until_ns) is None


def test_nothing_is_sealed_while_an_hour_waits_or_something_changes(store: Store) -> None:
    write(store, batch())
    assert not seal(store, "vm-1", T + 2 * HOUR_NS)
    sweep(store)
    held = store.retention.held(PLACE, [1])[1]
    write(store, batch(sequence=2, at_ns=T + 3 * HOUR_NS))
    sweep(store)
    with store.write() as tx:
        assert not store.retention.seal(tx, PLACE, 1, T + HOUR_NS, held, {}, 0)
    assert seal(store, "vm-1", T + HOUR_NS)


def test_a_batch_over_the_edge_counts_from_there_on(store: Store) -> None:
    write(store, batch(sequence=1, at_ns=T, count=60))
    write(store, batch(sequence=9, at_ns=T + 5 * HOUR_NS, count=60))
    sweep(store)
    assert seal(store, "vm-1", T + HOUR_NS)
    over = batch(sequence=2, at_ns=T + HOUR_NS - 30 * SECOND, count=60, received_at_ns=T + 6 * HOUR_NS)
    assert write(store, over) == ["stored"]
    sweep(store)
    sealed, first = hours_of(store, "vm-1")[:2]
    assert (sealed.samples, first.samples) == (60, 30)
    with store.read() as tx:
        assert tx.rows("SELECT first_at_ns, last_at_ns, samples FROM late_batch") == [(T + HOUR_NS - 30 * SECOND, T + HOUR_NS - SECOND, 30)]


def test_the_last_point_of_a_block_is_its_last_sample() -> None:
    two = batch(count=2)
    assert two.first_at_ns // CELL_NS == two.last_at_ns // CELL_NS
    (records, _), (points, tails) = read_blocks([two.segments[0].block]), read_blocks([last_point(two.segments[0].block)])
    assert not tails
    assert points["first"][0].tolist() == points["last"][0].tolist() == records["last"][0].tolist()
    assert (points["mask"], points["peak"], points["area"].tolist()) == (records["mask"], records["last"][0][0], [[0, 0]])
