"""Where the product meets the machine: names of its modules that stand for a simulated machine while a world runs.

The product is not changed for the simulation and does not know of it. A name that a module no longer imports is an error, so that
nothing slips past the simulated machine unseen.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import ModuleType, SimpleNamespace

from tallystick.sim.machine.disk import SimulatedOs
from tallystick.sim.machine.network import http_of
from tallystick.sim.machine.scheduler import Scheduler
from tallystick.sim.machine.threads import queue_of, threading_of, time_of

SEAMS: Mapping[str, tuple[str, ...]] = {
    "tallystick.spool.spool": ("threading", "queue", "time", "os"),
    "tallystick.spool.backlog": ("threading", "os"),
    "tallystick.spool.files": ("os",),
    "tallystick.spool.quarantine": ("os",),
    "tallystick.spool.thinning.thinner": ("os",),
    "tallystick.spool.sender": ("threading", "time"),
    "tallystick.spool.connection": ("http",),
    "tallystick.ingest.writer": ("threading",),
    "tallystick.app.serving.log": ("threading",),
    "tallystick.store.engine": ("threading",),
    "tallystick.collect.collector": ("select", "os"),
}
"""By module, the names that it imports from the machine."""


class _NoPoll:
    """`select.epoll` of a host on which nothing is watched."""

    def register(self, *_watched: object) -> None:
        """Watch nothing."""

    unregister = register


def _no_events() -> dict[str, object]:
    """The collector's wake-ups: it is stepped by its host, never woken."""
    return {
        "select": SimpleNamespace(epoll=_NoPoll, EPOLLIN=1),
        "os": SimpleNamespace(eventfd=lambda *_: -1, EFD_NONBLOCK=0, EFD_CLOEXEC=0, eventfd_write=lambda *_: None),
    }


@contextmanager
def simulated(scheduler: Scheduler) -> Iterator[None]:
    """The product's modules on a simulated machine, as long as the block lasts.

    Raises:
        AttributeError: a module does not import what the simulation stands for.

    """
    machine: dict[str, object] = {
        "threading": threading_of(scheduler),
        "queue": queue_of(scheduler),
        "time": time_of(scheduler),
        "os": SimulatedOs(scheduler),
        "http": http_of(scheduler),
    }
    replaced: list[tuple[ModuleType, str, object]] = []
    try:
        for name, own in SEAMS.items():
            module = importlib.import_module(name)
            stand_ins = _no_events() if name == "tallystick.collect.collector" else machine
            for each in own:
                replaced.append((module, each, getattr(module, each)))
                setattr(module, each, stand_ins[each])
        yield
    finally:
        for module, name, real in replaced:
            with suppress(AttributeError):
                setattr(module, name, real)
