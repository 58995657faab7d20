"""`tally up`: the first minute. A server with its worker and an agent that meters this machine, with a live table of what it costs."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console
from rich.live import Live

from tallystick.app.cli.client import Client, RefusedError
from tallystick.app.clock import SystemClock
from tallystick.app.init import AlreadyThereError, init_store
from tallystick.app.settings import Settings, split_address
from tallystick.model.instants import iso
from tallystick.render.live import live_table
from tallystick.store.engine import StoreUrlError
from tallystick.store.store import SchemaMismatch, StoreInUse

CUSTOMER, PLAN = "local", "measured"
PORTS_TRIED = 20
READY_SECONDS = 60
STOP_SECONDS = 30
REFRESH_SECONDS = 1.0
SETTLE_SECONDS = 10
COSTS_SECONDS = 0.7
LIVELY = {
    "TALLY_AGENT_BATCH_SECONDS": "2",
    "TALLY_AGENT_HEARTBEAT_INTERVAL_SECONDS": "2",
    "TALLY_AGENT_PROC_MINIMUM_CPU_MS": "20",
}
"""A batch a minute, of what is worth a bill, is right for a fleet; who looks at a table wants to see it move."""
NOT_FOUND = 404
PLAIN_WIDTH = 120
SHOWN_LINES = 12
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


class UpError(Exception):
    """`tally up` cannot go on: why, in words for a person."""


@dataclass(slots=True)
class Child:
    """One process of the tree, with a log file of its own."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    environment: Mapping[str, str]
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches it only through us; it ends when we are killed."""
        with self.log.open("wb") as log:
            self.running = subprocess.Popen(  # noqa: S603 - our own interpreter and command
                [sys.executable, "-m", "tallystick", *self.arguments],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - no thread was started yet
            )

    def check(self) -> None:
        """Notice that it ended by itself.

        Raises:
            UpError: it did; the end of its log is told.

        """
        if self.running is not None and self.running.poll() is not None:
            raise UpError(f"the {self.name} ended with status {self.running.returncode}:\n{self.tail()}")

    def stop(self) -> None:
        """Ask it to end and wait; what does not end is killed with its children."""
        if self.running is None:
            return
        if self.running.poll() is None:
            self.running.terminate()
        try:
            self.running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()

    def records(self) -> Iterator[dict[str, Any]]:
        """The JSON lines of its log."""
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                yield json.loads(line)

    def tail(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-SHOWN_LINES:])


def _end_with_parent() -> None:
    with suppress(OSError, AttributeError):  # no Linux: then it must be ended by hand
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)


def run_up(settings: Settings, *, seconds: int | None = None, as_json: bool = False, console: Console | None = None) -> int:
    """Meter this machine until Ctrl-C, or for so many seconds; the exit status.

    On the first run the database and its first key are made. Everything found belongs to the customer `local` on the
    plan `measured`. At the end the last table is printed, or (`as_json`) the last status as JSON.
    """
    shown = console or Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    try:
        last = _meter(settings, seconds, shown, quiet=as_json)
    except (UpError, RefusedError) as error:
        Console(stderr=True, soft_wrap=True).print(f"tally up: {error}", style="red", markup=False, highlight=False)
        return 1
    if as_json:
        sys.stdout.write(json.dumps(last, indent=1) + "\n")
    elif last:
        shown.print(live_table(last))
    return 0


def _meter(settings: Settings, seconds: int | None, console: Console, *, quiet: bool) -> Mapping[str, Any]:
    """The process tree from its start to its end; the last status, empty if it was stopped before there was one.

    Raises:
        UpError: something of it cannot start, or ended by itself.
        RefusedError: the server refuses what is needed.

    """
    _prepare(settings)
    usual = Settings.model_fields["listen"].default
    address = _address(settings, chosen=bool(os.environ.get("TALLY_LISTEN")) or settings.listen != usual)
    url = f"http://{address}"
    client = Client(url, settings.admin_key_file.read_text(encoding="ascii").strip())
    server, agent = _children(settings, address, url)
    with _Stopping() as stopping:
        server.start()
        try:
            _wait_ready(server, url, stopping)
            if stopping.asked:
                return {}
            _subscribe(client)
            agent.start()
            if not quiet:
                console.print(f"server at {url}, state in {settings.state_dir}; Ctrl-C stops it", highlight=False)
            _watch(client, (server, agent), stopping, seconds, None if quiet else console)
            agent.stop()  # its last batches are flushed while the server still answers
            return _settled(client, agent)
        finally:
            agent.stop()
            server.stop()


class _Stopping:
    """Whether the user asked to stop: Ctrl-C and SIGTERM become a flag while it is entered."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def _prepare(settings: Settings) -> None:
    """On the first run: the database with its tables, the default price book, and the first admin key.

    Raises:
        UpError: the database cannot be opened, or its key is gone.

    """
    try:
        init_store(settings)
    except AlreadyThereError as error:
        if not settings.admin_key_file.exists():
            raise UpError(f"{error}; that file is not there") from None
    except (StoreInUse, SchemaMismatch, StoreUrlError, OSError) as error:
        raise UpError(str(error)) from None


