"""A server that is away for a day while agents measure: everything is billed once, and to the unit, when it is back.

    python -m tools.live.absence [--resources 200] [--hours 24] [--limit-mib MIB] [--bytes-per-second B]

The product's own spool is given the samples of so many resources at 10 Hz, in batches of a minute with a moved clock, faster than real
time, while no server answers. Then `tally serve` starts, and the product's own sender drains the spool while further minutes are measured.
`--limit-mib` bounds the spool, so that old batches are thinned. Every hour is compared with what the counters must have risen by, computed
from their law alone; there must be no gap, no number that never came, and no finding. Any difference is printed, the exit status is then 1.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tallystick.app.cli.client import Client
from tallystick.app.clock import RandomIds
from tallystick.model.samples import COLUMNS
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.connection import Connection, Failure
from tallystick.spool.retry import Retry
from tallystick.spool.sender import Pulse, Sender, SenderRules
from tallystick.spool.spool import Spool
from tools.live.fleet import Fleet, running
from tools.live.processes import BrokenError
from tools.replay import wait_computed
from tools.streams import usage

INTERVAL_NS = 10**8
A_BATCH = 600
MINUTE_NS = INTERVAL_NS * A_BATCH
HOUR_NS = 60 * MINUTE_NS
MIB = 2**20
FRESH_MINUTES = 5
"""So many minutes are measured after the server is back, at least, while the backlog drains."""
BOOT = "boot/1"
PATIENCE_SECONDS = 1800


@dataclass(slots=True)
class Law:
    """What a resource's counters and memory are at each tick: the same wave every minute, larger by what a minute adds."""

    steps: np.ndarray[Any, np.dtype[np.int64]] = field(init=False)
    waves: np.ndarray[Any, np.dtype[np.int64]] = field(init=False)

    def __post_init__(self) -> None:
        """Draw the wave, the same for ever."""
        chance = np.random.default_rng(4)
        steps = chance.integers(0, 4000, (A_BATCH, len(COLUMNS)))
        steps[:, 0], steps[:, 1] = INTERVAL_NS, 0
        waves = np.cumsum(steps, axis=0) - steps
        waves[:, 1] = 2**30 + 4096 * chance.integers(0, 50, A_BATCH)
        self.steps, self.waves = steps.sum(axis=0), waves

    def rows(self, began_ns: int, minute: int, resource: int) -> array[int]:
        """The samples of a minute of a resource."""
        base = self.steps * minute
        base[0] += began_ns
        base[1:] += resource * 1000
        rows = array("q")
        rows.frombytes((self.waves + base).astype("<i8").tobytes())
        return rows

    def used(self, column: int, first: int, last: int) -> int:
        """What a counter rises by between two ticks, counted from the beginning."""
        at = [int(self.steps[column]) * (tick // A_BATCH) + int(self.waves[tick % A_BATCH, column]) for tick in (first, last)]
        return at[1] - at[0]

    def held(self, first: int, last: int, resource: int) -> int:
        """Memory x time between two ticks, byte nanoseconds."""
        wave = [int(value) + resource * 1000 for value in self.waves[:, 1]]
        minutes, rest = divmod(last - first, A_BATCH)
        return INTERVAL_NS * (minutes * sum(wave) + sum(wave[(first + k) % A_BATCH] for k in range(rest)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """How many resources are measured for how many hours, and what the spool may hold; and what the server takes of a key (0: as usual)."""

    resources: int
    hours: int
    limit_bytes: int = 2**63
    bytes_per_second: int = 0


class Watched(Connection):
    """The product's connection, which notes what goes in which order: the first instant of each batch."""

    def __init__(self, endpoint: str, key: str) -> None:
        super().__init__(endpoint, lambda: key, "absence")
        self.sequences: dict[str, list[int]] = {}
        self.asked: list[float] = []
        self.thinned = self.requests = 0

    def send(self, body: bytes) -> pb.SendResponse | Failure:
        """Send it, and note what was taken."""
        answer = super().send(body)
        self.asked += [answer.retry_after_seconds or 0] if isinstance(answer, Failure) else []
        if isinstance(answer, pb.SendResponse):
            self.requests += 1
            for batch in pb.SendRequest.FromString(body).batches:
                self.sequences.setdefault(batch.resource_id, []).append(batch.sequence)
                self.thinned += batch.HasField("thinned")
        return answer


class Host:
    """A spool that is given minutes, one after the other."""

    def __init__(self, folder: Path, absence: Absence, began_ns: int) -> None:
        self.spool = Spool(folder / "spool", RandomIds().new_id, limit_bytes=absence.limit_bytes)
        self.absence, self.began_ns, self.law = absence, began_ns, Law()
        self.names = [f"vm-{number}" for number in range(absence.resources)]
        self.minutes = self.paused = 0

    @property
    def now_ns(self) -> int:
        """The end of the last minute."""
        return self.began_ns + self.minutes * MINUTE_NS

    def measure(self) -> None:
        """One minute of every resource, on disk when this returns; none of it while the spool asks for a pause, as the collector does."""
        is_paused = self.spool.is_stalled
        self.paused += is_paused
        for number, name in enumerate(self.names if not is_paused else ()):
            rows = self.law.rows(self.began_ns, self.minutes, number)
            since_ns = rows[0] - INTERVAL_NS if self.minutes else rows[0]
            self.spool.batch(name, BOOT, INTERVAL_NS, (1 << len(COLUMNS)) - 1, rows, urgent=False, since_ns=since_ns)
        self.minutes += 1
        self.spool.tail(self.now_ns, 0, "boot", None, [])
        until = time.monotonic() + PATIENCE_SECONDS
        while self.spool.is_behind:
            if time.monotonic() > until:
                raise BrokenError(f"the spool does not write any more: {self.spool.counts}")
            time.sleep(0.001)

    def sender(self, connection: Connection) -> Sender:
        """The product's sender, as the agent makes it."""
        rules = SenderRules(
            instance_id="host-1",
            heartbeat_seconds=30.0,
            linger_seconds=0.2,
            monotonic=time.monotonic,
            now_ns=lambda: self.now_ns,
        )
        return Sender(
            backlog=self.spool.backlog,
            quarantine=self.spool.quarantine,
            connection=connection,
            retry=Retry(lambda: 0.5),
            rules=rules,
            pulse=lambda: Pulse(
                active_resources=tuple(self.names),
                now_ns=self.now_ns,
                handed_over_until_ns=self.now_ns - INTERVAL_NS,
                missed_ticks=0,
                thinned_batches=self.spool.thinner.thinned,
            ),
            command=lambda command: False,
        )


def drain(host: Host, fleet: Fleet, connection: Watched) -> int:
    """Send everything while further minutes are measured, one for each part of the backlog that went; how many."""
    sender, fresh = host.sender(connection), 0
    backlog = host.spool.backlog
    until = time.monotonic() + PATIENCE_SECONDS
    part = max(1, backlog.depth() // FRESH_MINUTES)
    left = backlog.depth()
    sender.start()
    while backlog.waiting():
        if backlog.depth() <= left - part or fresh < FRESH_MINUTES:
            left = min(left, backlog.depth())
            fleet.advance(host.now_ns + MINUTE_NS)
            host.measure()
            fresh += 1
        time.sleep(0.01)
        if time.monotonic() > until:
            raise BrokenError(f"{backlog.depth()} batches still wait\n{fleet.tails()}")
    fleet.advance(host.now_ns + MINUTE_NS)
    host.measure()
    sender.stop(10)
    return fresh + 1


def wanted(host: Host) -> Iterator[dict[str, Any]]:
    """The usage hours that there must be, of every resource."""
    last = host.minutes * A_BATCH - 1
    for number, name in enumerate(host.names):
        for first in range(0, last, HOUR_NS // INTERVAL_NS):
            until = min(last, first + HOUR_NS // INTERVAL_NS)
            risen = {column: host.law.used(index, first, until) for index, column in enumerate(COLUMNS)}
            yield {
                "resource_id": name,
                "hour_start_ns": host.began_ns + first * INTERVAL_NS,
                "samples": until - first + (until == last),
                "cpu.used": risen["cpu_time_nanos"],
                "memory.used": host.law.held(first, until, number),
                "disk.read": risen["disk_read_bytes"],
                "disk.write": risen["disk_write_bytes"],
                "disk.ops": risen["disk_read_ops"] + risen["disk_write_ops"],
                "network.rx": risen["network_rx_bytes"],
                "network.tx": risen["network_tx_bytes"],
                "uptime": (until - first) * INTERVAL_NS,
            }


def differences(host: Host, client: Client, connection: Watched) -> list[str]:
    """Everything that is not as it must be."""
    found = usage.everything(client)
    told = hour_differences(host, found) if not host.paused else total_differences(host, found)
    told += [f"a finding: {finding}" for finding in found["findings"]]
    told += [f"a number that never came: {missing}" for missing in usage.missing(client)]
    batches = host.minutes - host.paused
    for name, sequences in connection.sequences.items():
        if sequences != list(range(1, batches + 1)):
            told.append(f"{name}: sent out of order or twice: {len(sequences)} of {batches} batches")
    if host.spool.quarantine.damaged or host.spool.quarantine.refused:
        told.append(f"{host.spool.quarantine.damaged} damaged, {host.spool.quarantine.refused} refused")
    is_warned = any("thinned" in warning for agent in client.pages("/v1/agents", usage.ALL) for warning in agent["warnings"])
    if is_warned != (connection.thinned > 0):
        told.append(f"{connection.thinned} batches arrived thinned, and the server's warning of it is {is_warned}")
    if host.spool.thinner.thinned != connection.thinned:
        told.append(f"{host.spool.thinner.thinned} batches were thinned, {connection.thinned} arrived so")
    return told


def total_differences(host: Host, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """After a pause: what differs in all that the counters rose by, and pauses that are not told as a gap."""
    told = []
    meters = {"cpu.used": "cpu_time_nanos", "disk.read": "disk_read_bytes", "network.tx": "network_tx_bytes"}
    for name in host.names:
        for meter, column in meters.items():
            total = sum(int(hour["meters"][meter]) for hour in found["usage"] if hour["resource_id"] == name)
            must_be = host.law.used(COLUMNS.index(column), 0, host.minutes * A_BATCH - 1)
            if total != must_be:
                told.append(f"{name} {meter}: {total} in all, must be {must_be}")
        silent_ns = sum(gap["until_ns"] - gap["from_ns"] for gap in found["gaps"] if gap["resource_id"] == name)
        if silent_ns < host.paused * MINUTE_NS:
            told.append(f"{name}: {silent_ns} ns told as gaps, {host.paused} minutes were paused")
    return told


def hour_differences(host: Host, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Hours that are not to the unit what they must be, and gaps."""
    hours = {(hour["resource_id"], hour["hour_start_ns"]): hour for hour in found["usage"]}
    told = []
    for expected in wanted(host):
        hour = hours.pop((expected["resource_id"], expected["hour_start_ns"]), None)
        amounts = {} if hour is None else {**hour["meters"], "samples": hour["samples"]}
        told += [
            f"{expected['resource_id']} {expected['hour_start_ns']} {meter}: {amounts.get(meter)}, must be {amount}"
            for meter, amount in expected.items()
            if meter not in ("resource_id", "hour_start_ns") and int(amounts.get(meter, -1)) != amount
        ]
    told += [f"an hour that was never measured: {key}" for key in hours]
    told += [f"a gap: {gap}" for gap in found["gaps"]]
    return told


def live_through(folder: Path, absence: Absence, say: Callable[[str], None]) -> list[str]:
    """One absence and the return; every difference at the end."""
    began_ns = time.time_ns() // HOUR_NS * HOUR_NS - (absence.hours + 1) * HOUR_NS
    host = Host(folder, absence, began_ns)
    began = time.monotonic()
    for _ in range(absence.hours * 60):
        host.measure()
    took, depth = time.monotonic() - began, host.spool.backlog.depth()
    size, thinned = host.spool.backlog.size_bytes(), host.spool.thinner.thinned
    samples = depth * A_BATCH
    say(f"{depth} batches, {samples} samples of {absence.hours} h in {took:.1f} s, {absence.hours * 3600 / took:.0f} times real time")
    say(f"{size / MIB:.1f} MiB on disk, {thinned} batches thinned, ticks paused for {host.paused} minutes")
    store_url, now_ns = f"sqlite:///{folder / 'tallystick.db'}", host.now_ns + MINUTE_NS
    limited = {"TALLY_KEY_BYTES_PER_SECOND": str(absence.bytes_per_second)} if absence.bytes_per_second else None
    with running(folder, store_url, 1, now_ns, settings=limited) as fleet:
        member = fleet.members[0]
        connection = Watched(member.url, fleet.key)
        client = fleet.client()
        began = time.monotonic()
        fresh = drain(host, fleet, connection)
        took = time.monotonic() - began
        say(f"drained in {took:.1f} s with {fresh} minutes more measured meanwhile: {samples / took:.0f} samples a second")
        say(f"{connection.requests} requests; {len(connection.asked)} were refused for now, to wait {sum(connection.asked):.0f} s in all")
        wait_computed(fleet, client)
        found = differences(host, client, connection)
        hours = sum(1 for _ in wanted(host))
        say(f"{hours} hours compared, {connection.thinned} batches arrived thinned, {len(found)} differences")
    host.spool.close()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """One absence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=200)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--limit-mib", type=int, help="what the spool may hold; beyond it old batches are thinned")
    parser.add_argument("--bytes-per-second", type=int, default=0, help="what the server takes of the agent's key in a second")
    parser.add_argument("--folder", type=Path, help="where spool and store are made; a temporary one by default")
    options = parser.parse_args(arguments)
    logging.basicConfig(level="ERROR", format="%(message)s")
    absence = Absence(
        resources=options.resources,
        hours=options.hours,
        limit_bytes=options.limit_mib * MIB if options.limit_mib else 2**63,
        bytes_per_second=options.bytes_per_second,
    )
    with tempfile.TemporaryDirectory(prefix="tallystick-absence-", dir=options.folder) as name:
        try:
            found = live_through(Path(name), absence, lambda line: print(line, flush=True))
        except BrokenError as error:
            print(f"absence: {error}", file=sys.stderr)
            return 1
    for line in found[:30]:
        print(line)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
