"""What a customer waits for its month: GetCustomerUsage over HTTP out of 1,000 resources x 720 hours, idle and while much is sent.

Another process asks, over one kept connection, one question at a time; the second time 100,000 samples a second come in beside it.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.closing import native_requests, offer_at
from bench.filled import MONTH_NS, PER_CUSTOMER, Filled, add_customers, copy_hours, copy_resources, filled_store
from bench.measure import line
from tallystick.app.jobs.days import Touched, Zones, write_days
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.access import Place
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.proto.billing.collector.v1 import query_pb2 as wire
from tests.keys import make_key
from tests.servers import ServerProcess

RESOURCES, HOURS = 1_000, 720
QUERIES = 300
REQUESTS_A_SECOND = 9
"""Of 20 batches of 600 samples: 108,000 samples a second."""
METHOD = "/billing.collector.v1.BillingQueryService/GetCustomerUsage"
MONTH = "2025-12"


def main() -> None:
    if sys.argv[1:2] == ["--ask"]:
        print(ask(int(sys.argv[2]), sys.argv[3], sys.argv[4]))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'tallystick.db'}"
        fill(folder)
        key, agent = make_key(url, "customer", customers=["customer-0007"]), make_key(url, "agent")
        with ServerProcess(folder) as server:
            whole = _asked(server.port, key, MONTH)
            line(
                "month_query_idle_p99_ms",
                whole,
                "ms",
                "GetCustomerUsage of a customer's month, 20 of 1,000 resources x 720 h, one at a time",
                10,
            )
            parts = _asked(server.port, key, "")
            line("month_so_far_p99_ms", parts, "ms", "the same of a span that is no month: from its days and the hours of the last", 40)
            requests = native_requests(60 * REQUESTS_A_SECOND)
            ending = threading.Event()
            sending = threading.Thread(target=offer_at, args=(server.port, agent, requests, REQUESTS_A_SECOND, ending))
            sending.start()
            time.sleep(1)
            loaded = _asked(server.port, key, MONTH)
            ending.set()
            sending.join()
    line("month_query_loaded_p99_ms", loaded, "ms", "the month while 100,000 samples/s are ingested", 100)


def fill(folder: Path) -> None:
    """A month of 720 stored hours of each resource, with their days and months, as the product makes them."""
    made = 20
    store = filled_store(folder, Filled(made, MONTH_NS))
    roll_up(store, DiskHorizon.CLOCK, MONTH_NS + HOUR_NS)
    copy_hours(store, MONTH_NS, range(MONTH_NS + HOUR_NS, MONTH_NS + HOURS * HOUR_NS, HOUR_NS))
    for resource in store.registry.resources(Place()):
        with store.write() as tx:
            owned = Zones.read(store, Place(), [resource.row], tx).owned(resource.id)
            span = {"from_ns": MONTH_NS, "until_ns": MONTH_NS + HOURS * HOUR_NS}
            write_days(tx, store, Place(), [Touched(resource_key=resource.row, resource_id=resource.id, owned=owned, exchanged={}, **span)])
    add_customers(store, range(1, RESOURCES // PER_CUSTOMER))
    copy_resources(store, made, RESOURCES)
    store.close()


def _asked(port: int, key: str, month: str) -> float:
    """The 99th percentile, ms, as another process measures it."""
    command = [sys.executable, "-m", "bench.queries", "--ask", str(port), key, month]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def ask(port: int, key: str, month: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"content-type": "application/proto", "authorization": f"Bearer {key}"}
    question = wire.GetCustomerUsageRequest(month=month)
    if not month:
        question.until.seconds = (MONTH_NS + HOURS * HOUR_NS - DAY_NS // 2) // 10**9
        getattr(question, "from").seconds = MONTH_NS // 10**9
    took = []
    for _ in range(QUERIES):
        began = time.perf_counter()
        connection.request("POST", METHOD, question.SerializeToString(), headers)
        reply = connection.getresponse()
        content = reply.read()
        took.append((time.perf_counter() - began) * 1e3)
        found = wire.GetCustomerUsageResponse.FromString(content)
        if reply.status != 200 or not found.meters:
            raise SystemExit(f"bench/queries.py: {reply.status} {content[:300]!r}")
    took = sorted(took[QUERIES // 10 :])
    print(f"p50 {took[len(took) // 2]:.2f} ms", file=sys.stderr)
    return took[len(took) * 99 // 100]


if __name__ == "__main__":
    main()
