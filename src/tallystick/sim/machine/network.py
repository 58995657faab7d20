"""The network between agents and the server: it delays, loses, repeats, lets the old arrive after the new, and is cut at times."""

from __future__ import annotations

import http.client
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPMessage
from types import SimpleNamespace
from typing import Protocol

from tallystick.sim.machine.scheduler import SECOND_NS, Scheduler
from tallystick.sim.machine.threads import Waiters


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is posted to the server."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the server says to it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Listener(Protocol):
    """The server, as the network sees it."""

    @property
    def is_up(self) -> bool:
        """Whether it takes connections."""
        ...

    def take(self, request: Request, answer: Callable[[Reply | None], None]) -> None:
        """Serve a request, and answer it some time; None: it was killed before it could."""
        ...


@dataclass(slots=True, kw_only=True)
class Weather:
    """How bad it is, in parts of one: for each request, what befalls it."""

    lost: float = 0.0
    answer_lost: float = 0.0
    repeated: float = 0.0
    slow: float = 0.0
    refused: float = 0.0
    """A proxy answers in the server's place: 502, 503 or 429, or a page with 200."""


@dataclass(slots=True)
class Link:
    """The way of one host to the server."""

    is_cut: bool = False


_PROXY = (
    Reply(status=502, headers={}, body=b"<html>bad gateway</html>"),
    Reply(status=503, headers={"Retry-After": "7"}, body=b'{"code": "unavailable", "message": "later"}'),
    Reply(status=429, headers={"Retry-After": "20"}, body=b'{"code": "resource_exhausted", "message": "slower"}'),
    Reply(status=429, headers={}, body=b"too much"),
    Reply(status=200, headers={}, body=b"<html>sign in</html>"),
)


@dataclass(slots=True)
class Network:
    """Carries requests; a task that posts one waits for its answer."""

    scheduler: Scheduler
    listener: Listener
    chance: random.Random
    faults: Counter[str]
    weather: Weather = field(default_factory=Weather)

    def post(self, link: Link, request: Request, timeout_seconds: float) -> Reply:
        """Post a request and wait for the answer.

        Raises:
            OSError: nobody answered.

        """
        weather, chance = self.weather, self.chance
        if link.is_cut:
            self.faults["partition"] += 1
            if chance.random() < 0.5:
                self._wait(timeout_seconds)
                raise TimeoutError("timed out")
            raise ConnectionRefusedError("no route to host")
        self._wait(self._delay_ns() / SECOND_NS)
        if chance.random() < weather.refused:
            self.faults["answered by a proxy"] += 1
            return chance.choice(_PROXY)
        if chance.random() < weather.lost:
            self.faults["request lost"] += 1
            self._wait(timeout_seconds)
            raise TimeoutError("timed out")
        if not self.listener.is_up:
            raise ConnectionRefusedError("connection refused")
        if chance.random() < weather.repeated:
            self.faults["request repeated"] += 1
            self.scheduler.after(chance.randrange(600 * SECOND_NS), lambda: self._deliver_copy(request))
        return self._answered(request, timeout_seconds)

    def _answered(self, request: Request, timeout_seconds: float) -> Reply:
        waiters, replies = Waiters(self.scheduler), list[Reply | None]()

        def answer(reply: Reply | None) -> None:
            def arrive() -> None:
                replies.append(reply)
                waiters.wake()

            self.scheduler.after(self._delay_ns(), arrive)

        self.listener.take(request, answer)
        waiters.wait(timeout_seconds)
        if not replies:
            raise TimeoutError("timed out")
        if replies[0] is None:
            raise ConnectionResetError("connection reset by peer")
        if self.chance.random() < self.weather.answer_lost:
            self.faults["answer lost"] += 1
            self._wait(timeout_seconds)
            raise TimeoutError("timed out")
        return replies[0]

    def _deliver_copy(self, request: Request) -> None:
        if self.listener.is_up:
            self.listener.take(request, lambda _reply: None)

    def _delay_ns(self) -> int:
        if self.chance.random() < self.weather.slow:
            self.faults["delay"] += 1
            return self.chance.randrange(40 * SECOND_NS)
        return self.chance.randrange(1_000_000, 80_000_000)

    def _wait(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)


class _Answer:
    """`http.client.HTTPResponse`."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers = HTTPMessage()
        for name, value in reply.headers.items():
            self.headers[name] = value
        self._body = reply.body

    def read(self) -> bytes:
        """Its body."""
        return self._body


class _HttpConnection:
    """`http.client.HTTPConnection` over the network of the task that uses it."""

    def __init__(self, scheduler: Scheduler, host: str, port: int | None, timeout: float) -> None:
        self._scheduler, self._host, self._port, self._timeout = scheduler, host, port, timeout
        self._request: Request | None = None

    def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Post it when the answer is asked for."""
        assert method == "POST"
        self._request = Request(path=path, headers=headers, body=body)

    def getresponse(self) -> _Answer:
        """Wait for the answer."""
        assert self._request is not None
        belongings = self._scheduler.task().process.belongings
        return _Answer(belongings.network.post(belongings.link, self._request, self._timeout))

    def close(self) -> None:
        """Close it: there is nothing to close."""


def http_of(scheduler: Scheduler) -> SimpleNamespace:
    """What stands for the package `http`."""

    def connection(host: str, port: int | None, timeout: float) -> _HttpConnection:
        return _HttpConnection(scheduler, host, port, timeout)

    client = SimpleNamespace(
        HTTPConnection=connection, HTTPSConnection=connection, HTTPException=http.client.HTTPException, HTTPMessage=HTTPMessage
    )
    return SimpleNamespace(client=client)
