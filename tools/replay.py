"""Replay a folder of samples through a real server, and write the usage that it makes of them.

    python -m tools.replay --samples DIR --out usage.json [--store sqlite|postgresql]

starts `tally serve` with an empty database and a clock that follows `received_at_ns`, sends deliveries, notices and sizes in
the order of their reception over HTTP in the native protocol, waits until every hour is computed, and writes usage hours and
days in the shape of truth.json. Where truth.json is there, outcomes, gaps and findings are compared with it as well
(`generate.py --check` compares hours and days): any difference is printed, and the exit status is then not 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tallystick.app.cli.client import Client, RefusedError
from tools.live.processes import BrokenError, Process, free_port, wait_ready
from tools.streams import compare, usage
from tools.streams.delivery import Delivery, Sender, deliveries, set_clock, told

COMPUTED_SECONDS = 600
"""How long all hours may take after the last delivery."""
HOST = "127.0.0.1"


@contextmanager
def server(folder: Path, store_url: str | None, began_ns: int) -> Iterator[tuple[Process, Client, Path]]:
    """A server with an empty database, a client with its admin key, and the file that its clock reads."""
    clock_file = folder / "clock"
    set_clock(clock_file, began_ns)
    port = free_port()
    environment = {
        "TALLY_STATE_DIR": str(folder / "state"),
        "TALLY_LISTEN": f"{HOST}:{port}",
        "TALLY_CLOCK_FILE": str(clock_file),
        "TALLY_DISK_HORIZON": "resource",
        "TALLY_LOG_LEVEL": "warning",
        "TALLY_CLOSING_INTERVAL_MS": "3600000",  # usage is what is looked at, no invoices
        "TALLY_INGEST_GROUP_MS": "0",  # one request at a time: there is nothing to wait for
        **({"TALLY_STORE_URL": store_url} if store_url else {}),
    }
    process = Process("server", ["serve"], environment, folder)
    made = subprocess.run(
        [sys.executable, "-m", "tallystick", "init"], env=process.environment, capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise BrokenError(f"tally init failed\n{made.stdout}{made.stderr}")
    process.start()
    try:
        url = f"http://{HOST}:{port}"
        wait_ready(process, url)
        yield process, Client(url, (folder / "state" / "admin.key").read_text().strip()), clock_file
    finally:
        process.stop()


def send_all(client: Client, clock_file: Path, wanted: list[Delivery]) -> list[dict[str, Any]]:
    """Send every delivery at its instant; the outcome of each line of samples.jsonl, in its order."""
    host, _, port = client.url.removeprefix("http://").partition(":")
    sender = Sender(host, int(port), client.key, clock_file)
    outcomes: dict[int, dict[str, Any]] = {}
    for delivery in wanted:
        response = sender.send(delivery)
        if delivery.line is not None:
            outcomes[delivery.line] = told(response.batches[0])
    return [outcomes[line] for line in sorted(outcomes)]


def make_customers(client: Client, folder: Path) -> None:
    """The customers of customers.json, each in its time zone."""
    zones = json.loads((folder / "customers.json").read_text())
    for customer_id, customer in zones.items():
        client.post("/v1/customers", {"id": customer_id, "name": customer_id, "time_zone": customer["timezone"]})


def wait_computed(process: Process, client: Client) -> None:
    """Until no hour waits to be computed.

    Raises:
        BrokenError: the server ended, or the hours took too long.

    """
    until = time.monotonic() + COMPUTED_SECONDS
    while waiting := client.get("/v1/status")["hours_waiting"]:
        if not process.running:
            raise BrokenError(f"the server ended\n{process.tail()}")
        if time.monotonic() > until:
            raise BrokenError(f"{waiting} hours are not computed after {COMPUTED_SECONDS} s\n{process.tail()}")
        time.sleep(0.2)


def replay(samples: Path, out: Path, store_url: str | None = None) -> list[str]:
    """Replay one folder, write `out`, and tell every difference in outcomes, gaps and findings from its truth.json."""
    began = time.monotonic()
    wanted, left_out = deliveries(samples)
    with tempfile.TemporaryDirectory(prefix="tallystick-replay-") as folder:
        first_ns = wanted[0].received_at_ns if wanted else 0
        with server(Path(folder), store_url, first_ns) as (process, client, clock_file):
            make_customers(client, samples)
            try:
                outcomes = send_all(client, clock_file, wanted)
                sent = time.monotonic()
                wait_computed(process, client)
                computed = time.monotonic()
                result = usage.everything(client)
            except (OSError, RuntimeError, RefusedError) as error:
                raise BrokenError(f"{error}\n{process.tail()}") from None
    out.write_text(json.dumps({"usage": result["usage"], "days": result["days"]}, indent=1) + "\n")
    beats = f", {left_out} heartbeats left out that a later one superseded before anything else came" if left_out else ""
    print(
        f"{len(wanted)} requests in {sent - began:.1f} s{beats}; hours after {computed - sent:.1f} s more: "
        f"{len(result['usage'])} hours, {len(result['days'])} days, {len(result['gaps'])} gaps, {len(result['findings'])} findings"
    )
    truth_file = samples / "truth.json"
    if not truth_file.exists():
        return []
    truth = json.loads(truth_file.read_text())
    return [
        *compare.outcome_differences(truth, outcomes),
        *compare.gap_differences(truth, result["gaps"]),
        *compare.finding_differences(truth, result["findings"]),
    ]


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL with an empty database, started as the tests start theirs."""
    from tests.stores import postgresql_database  # noqa: PLC0415 - only this way in needs it

    with postgresql_database() as url:
        yield url


def main() -> int:
    """Replay one folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True, help="folder made by the generator")
    parser.add_argument("--out", type=Path, required=True, help="where usage hours and days are written")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    if not (options.samples / "samples.jsonl").is_file():
        parser.error(f"--samples {options.samples}: no samples.jsonl there")
    try:
        with postgresql() if options.store == "postgresql" else nullcontext() as url:
            differences = replay(options.samples, options.out, url)
    except BrokenError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    for line in compare.shortened(differences):
        print(line)
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())
