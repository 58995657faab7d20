"""Records and facts that reach into sealed hours are stored, change nothing there, and are told of: none disappears in silence."""

from __future__ import annotations

from tallystick.model.findings import Severity
from tallystick.model.instants import HOUR_NS, MINUTE_NS, iso
from tallystick.model.outcomes import Outcome
from tallystick.model.resources import Fact, Origin
from tallystick.store.store import Store
from tests.contract.records.test_usage_records import outcomes, record
from tests.contract.retention.test_sealing import hours_of, seal
from tests.contract.rows import PLACE, T, batch, sweep, write

SEAL = T + 2 * HOUR_NS


def sealed_machine(store: Store) -> None:
    """A machine whose first two hours are sealed."""
    write(store, batch("pod-1", 1, T), batch("pod-1", 2, T + 3 * HOUR_NS))
    sweep(store)
    assert seal(store, "pod-1", SEAL)


def told(store: Store) -> list[tuple[str, int | None, str, str]]:
    found = [finding for _, finding in store.usage.findings(PLACE) if finding.code.value.endswith("_too_late")]
    assert all(each.severity is Severity.WARNING for each in found)
    return [(each.code.value, each.at_ns, each.record, each.detail) for each in found]


def test_a_record_in_sealed_hours_is_told_of_once(store: Store) -> None:
    sealed_machine(store)
    before = hours_of(store, "pod-1")
    late, instant = record(1, T), record(2, T + MINUTE_NS, T + MINUTE_NS, amount=7)
    assert outcomes(store, late, instant, late) == ["stored", "stored", "repeated"]
    assert outcomes(store, late) == ["repeated"]
    sweep(store)
    assert hours_of(store, "pod-1") == before
    end = f"lie before {iso(SEAL)}, in sealed hours: not counted there"
    assert told(store) == [
        ("record_too_late", T + MINUTE_NS, "exporter/r-2/network.rx", f"network.rx: 7 of 7 {end}"),
        ("record_too_late", T, "exporter/r-1/network.rx", f"network.rx: 1000 of 1000 {end}"),
    ]


def test_what_is_told_and_what_is_counted_are_the_whole(store: Store) -> None:
    sealed_machine(store)
    over = record(1, SEAL - 50 * MINUTE_NS, SEAL + 25 * MINUTE_NS, meter="http.requests", amount=1001)
    after = record(2, SEAL, meter="http.requests", amount=5)
    assert outcomes(store, over, after) == ["stored", "stored"]
    sweep(store)
    ((_, at_ns, name, detail),) = told(store)
    assert (at_ns, name) == (over.from_ns, "exporter/r-1/http.requests")
    assert detail.startswith("http.requests: 667 of 1001 lie before ")
    assert sum(hour.total("http.requests") or 0 for hour in hours_of(store, "pod-1")) == 1001 - 667 + 5


def test_a_fact_in_sealed_hours_is_told_of_once(store: Store) -> None:
    sealed_machine(store)
    size = Fact(resource_id="pod-1", at_ns=T, received_at_ns=SEAL, vcpus=2, memory_bytes=5)
    owner = Fact(resource_id="pod-1", at_ns=SEAL - 1, received_at_ns=SEAL, origin=Origin.PERSON, customer_id="acme")
    name = Fact(resource_id="pod-1", at_ns=T + 1, received_at_ns=SEAL, name="web")
    after = Fact(resource_id="pod-1", at_ns=SEAL, received_at_ns=SEAL, vcpus=3)
    for outcome in (Outcome.STORED, Outcome.REPEATED):
        with store.write() as tx:
            results = store.batches.write_facts(tx, PLACE, [size, owner, name, after])
        assert {each.outcome for each in results} == {outcome}
    found = [(code, at_ns, record.partition("/")[0], detail.partition(":")[0]) for code, at_ns, record, detail in told(store)]
    assert found == [
        ("fact_too_late", SEAL - 1, Origin.PERSON.value, "customer_id"),
        ("fact_too_late", T, Origin.AGENT.value, "vcpus, memory_bytes"),
    ]
