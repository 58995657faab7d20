"""The server: the product's rpc application, group writer and store in a process that is killed and comes back, and its worker's jobs."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import event

from tallystick.app.jobs.failures import Failures
from tallystick.app.jobs.presence import RESOURCE_AFTER_NS, UNSAID_AFTER_NS, Watch
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.app.serving.admission import Admission, Limits
from tallystick.app.serving.log import LogMover
from tallystick.ingest import rpc
from tallystick.ingest.daemon import DaemonService
from tallystick.ingest.native import NativeService
from tallystick.ingest.sources.collector import CollectorService
from tallystick.ingest.sources.profiles import RowProfile
from tallystick.ingest.storing import Storing
from tallystick.ingest.submission import Receipt, Submission
from tallystick.ingest.writer import GroupWriter
from tallystick.model.access import Denied, Grant, Place, RateLimit, Role
from tallystick.model.billing.contracts import Customer
from tallystick.model.silence import WatchRules
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.sim.audit.truth import Truth
from tallystick.sim.machine.loop import VirtualLoop
from tallystick.sim.machine.network import Reply, Request
from tallystick.sim.machine.scheduler import SECOND_NS, Killed, Process, Scheduler
from tallystick.store.store import Store, migrate, open_store

ADDRESS = ("10.0.0.1", 8080)
PLACE = Place()
ZONE = "Asia/Kathmandu"
"""Of the customer whose days and months are kept: its midnight is none of an hour of UTC."""
DATABASE = "tallystick.db"
LIMITS_BYTES = (4 * 2**20, 16 * 2**10)
"""Of a request: what is larger must be sent in parts."""
LIMITS = Limits(queue_bytes=64 * 2**20, queue_requests=1000, key_rate=RateLimit())
ROW_INTERVAL_NS = 10 * SECOND_NS
AWAY_AFTER_NS = 75 * SECOND_NS
NATIVE_PATH = f"{rpc.NATIVE_SERVICE}Send"

Answer = Callable[[Reply | None], None]


@lru_cache(maxsize=1)
def _empty_database() -> bytes:
    """A file with the newest schema, to be copied: to migrate one takes longer than a run."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / DATABASE
        migrate(f"sqlite:///{file}")
        return file.read_bytes()


class ServerClock:
    """The server's clock, which may be set."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.offset_ns = 0

    def now_ns(self) -> int:
        """Wall time."""
        return self._scheduler.now_ns + self.offset_ns

    def monotonic_ns(self) -> int:
        """True time, which only grows."""
        return self._scheduler.now_ns


@dataclass(slots=True)
class Watcher:
    """`ingest.submission.Observer`: what fails although it should not is wrong."""

    truth: Truth

    def request(self, method: str, code: str, seconds: float) -> None:
        """A request was answered."""

    def outcome(self, kind: str, outcome: str, count: int) -> None:
        """So many had this outcome."""

    def commit(self, batches: int, samples: int, seconds: float, stored_seconds: float) -> None:
        """A group was taken in."""

    def failure(self, what: str, error: BaseException) -> None:
        """Something failed."""
        if not isinstance(error, Killed):
            self.truth.wrong.append(("", f"the server failed in {what}", 0, repr(error)))


class Keys:
    """`ingest.callers.Authenticator`: the key of our agents writes all, one is limited to a customer, any other is nobody's."""

    async def authenticate(self, headers: Mapping[str, str], listener: tuple[str, int] | None) -> Grant:
        """The grant of a request.

        Raises:
            Denied: nobody known.

        """
        token = headers.get("authorization", "")
        if token not in ("", "Bearer limited"):
            raise Denied("this key is unknown", known=False)
        if not token:
            return Grant(key_id="agents", role=Role.AGENT, place=PLACE)
        return Grant(key_id="limited", role=Role.AGENT, place=PLACE, customers=frozenset({"stranger"}), regions=frozenset({"here"}))


@dataclass(frozen=True, slots=True)
class Recorded:
    """`ingest.submission.Span`: the context of its parent."""

    context: str

    def end(self, at_ns: int, failure: str = "") -> None:
        """End it."""


