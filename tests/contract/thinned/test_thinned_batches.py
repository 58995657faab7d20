"""Thinned batches on every database: stored as their segments, once, with the same usage as their samples, and nothing to complain of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.app.answers.conflicts import resolve_conflict
from tallystick.app.check import check_store
from tallystick.app.jobs.failures import Failures
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.instants import HOUR_NS
from tallystick.model.timeline import StorableBatch
from tallystick.serve.problems import Problem
from tallystick.store.store import Store
from tests.contract.rows import PLACE, SECOND, T, batch, dirty_hours, thin_of, write

END = T + 100 * HOUR_NS


def stream(resource: str) -> list[StorableBatch]:
    """Two hours with a silence, a restart and a batch that comes late."""
    made = [batch(resource, sequence, T + 600 * SECOND * sequence, 500) for sequence in range(1, 9) if sequence != 4]
    made.append(batch(resource, 1, T + 6600 * SECOND, 300, boot="next"))
    return [*made, batch(resource, 4, T + 2400 * SECOND, 500, received_at_ns=END)]


def test_the_same_usage_as_with_the_samples_and_nothing_to_complain_of(store: Store) -> None:
    assert {*write(store, *stream("whole"))} == {"stored"}
    assert {*write(store, *map(thin_of, stream("thin")))} == {"stored"}
    mixed = [one if number % 2 else thin_of(one) for number, one in enumerate(stream("mixed"))]
    assert {*write(store, *mixed)} == {"stored"}
    roll_up(store, DiskHorizon.CLOCK, END)
    keys = {one.id: one.row for one in store.registry.resources(PLACE)}
    found = {
        name: [replace(hour, resource_id="") for _, hour in store.usage.hours(PLACE, resource_keys=[key])] for name, key in keys.items()
    }
    assert len(found["whole"]) > 1
    assert found["thin"] == found["mixed"] == found["whole"]
    gaps = {name: [replace(gap, resource_id="") for _, gap in store.usage.gaps(PLACE, resource_keys=[key])] for name, key in keys.items()}
    assert gaps["thin"] == gaps["mixed"] == gaps["whole"] != []
    assert check_store(store, DiskHorizon.CLOCK, END).differences == ()
    with store.read() as tx:
        states = tx.rows(
            "SELECT b.state, COUNT(*), COUNT(p.batch_key) FROM batch b LEFT JOIN payload p ON p.batch_key = b.batch_key GROUP BY b.state"
        )
    assert sorted(map(tuple, states)) == [(0, 13, 13), (2, 14, 0)]


@pytest.mark.parametrize("first_thinned", [True, False])
def test_a_batch_and_its_thinned_form_are_one(store: Store, first_thinned: bool) -> None:
    sent = batch()
    forms = [thin_of(sent), sent] if first_thinned else [sent, thin_of(sent)]
    assert [write(store, form) for form in (*forms, *forms)] == [["stored"], ["repeated"], ["repeated"], ["repeated"]]
    assert write(store, thin_of(batch(level=7))) == ["conflict"]
    (kept,) = store.conflicts.list(PLACE)
    assert kept.body == b"claim"
    assert kept.is_thinned
    with pytest.raises(Problem, match="thinned"):
        resolve_conflict(store, PLACE, "key", kept.row, takes_sent=True, reason="why")
    assert resolve_conflict(store, PLACE, "key", kept.row, takes_sent=False, reason="why").state == "kept"


@pytest.mark.parametrize(("first_s", "second_s"), [(30, 0), (0, 30)])
def test_thinned_batches_that_overlap_leave_no_hour_behind(store: Store, first_s: int, second_s: int) -> None:
    """Two agents saw one span, and both had a full disk: the boot begins, or ends, in the batch of which only the ends are known."""
    sent = [
        thin_of(batch("vm-1", 1, T + at_s * SECOND, 60, spool=f"spool-{place}", received_at_ns=T + HOUR_NS + place))
        for place, at_s in enumerate((first_s, second_s))
    ]
    assert {*write(store, *sent, batch("vm-2"))} == {"stored"}
    failures = Failures()
    assert roll_up(store, DiskHorizon.CLOCK, END, failures) == 2
    assert len(failures) == 0
    assert dirty_hours(store) == {}
    (row,) = (one.row for one in store.registry.resources(PLACE) if one.id == "vm-1")
    ((_, hour),) = store.usage.hours(PLACE, resource_keys=[row])
    assert (hour.total("uptime"), hour.total("memory.used")) == (89 * SECOND, 89_000 * SECOND)
    assert [str(finding.code) for _, finding in store.usage.findings(PLACE)].count("samples_gone") == 1
    assert check_store(store, DiskHorizon.CLOCK, END).differences == ()
