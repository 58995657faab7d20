"""What ingest keeps of its pace while a worker rolls up and closes periods without pause, all of them writing one SQLite file.

A real server is offered 600,000 samples a second over HTTP (50 requests a second of 20 batches of 600), first alone, then beside the
worker. Kept is what was acknowledged in the same time, in percent of what it was alone. Commit is the product's own metric: to decode,
fold and durably store a group of requests, with the wait for its turn.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bench.filled import MONTH_NS, PLACE, Filled, copy_hours, filled_store
from bench.measure import Connection, line
from bench.streams import INTERVAL_NS, PER_BATCH, streams
from tallystick.app.answers.services import activate_book, add_book, subscribe
from tallystick.app.clock import RandomIds, SystemClock
from tallystick.app.jobs.closing import _close, _due_of
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.meter.planes import encode
from tallystick.meter.samples import Samples
from tallystick.model.billing.contracts import Subscription
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.model.samples import ALL_COLUMNS_MASK
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.store.store import open_store
from tests.keys import make_key
from tests.servers import ServerProcess

SECONDS = 10
REQUESTS_A_SECOND = 50
BATCHES = 20
VMS = 200
CONNECTIONS = 8
CUSTOMERS, RESOURCES = 100, 2000
SEND = "/tallystick.v1.IngestService/Send"
BOOK = """
book: hourly
effective_from: 2025-12-01T00:00:00Z
plans:
  - id: hourly
    currency: EUR
    cycle: {unit: hour}
    charges:
      - {id: cpu, meter: cpu.used, per: core-hour, price: 0.05}
      - {id: memory, meter: memory.used, per: GiB-hour, price: 0.01}
      - {id: machine, meter: uptime, per: hour, price: 0.02}
"""
FIRST_NS = MONTH_NS + 2 * DAY_NS
"""Customers have three days of usage, so 72 periods of an hour each; what is ingested meanwhile is a day later."""


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], sys.argv[3])
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'tallystick.db'}"
        fill(folder)
        key = make_key(url, "agent")
        requests = native_requests(2 * SECONDS * REQUESTS_A_SECOND)
        half = len(requests) // 2
        with ServerProcess(folder) as server:
            offer(server.port, key, requests[:REQUESTS_A_SECOND])
            first = _buckets(server)
            alone = offer(server.port, key, requests[REQUESTS_A_SECOND:half])
            before = _buckets(server)
            with subprocess.Popen(
                [sys.executable, "-m", "bench.closing", "--work", url, str(folder / "end")], stdout=subprocess.PIPE
            ) as worker:
                assert worker.stdout is not None
                worker.stdout.readline()
                beside = offer(server.port, key, requests[half : 2 * half - REQUESTS_A_SECOND])
                (folder / "end").touch()
                print(f"the worker: {worker.stdout.read().decode().strip()}", file=sys.stderr)
            after = _buckets(server)
    print(f"alone {alone:,.0f} samples/s, beside the worker {beside:,.0f} samples/s", file=sys.stderr)
    print(f"commit p99 alone {_p99_ms(first, before):.1f} ms", file=sys.stderr)
    what = "samples/s kept while a worker rolls up and closes, of those without it, offered 600,000"
    line("write_share_while_closing_percent", 100 * beside / alone, "%", what, 95)
    line("commit_p99_while_closing_ms", _p99_ms(before, after), "ms", "of 100 groups of requests 99 are stored in less", 25)
    line("ingest_offered_alone_samples_per_s", alone, "samples/s", "acknowledged without a worker, of 600,000 offered", 600_000)


def fill(folder: Path) -> None:
    """Customers that are billed by the hour and whose hours are all computed, so that there is always a period to close."""
    store = filled_store(folder, Filled(RESOURCES, FIRST_NS))
    roll_up(store, DiskHorizon.CLOCK, FIRST_NS + HOUR_NS)
    copy_hours(store, FIRST_NS, range(FIRST_NS + HOUR_NS, FIRST_NS + 3 * DAY_NS, HOUR_NS))
    add_book(store, PLACE, "bench", BOOK)
    activate_book(store, PLACE, "bench", "hourly", 1)
    for number in range(CUSTOMERS):
        subscribe(
            store,
            PLACE,
            "bench",
            Subscription(
                id=f"s-{number}", customer_id=f"customer-{number:04d}", plan_id="hourly", start_ns=FIRST_NS, end_ns=FIRST_NS + 3 * DAY_NS
            ),
        )
    store.close()


def work(url: str, end: str) -> None:
    """Roll up and close without pause until a file appears; tells how much it did."""
    clock, ids = SystemClock(), RandomIds()
    store = open_store(url, clock)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    hours = closed = 0
    while not Path(end).exists():
        for number in range(CUSTOMERS):
            runs = _due_of(store, PLACE, f"customer-{number:04d}", clock.now_ns())[:8]
            hours += roll_up(store, DiskHorizon.CLOCK, clock.now_ns())
            closed += sum(_close(store, PLACE, run, clock, ids, "bench") is not None for run in runs)
            if Path(end).exists():
                break
    sys.stdout.write(f"{hours} hours computed, {closed} periods closed\n")
    store.close()


def native_requests(count: int) -> list[bytes]:
    """Requests of 20 batches: minute by minute, each VM's."""
    minutes = count * BATCHES // VMS + 1
    sent = {each.minute: each for each in streams(1, minutes, seed=5)}
    packed = {}
    for minute, each in sent.items():
        values = each.values.copy()
        values[0] += MONTH_NS + 10 * DAY_NS - int(sent[0].values[0, 0])
        packed[minute] = encode(Samples(values=values, mask=ALL_COLUMNS_MASK, interval_ns=INTERVAL_NS))
    batches = [
        wire.Batch(
            resource_id=f"in-{vm:04d}",
            boot_id="boot",
            spool_id="spool",
            sequence=minute + 1,
            interval_ns=INTERVAL_NS,
            planes=packed[minute],
        )
        for minute in range(minutes)
        for vm in range(VMS)
    ]
    return [wire.SendRequest(batches=batches[at * BATCHES : (at + 1) * BATCHES]).SerializeToString() for at in range(count)]


