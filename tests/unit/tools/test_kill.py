"""The kill test's own parts: its plan, its reader of spools, and that its verdict sees each kind of loss."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.spool import Spool
from tests.reference import scalar
from tools.bill import raw
from tools.kill import disk, verdict
from tools.kill.__main__ import VICTIMS
from tools.kill.host import COUNTERS, Guest
from tools.kill.ledger import Ledger, identity_of
from tools.kill.strikes import Phase, plan
from tools.streams import wire

INTERVAL_NS = 10**8
HOUR_NS = 3600 * 10**9
START_NS = 1_773_100_000 * 10**9
SPOOL = "ab" * 16


@pytest.mark.parametrize("store", VICTIMS)
def test_any_six_kills_have_every_phase_and_two_hundred_have_each_of_each(store: str) -> None:
    for seed in range(20):
        blows = list(plan(200, VICTIMS[store], random.Random(seed)))
        assert len(blows) == 200
        assert {blow.phase for blow in blows[:6]} == set(Phase)
        wanted = {(victim, phase) for victim in VICTIMS[store] for phase in Phase}
        assert {(blow.victim, blow.phase) for blow in blows} == wanted | {("worker", Phase.ELSEWHERE)}
        assert blows == list(plan(200, VICTIMS[store], random.Random(seed)))


def columns(first: int, count: int) -> dict[str, list[int]]:
    """Samples that rise by 7 in each interval, from the one with this number on."""
    numbers = range(first, first + count)
    return {
        "measured_at": [START_NS + number * INTERVAL_NS for number in numbers],
        "memory_bytes_used": [1000] * count,
        **{name: [500 + 7 * number for number in numbers] for name in COUNTERS},
    }


def batch(sequence: int, first: int, count: int = 2) -> pb.Batch:
    planes = wire.planes(columns(first, count), INTERVAL_NS)
    return pb.Batch(resource_id="vm", boot_id="b", spool_id=SPOOL, sequence=sequence, interval_ns=INTERVAL_NS, planes=planes)


class Ended:
    """A run of three batches of two samples that ended well, to be spoilt."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.batches = [batch(sequence, 2 * sequence - 2) for sequence in (1, 2, 3)]
        request = pb.SendRequest(batches=self.batches)
        assert self.ledger.send(request)
        self.ledger.answer(request, pb.SendResponse(batches=[pb.RecordOutcome(outcome=pb.OUTCOME_STORED)] * 3))
        self.stored = self.held(self.batches)
        self.told: dict[str, list[dict[str, Any]]] = {"usage": [self.hour()], "gaps": [], "findings": []}

    @staticmethod
    def held(batches: list[pb.Batch]) -> list[Any]:
        ledger = Ledger()
        ledger.send(pb.SendRequest(batches=batches))
        return [(identity_of(one), ledger.sent[identity_of(one)], one.interval_ns, one.planes) for one in batches]

    @staticmethod
    def hour() -> dict[str, Any]:
        result = scalar.usage_hours(
            [{"boot_id": "b", "received_at_ns": 0, "interval_ns": INTERVAL_NS, "columns": columns(0, 6)}], [], [], 0
        )
        meters = {meter: str(result.total(meter)) for meter in ("uptime", "memory.used", "cpu.used", "network.rx", "network.tx")}
        meters["network.io"] = str(int(meters["network.rx"]) + int(meters["network.tx"]))
        estimated = {"uptime": "0", "memory.used": "0"}
        return {"resource_id": "vm", "hour_start_ns": START_NS // HOUR_NS * HOUR_NS, "meters": meters, "estimated": estimated, "samples": 6}

    def lines(self) -> list[str]:
        host: Any = type("Host", (), {"guests": [Guest("vm", dict.fromkeys(COUNTERS, 535))]})
        return [
            *self.ledger.told,
            *verdict.batch_differences(self.ledger, self.stored),
            *verdict.usage_differences(self.ledger, [host], self.told, []),
            *verdict.sample_differences(self.ledger, self.stored),
        ]


def lose(run: Ended) -> None:
    del run.stored[1]


def double(run: Ended) -> None:
    run.stored.append(run.stored[0])


def change(run: Ended) -> None:
    run.stored[2] = run.held([batch(3, 5)])[0]


def invent(run: Ended) -> None:
    run.stored += run.held([batch(4, 6)])


def renumber(run: Ended) -> None:
    again = batch(4, 0)
    run.ledger.send(pb.SendRequest(batches=[again]))
    run.stored += run.held([again])


def lose_the_tail(run: Ended) -> None:
    run.ledger.find("host", disk.OnDisk(rows=[("vm", "b", INTERVAL_NS, columns(6, 1))]))


def send_with_other_content(run: Ended) -> None:
    run.ledger.send(pb.SendRequest(batches=[batch(3, 5)]))


def refuse(run: Ended) -> None:
    outcome = pb.RecordOutcome(outcome=pb.OUTCOME_CONFLICT)
    run.ledger.answer(pb.SendRequest(batches=run.batches[:1]), pb.SendResponse(batches=[outcome]))


def bill_a_unit_more(run: Ended) -> None:
    run.told["usage"][0]["meters"]["cpu.used"] = "36"


def hide_a_gap(run: Ended) -> None:
    late = batch(4, 60)
    run.ledger.send(pb.SendRequest(batches=[late]))
    run.stored += run.held([late])


def tell_a_gap(run: Ended) -> None:
    run.told["gaps"].append({"resource_id": "vm", "from_ns": START_NS, "until_ns": START_NS + HOUR_NS, "filled": "interpolated"})


def keep_aside(run: Ended) -> None:
    run.ledger.find("host", disk.OnDisk(quarantined=["damaged-tail-0000000001.spool-30.record"]))


SPOILT: dict[Callable[[Ended], None], str] = {
    lose: f"acknowledged and MISSING: vm b {SPOOL} 2",
    double: f"stored 2 times: vm b {SPOOL} 1",
    change: f"acknowledged and changed: vm b {SPOOL} 3",
    invent: f"stored as it was never sent: vm b {SPOOL} 4",
    renumber: f"sample in two batches: vm b {START_NS}",
    lose_the_tail: f"sample that was on a disk is MISSING: vm b {START_NS + 6 * INTERVAL_NS}",
    send_with_other_content: f"vm b {SPOOL} 3 was sent with two contents",
    refuse: "outcome OUTCOME_CONFLICT",
    bill_a_unit_more: "cpu.used: expected 35, found 36",
    hide_a_gap: "gap missing: vm",
    tell_a_gap: "gap extra: vm",
    keep_aside: "in the quarantine of its spool",
}


def test_a_run_that_ended_well_has_no_difference() -> None:
    assert Ended().lines() == []


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_each_kind_of_loss_is_told(spoil: Callable[[Ended], None]) -> None:
    run = Ended()
    spoil(run)
    assert any(SPOILT[spoil] in line for line in run.lines()), run.lines()


def test_a_spool_is_read_as_its_page_says(tmp_path: Path) -> None:
    spool = Spool(tmp_path, lambda: SPOOL)
    rows = array("q", [START_NS, 1000, 500, 0, 0, 0, 0, 7, 8, START_NS + INTERVAL_NS, 1000, 507, 0, 0, 0, 0, 9, 10])
    spool.batch("vm", "b", INTERVAL_NS, 0b110000111, rows, urgent=False)
    spool.tail(START_NS, START_NS, "boot", {}, [("vm", "b", INTERVAL_NS, 0b110000111, rows[:9].tobytes())], [("vm", "b", START_NS)])
    assert spool.flush(10)
    found = disk.read(tmp_path)
    (path,) = tmp_path.glob("batches-*.spool")
    with path.open("ab") as file:
        file.write(b"\xd7TS\x03torn")
    assert disk.read(tmp_path) == found
    spool.close()
    (one,) = found.batches
    assert identity_of(one) == ("vm", "b", SPOOL, 1)
    columns = {"measured_at": rows[::9], "memory_bytes_used": rows[1::9], "cpu_time_nanos": rows[2::9]}
    columns |= {"network_rx_bytes": rows[7::9], "network_tx_bytes": rows[8::9]}
    assert raw.decode(one.planes, INTERVAL_NS) == {name: list(values) for name, values in columns.items()}
    assert found.rows == [("vm", "b", INTERVAL_NS, {name: [values[0]] for name, values in columns.items()})]
