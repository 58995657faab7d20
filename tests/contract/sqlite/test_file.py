"""What is SQLite's alone: one server of a file, writers that take turns, durable settings of the file."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tallystick.store.engine import StoreUrlError, parse_url
from tallystick.store.store import SchemaMismatch, StoreInUse, migrate, open_store
from tallystick.store.turnstile import Turnstile
from tests.contract.conftest import StandingClock
from tests.stores import migrated_database

ROOT = Path(__file__).parents[3]
GREEDY = """
import sys, time
from pathlib import Path
from tallystick.store.turnstile import Turnstile
turnstile = Turnstile(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    with turnstile.turn():
        time.sleep(0.005)
"""


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    with migrated_database("sqlite", tmp_path) as url:
        server = open_store(url, StandingClock(), server=True)
        with pytest.raises(StoreInUse, match=r"tallystick\.db is open in another server \(process \d+\)"):
            open_store(url, StandingClock(), server=True)
        worker = open_store(url, StandingClock())
        worker.close()
        code = "import sys; from tests.contract.conftest import StandingClock; from tallystick.store.store import open_store"
        code += "; open_store(sys.argv[1], StandingClock(), server=True)"
        other = subprocess.run([sys.executable, "-c", code, url], cwd=ROOT, capture_output=True, text=True, check=False)
        assert "is open in another server" in other.stderr
        server.close()
        open_store(url, StandingClock(), server=True).close()


def test_a_writer_is_next_however_greedy_another_process_is(tmp_path: Path) -> None:
    """Each turn waits for at most the one that holds the lock and those in the queue before: a few times 5 ms, never starved."""
    database = tmp_path / "x.db"
    greedy = [
        subprocess.Popen([sys.executable, "-c", GREEDY, str(database)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        for each in greedy:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        turnstile = Turnstile(database)
        waits = []
        for _ in range(60):
            began = time.monotonic()
            with turnstile.turn():
                waits.append(time.monotonic() - began)
        waits.sort()
        # Three writers in turn: two turns of 5 ms, and what a busy machine adds. Unfair locks took seconds here, or never came.
        assert waits[len(waits) // 2] < 0.1, waits
        assert waits[-1] < 2, waits
    finally:
        for each in greedy:
            each.kill()
            each.wait()


def test_threads_of_one_process_take_turns_too(tmp_path: Path) -> None:
    turnstile = Turnstile(tmp_path / "x.db")
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with turnstile.turn():
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert most == 1
    turnstile.close()


def test_the_file_is_durable_and_gives_space_back(tmp_path: Path) -> None:
    with migrated_database("sqlite", tmp_path) as url:
        store = open_store(url, StandingClock())
        with store.read() as tx:
            found = {name: tx.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "auto_vacuum", "foreign_keys")}
        assert found == {"journal_mode": "wal", "synchronous": 2, "auto_vacuum": 2, "foreign_keys": 1}
        store.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://u:secret@host/db", "nonsense"])
def test_other_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(StoreUrlError, match=r"sqlite:////path/to/file\.db") as error:
        parse_url(url)
    assert "secret" not in str(error.value)


def test_a_store_without_its_schema_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(SchemaMismatch, match="tally migrate"):
        open_store(url, StandingClock())
    assert not (tmp_path / "new.db").exists()
    (tmp_path / "new.db").touch()
    with pytest.raises(SchemaMismatch, match="schema version none"):
        open_store(url, StandingClock(), server=True)
    migrate(url)
    open_store(url, StandingClock(), server=True).close()