def offer(port: int, key: str, requests: Sequence[bytes]) -> float:
    """Send them at the pace that is offered; how many samples a second were acknowledged."""
    begin = time.monotonic()
    offer_at(port, key, requests, REQUESTS_A_SECOND, threading.Event())
    return len(requests) * BATCHES * PER_BATCH / (time.monotonic() - begin)


def offer_at(port: int, key: str, requests: Sequence[bytes], requests_a_second: int, ending: threading.Event) -> None:
    """Send them, so many a second, over several connections, until all are acknowledged or the end is told."""
    begin = time.monotonic()
    failures: list[str] = []

    def run(first: int) -> None:
        connection = Connection(port, SEND, key)
        for place in range(first, len(requests), CONNECTIONS):
            if ending.wait(max(0.0, begin + place / requests_a_second - time.monotonic())):
                return
            status, reply = connection.post(requests[place])
            if status != 200:
                failures.append(f"{status} {reply[:300]!r}")
                return

    threads = [threading.Thread(target=run, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"bench/closing.py: a request failed: {failures[0]}")


def _buckets(server: ServerProcess) -> list[tuple[float, float]]:
    """How many commits took at most so many seconds."""
    page = server.call("GET", "/metrics").body.decode()
    found = re.findall(r'^tally_ingest_commit_duration_seconds_bucket\{le="([^"]+)"\} ([0-9.e+]+)$', page, re.MULTILINE)
    return [(float(limit), float(count)) for limit, count in found]


def _p99_ms(before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]) -> float:
    """The 99th percentile between two scrapes, straight inside its bucket."""
    counts = [(limit, count - was) for (limit, count), (_, was) in zip(after, before, strict=True)]
    wanted = counts[-1][1] * 0.99
    low, below = 0.0, 0.0
    for limit, count in counts:
        if count >= wanted:
            return 1e3 * (low + (limit - low) * (wanted - below) / max(count - below, 1))
        low, below = limit, count
    raise SystemExit("bench/closing.py: no commit was counted")


if __name__ == "__main__":
    main()
