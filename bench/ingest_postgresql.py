"""What it costs to take samples in on PostgreSQL: CPU of the server's processes and of the database's together.

Prints a JSON line. PostgreSQL is a server of its own on this machine, started as the tests start it, with durable commits.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.measure import line
from bench.streams import NATIVE_PATH, PER_BATCH, cost, distinct_samples, native_requests, send_all, streams
from tallystick.store.store import migrate
from tests.keys import make_key
from tests.servers import ServerProcess
from tests.stores import start_postgres

NATIVE = (50, 30)
"""Resources and minutes: 900,000 samples."""


def main() -> None:
    """Byte planes, 20 batches a request over 4 connections."""
    sent = streams(*NATIVE, seed=1)
    requests = native_requests(sent)
    postgres = start_postgres()
    try:
        url = postgres.new_database()
        migrate(url)
        key = make_key(url, "agent")
        with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder) / "state", {"TALLY_STORE_URL": url}) as server:
            send_all(server.port, NATIVE_PATH, key, native_requests(streams(2, 2, seed=3), prefix="warm"))
            before = postgres.database_bytes(url)
            value = cost(server, NATIVE_PATH, key, requests, len(sent) * PER_BATCH, database=postgres.pid)
            stored = (postgres.database_bytes(url) - before) / distinct_samples(sent)
    finally:
        postgres.stop()
    what = f"native protocol, PostgreSQL, 20 batches of 600 a request, server and database together; {stored:.1f} bytes a sample"
    line("ingest_native_postgresql", value, "CPU-s/million samples", what, 0.55)


if __name__ == "__main__":
    main()
