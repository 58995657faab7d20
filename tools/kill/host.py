"""Hosts of plain files in the shape of /sys: control groups and taps whose counters are known to the last unit at every instant."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

STEP_SECONDS = 0.05
"""Faster than any agent reads: no two readings need to be equal."""
WORD = 10**8
"""What moves of a number lies in its last eight digits, one aligned word of a file: no reader sees half of it. The rest never changes."""
MOST_STEP = 2500
"""The largest rise in a step: eight digits are enough for an hour of them."""
COUNTERS = ("cpu_time_nanos", "network_rx_bytes", "network_tx_bytes")
MEMORY = "memory_bytes_used"


@dataclass(slots=True)
class Guest:
    """One resource of a host: what its files say now, and the descriptors that they are written through, by column."""

    resource_id: str
    values: dict[str, int]
    files: dict[str, int] = field(default_factory=dict)

    def write(self) -> None:
        """Each file is one number of 16 digits, written in one go."""
        for column, fd in self.files.items():
            os.pwrite(fd, b"%016d\n" % self.values[column], 0)


class Host:
    """A host below a folder, with so many guests, which a process of ours lives in: they never end."""

    def __init__(self, folder: Path, name: str, guests: int, chance: random.Random) -> None:
        self.name = name
        self.folder = folder / name
        self.cgroup, self.net, self.mapping = self.folder / "cgroup", self.folder / "net", self.folder / "mapping.toml"
        self.guests = [self._guest(number, chance) for number in range(guests)]
        self.mapping.write_text("".join(self._table(number, guest) for number, guest in enumerate(self.guests)))

    def _guest(self, number: int, chance: random.Random) -> Guest:
        """Its places: v1 groups for CPU and memory, and a tap. What the host receives from a tap is what the guest sent."""
        high = [chance.randrange(1, 10**6) * WORD for _ in range(4)]
        guest = Guest(f"{self.name}.guest-{number}", dict(zip((MEMORY, *COUNTERS), high, strict=True)))
        statistics = self.net / f"tap{number}" / "statistics"
        places = {
            "cpu_time_nanos": self._group("cpuacct", number) / "cpuacct.usage",
            MEMORY: self._group("memory", number) / "memory.usage_in_bytes",
            "network_tx_bytes": statistics / "rx_bytes",
            "network_rx_bytes": statistics / "tx_bytes",
        }
        statistics.mkdir(parents=True)
        for column, path in places.items():
            guest.files[column] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        guest.write()
        return guest

    def _group(self, hierarchy: str, number: int) -> Path:
        group = self.cgroup / hierarchy / "guests" / f"guest-{number}"
        group.mkdir(parents=True)
        for place in (group, group.parent, group.parent.parent):
            (place / "cgroup.procs").write_text(f"{os.getpid()}\n" if place == group else "")
        return group

    @staticmethod
    def _table(number: int, guest: Guest) -> str:
        return f'["guests/guest-{number}"]\nid = {json.dumps(guest.resource_id)}\ntaps = ["tap{number}"]\n'

    def step(self, chance: random.Random) -> None:
        """Time passes: every counter rises, every level moves."""
        for guest in self.guests:
            for column in COUNTERS:
                guest.values[column] += chance.randrange(1, MOST_STEP)
            guest.values[MEMORY] = guest.values[MEMORY] // WORD * WORD + chance.randrange(WORD)
            guest.write()

    def close(self) -> None:
        """Close all files."""
        for guest in self.guests:
            for fd in guest.files.values():
                os.close(fd)


class Life:
    """A thread that lets time pass on all hosts."""

    def __init__(self, hosts: Sequence[Host], seed: int) -> None:
        self._hosts, self._chance = hosts, random.Random(seed)  # noqa: S311 - numbers that can be had again, no secret
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._pass, daemon=True)
        self._thread.start()

    def _pass(self) -> None:
        while not self._over.wait(STEP_SECONDS):
            for host in self._hosts:
                host.step(self._chance)

    def stop(self) -> None:
        """From now on everything stands still."""
        self._over.set()
        self._thread.join()