class Recorder:
    """`ingest.submission.Spans`: what is traced is kept nowhere."""

    def begin(self, name: str, parent: str, at_ns: int, attributes: Mapping[str, str | int]) -> Recorded:
        """Begin a span."""
        return Recorded(parent)


class FailedHours(Failures):
    """Hours that cannot be computed are wrong."""

    def __init__(self, truth: Truth) -> None:
        super().__init__()
        self._truth = truth

    def add(self, marks: Sequence[Any], error: Exception) -> None:
        """A resource failed."""
        self._truth.wrong.append((marks[0].resource_id, "hours cannot be computed", marks[0].hour_ns, repr(error)))


class Server:
    """One server on its SQLite file; `is_up` while it takes connections."""

    def __init__(self, scheduler: Scheduler, truth: Truth, root: Path, chance: random.Random, faults: Counter[str]) -> None:
        self.scheduler, self.truth, self.chance, self.faults = scheduler, truth, chance, faults
        self.clock = ServerClock(scheduler)
        self.store: Store | None = None
        self.crash_in: tuple[str, int] | None = None
        """Where the writer is killed, `before commit` or `after commit`, and at which group from now."""
        self.crash_worker_after: int | None = None
        """After so many commits of the roll-up its process is killed."""
        self._limit_bytes = chance.choice(LIMITS_BYTES)
        self._root, self._generation = root / "server", 0
        self._folder = self._root / "0"
        self._folder.mkdir(parents=True)
        (self._folder / DATABASE).write_bytes(_empty_database())
        self._process: Process | None = None
        self._loop: VirtualLoop | None = None
        self._app: rpc.RpcApp | None = None
        self._under_way: list[Answer] = []
        self._commits_are_rolled_up = self._dies_at_commit = False
        self._watch: Watch | None = None

    @property
    def is_up(self) -> bool:
        """Whether it takes connections."""
        return self._process is not None and self._process.alive and self._app is not None

    @property
    def database(self) -> Path:
        """Its file."""
        return self._folder / DATABASE

    # Its life

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._process is None or not self._process.alive:
            self._process = Process("server")
            self.scheduler.spawn(self._process, "loop", self._run)

    def _run(self) -> None:
        store = self.store = open_store(f"sqlite:///{self.database}", self.clock, server=True)
        store.registry.create_customer(PLACE, Customer(id="acme", name="Acme", time_zone=ZONE), actor="simulation")
        event.listen(store._database.engine, "commit", self._at_commit)
        watcher = Watcher(self.truth)
        storing = Storing(store, self.clock, watcher, Recorder())
        writer = GroupWriter(
            lambda group: self._store_group(storing, group),
            clock=self.clock,
            observer=watcher,
            group_ms=10,
        )
        profile = RowProfile(interval_ns=ROW_INTERVAL_NS)
        self._app = rpc.RpcApp(
            (
                rpc.native(NativeService(writer, self.clock)),
                rpc.daemon(DaemonService(writer, self.clock, profile, store.registry.named_since_stop)),
                rpc.collector(CollectorService(writer, self.clock, profile)),
            ),
            access=Keys(),
            admission=Admission(LIMITS, self.clock.monotonic_ns, lambda _key, _reason: None),
            clock=self.clock,
            observer=watcher,
            message_limit_bytes=self._limit_bytes,
        )
        rules = WatchRules(agent_after_ns=AWAY_AFTER_NS, resource_after_ns=RESOURCE_AFTER_NS, unsaid_after_ns=UNSAID_AFTER_NS)
        self._watch = Watch(store=store, rules=rules, since_ns=self.clock.now_ns())
        writer.start()
        LogMover(store.log, watcher.failure).start()
        self._loop = VirtualLoop(self.scheduler)
        self._loop.run_forever()

    def _store_group(self, storing: Storing, group: Sequence[Submission]) -> Sequence[Receipt]:
        """A group into the store, in a few milliseconds; the process may be killed in the middle of it."""
        self.scheduler.sleep(0.002)
        where, groups = self.crash_in or ("", 0)
        if where and groups > 0:
            self.crash_in = (where, groups - 1)
            where = ""
        self._dies_at_commit = where == "before commit"
        receipts = storing(group)
        if where == "after commit":
            self.crash_in = None
            self.kill(where)
            raise Killed
        self.scheduler.sleep(0.003)
        return receipts

    def _at_commit(self, _connection: object) -> None:
        if self._commits_are_rolled_up:
            if self.crash_worker_after is not None:
                self.crash_worker_after -= 1
                if self.crash_worker_after < 0:
                    self.crash_worker_after = None
                    self.faults["worker killed"] += 1
                    raise Killed
        elif self._dies_at_commit:
            self._dies_at_commit, self.crash_in = False, None
            self.kill("before commit")
            raise Killed

    def kill(self, where: str = "at rest") -> None:
        """`kill -9`: what SQLite has on disk is left, and of the answers under way some arrive."""
        if self._process is None or not self._process.alive:
            return
        self.faults[f"server killed {where}"] += 1
        self._generation += 1
        left = self._root / str(self._generation)
        left.mkdir()
        for name in (DATABASE, f"{DATABASE}-wal"):
            if (self._folder / name).exists():
                shutil.copyfile(self._folder / name, left / name)
        self._end(self._process)
        self._folder = left

    def _end(self, process: Process) -> None:
        self.scheduler.kill(process)
        loop, self._app, self._loop, self._watch = self._loop, None, None, None
        for answer in self._under_way:
            answer(None)
        self._under_way = []
        store, self.store = self.store, None
        folder = self._folder
        self.scheduler.after(1, lambda: _let_go(loop, store, folder))

    def close(self) -> None:
        """End it at the end of the world."""
        if self._process is not None:
            self.scheduler.bury(self._process)
        if self._loop is not None:
            self._loop.end()
        if self.store is not None:
            self.store.close()
        self._app = self._loop = self.store = None

    # What it does

    def take(self, request: Request, answer: Answer) -> None:
        """Serve a request in a task of its loop."""
        loop, app = self._loop, self._app
        if loop is None or app is None:
            answer(None)
            return
        self._under_way.append(answer)
        loop.call_soon_threadsafe(lambda: loop.create_task(self._serve(loop, app, request, answer)))

    async def _serve(self, loop: VirtualLoop, app: rpc.RpcApp, request: Request, answer: Answer) -> None:
        told: dict[str, Any] = {}
        body = bytearray()
        asked = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal asked
            if asked:
                await loop.create_future()
            asked = True
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                told.update(message)
            else:
                body.extend(message.get("body", b""))

        await app(_scope(request), receive, send)
        if answer not in self._under_way:
            return
        self._under_way.remove(answer)
        if request.path == NATIVE_PATH and told["status"] == 200:
            self.truth.answered(wire.SendRequest.FromString(request.body), wire.SendResponse.FromString(bytes(body)))
        headers = {name.decode(): value.decode() for name, value in told["headers"]}
        answer(Reply(status=told["status"], headers=headers, body=bytes(body)))

    def roll_up(self) -> int:
        """The worker's round: dirty hours become usage hours. It may be killed in the middle; how many were computed."""
        if self.store is None:
            return 0
        self._commits_are_rolled_up = True
        try:
            return roll_up(self.store, DiskHorizon.RESOURCE, self.clock.now_ns(), FailedHours(self.truth))
        except Killed:
            return 0
        finally:
            self._commits_are_rolled_up = False

    def look(self) -> None:
        """The worker sees who is there."""
        if self._watch is not None:
            self._watch.look(self.clock.now_ns())


def _let_go(loop: VirtualLoop | None, store: Store | None, folder: Path) -> None:
    """Close what a killed server had open, and remove the folder that it used: another has taken its place."""
    if loop is not None:
        loop.end()
    if store is not None:
        store.close()
    for entry in os.scandir(folder):
        os.unlink(entry.path)
    folder.rmdir()


def _scope(request: Request) -> dict[str, Any]:
    headers: Mapping[str, str] = {**request.headers, "Content-Length": str(len(request.body))}
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "server": ADDRESS,
        "client": ("10.0.0.2", 40000),
        "extensions": {},
    }
