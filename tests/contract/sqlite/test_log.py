"""SQLite's log while there are commits without pause: it stays short, no commit has to move it, and it is cut when there is time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallystick.app.serving import log as serving
from tallystick.store.service import log as moving
from tallystick.store.store import Store, open_store
from tests.contract.conftest import StandingClock
from tests.stores import migrated_database

ROOT = Path(__file__).parents[3]
PAGE_BYTES = 8192
LONG_PAGES = 100
WRITE = "INSERT INTO stuff (octets) VALUES (zeroblob(20000))"
WORKER = f"""
import sys
from tests.contract.conftest import StandingClock
from tallystick.store.store import open_store
store = open_store(sys.argv[1], StandingClock())
print("ready", flush=True)
while True:
    with store.write() as tx:
        tx.run("{WRITE}")
    with store.read() as tx:
        tx.rows("SELECT count(*) FROM stuff")
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with migrated_database("sqlite", tmp_path) as url:
        found = open_store(url, StandingClock(), server=True)
        with found.write() as tx:
            tx.run("CREATE TABLE stuff (octets BLOB)")
        found.log.shorten()
        yield found
        found.close()


def url_of(store: Store) -> str:
    return store.name.replace("sqlite+pysqlite", "sqlite")


def log_bytes(store: Store) -> int:
    path = Path(url_of(store).removeprefix("sqlite:///") + "-wal")
    return path.stat().st_size if path.exists() else 0


def write(store: Store, times: int) -> None:
    for _ in range(times):
        with store.write() as tx:
            tx.run(WRITE)


def until(holds: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 10
    while time.monotonic() < limit and not holds():
        time.sleep(0.01)
    return holds()


def test_the_log_stays_short_beside_a_worker_that_never_pauses(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some 4,000 pages are written. Each move finds what was written since the last, and a long log begins anew within a few."""
    monkeypatch.setattr(moving, "LONG_PAGES", LONG_PAGES)
    ended, most = threading.Event(), 0

    def move() -> None:
        while not ended.is_set():
            if store.log.wait_written(0.1):
                store.log.move()

    mover = threading.Thread(target=move)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, url_of(store)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        mover.start()
        for _ in range(400):
            write(store, 1)
            most = max(most, log_bytes(store))
    finally:
        ended.set()
        worker.kill()
        worker.wait()
        mover.join()
    assert most < 10 * LONG_PAGES * PAGE_BYTES, most
    with store.read() as tx:
        assert tx.rows("SELECT count(*) FROM stuff")[0][0] > 400
        assert tx.rows("PRAGMA integrity_check") == [("ok",)]


def test_a_reader_keeps_the_log_and_no_commit_waits_for_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "LONG_PAGES", LONG_PAGES)
    with store.read() as tx:
        assert tx.rows("SELECT count(*) FROM stuff") == [(0,)]
        write(store, LONG_PAGES)
        began = time.monotonic()
        store.log.move()
        assert time.monotonic() - began < 1
        grown = log_bytes(store)
        assert grown > LONG_PAGES * PAGE_BYTES
        assert not store.log.shorten()
        assert tx.rows("SELECT count(*) FROM stuff") == [(0,)]
    store.log.move()
    write(store, 1)
    assert log_bytes(store) == grown, "the log begins anew, in the room that it has"
    assert store.log.shorten()
    assert log_bytes(store) == 0


def test_the_server_moves_the_log_and_cuts_it_when_nothing_comes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOVE_SECONDS", 0.02)
    monkeypatch.setattr(serving, "SETTLE_SECONDS", 0.1)
    told: list[str] = []
    mover = serving.LogMover(store.log, lambda place, error: told.append(f"{place}: {error}"))
    mover.start()
    write(store, 3)
    assert until(lambda: log_bytes(store) == 0)
    with store.read() as tx:
        tx.rows("SELECT count(*) FROM stuff")
        write(store, 3)
        time.sleep(0.3)
        assert log_bytes(store) > 0
    assert until(lambda: log_bytes(store) == 0), "it is tried again while someone was in the way"
    with monkeypatch.context() as broken:
        broken.setattr(store.log, "move", lambda: 1 // 0)
        write(store, 1)
        assert until(lambda: bool(told))
    assert told[0] == "log-mover: integer division or modulo by zero"
    write(store, 1)
    assert until(lambda: log_bytes(store) == 0), "a failure does not end it"
    began = time.monotonic()
    mover.stop()
    assert time.monotonic() - began < 1