def _subscribe(client: Client) -> None:
    """The customer `local` on the plan `measured`, from the first run on."""
    if not _has(client, f"/v1/customers/{CUSTOMER}"):
        client.post("/v1/customers", {"id": CUSTOMER, "name": "This machine"})
    if not any(client.pages("/v1/subscriptions", 1, customer_id=CUSTOMER)):
        client.post("/v1/subscriptions", {"customer_id": CUSTOMER, "plan_id": PLAN, "start": iso(SystemClock().now_ns())})


def _has(client: Client, path: str) -> bool:
    try:
        client.get(path)
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        return False
    return True


def _source(agent: Child) -> str:
    """How the agent meters, once it has said so: one line for a person; empty before."""
    for record in agent.records():
        if record.get("message") == "no_group":
            return str(record.get("detail", ""))
        if record.get("message") == "agent_started":
            return "control groups are metered"
    return ""


def _samples(agent: Child) -> tuple[int, int] | None:
    """How many samples the agent has sent since it started, and how many wait; None: it does not say yet."""
    told = {str(record.get("message")): record for record in agent.records()}.get("agent_stopped")
    if told:
        return int(told["samples_sent"]), max(0, int(told["samples"]) - int(told["samples_sent"]))
    try:
        with urlopen(f"http://{agent.environment['TALLY_AGENT_METRICS_LISTEN']}/metrics", timeout=2) as answer:
            page = dict(line.split(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
    except OSError:
        return None
    sent = int(page["tally_agent_samples_sent_total"])
    return sent, max(0, int(page["tally_agent_metrics_collected_total"]) - sent)


def _look(client: Client, agent: Child) -> dict[str, Any]:
    """What the server tells of usage and cost, and the agent of its samples."""
    sent, waiting = _samples(agent) or (None, None)
    return {**client.get("/v1/status"), "samples_sent": sent, "samples_waiting": waiting}


def _settled(client: Client, agent: Child) -> dict[str, Any]:
    """The last look: once what was flushed last is in its usage hours, waiting a little for it, and its costs are not those kept before."""
    until = _now() + SETTLE_SECONDS
    while _look(client, agent)["hours_waiting"] and _now() < until:
        time.sleep(0.2)
    time.sleep(COSTS_SECONDS)
    return _look(client, agent)


def _address(settings: Settings, *, chosen: bool) -> str:
    """Where to listen: as set, or (if nobody set it) the next free port.

    Raises:
        UpError: the port is taken.

    """
    host, first = split_address(settings.listen)
    for port in range(first, first + (1 if chosen else PORTS_TRIED)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    tried = f"{first}" if chosen else f"{first} to {first + PORTS_TRIED - 1}"
    raise UpError(f"setting listen (TALLY_LISTEN) = {settings.listen!r}: port {tried} of {host} is in use; name another")


def _children(settings: Settings, address: str, url: str) -> tuple[Child, Child]:
    place = settings.state_dir
    shared = {"TALLY_STATE_DIR": str(place), "TALLY_STORE_URL": settings.url}
    server = Child(
        name="server",
        arguments=("serve",),
        log=place / "server.log",
        environment={**shared, "TALLY_LISTEN": address, "TALLY_WORKERS": str(max(1, settings.workers))},
    )
    agent = Child(
        name="agent",
        arguments=("agent", "run"),
        log=place / "agent.log",
        environment={
            **shared,
            "TALLY_AGENT_ENDPOINT": url,
            "TALLY_AGENT_KEY_FILE": str(settings.admin_key_file),
            "TALLY_AGENT_SPOOL_DIRECTORY": str(place / "spool"),
            "TALLY_AGENT_CUSTOMER": CUSTOMER,
            "TALLY_AGENT_METRICS_LISTEN": f"127.0.0.1:{_free_port()}",
            **{name: value for name, value in LIVELY.items() if name not in os.environ},
        },
    )
    return server, agent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_ready(server: Child, url: str, stopping: _Stopping) -> None:
    until = _now() + READY_SECONDS
    while not stopping.asked:
        server.check()
        with suppress(URLError, OSError), urlopen(f"{url}/ready", timeout=2) as answer:  # noqa: S310 - our own server
            if answer.status == 200:
                return
        if _now() > until:
            raise UpError(f"the server was not ready within {READY_SECONDS} s:\n{server.tail()}")
        time.sleep(0.1)


def _watch(client: Client, children: tuple[Child, Child], stopping: _Stopping, seconds: int | None, console: Console | None) -> None:
    """The live table, about each second, until the time is over or the user has seen enough."""
    until = None if seconds is None else _now() + seconds
    live = Live(console=console, auto_refresh=False, transient=True) if console and console.is_terminal else None
    source_told, agent = console is None, children[1]
    with live or nullcontext():
        while not stopping.asked and (until is None or _now() < until):
            for child in children:
                child.check()
            if not source_told and console and (line := _source(agent)):
                console.print(line, highlight=False)
                source_told = True
            if live:
                with suppress(RefusedError):  # one look that failed is no reason to stop: the next comes in a second
                    live.update(live_table(_look(client, agent)), refresh=True)
            _sleep(stopping, until)


def _now() -> float:
    """Seconds of a clock that never goes back."""
    return SystemClock().monotonic_ns() / 10**9


def _sleep(stopping: _Stopping, until: float | None) -> None:
    awake = _now() + REFRESH_SECONDS
    awake = awake if until is None else min(awake, until)
    while not stopping.asked and _now() < awake:
        time.sleep(0.05)
