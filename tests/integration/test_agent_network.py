"""Network bytes of a real namespace: a veth pair with one end inside, datagrams through it, and the kernel's own count of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tallystick.collect.network import Namespace, Namespaces

NAME = f"tally-{os.getpid()}"
OUTER, INNER = f"tv{os.getpid()}o", f"tv{os.getpid()}i"
SEND = """
import socket, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[2])):
    out.sendto(bytes(1000), (sys.argv[1], 9))
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def inside() -> Iterator[int | None]:
    """A process in a namespace of its own that has one end of a pair; None: no namespace may be made here."""
    try:
        ip("netns", "add", NAME)
        ip("link", "add", OUTER, "type", "veth", "peer", "name", INNER, "netns", NAME)
        ip("addr", "add", "198.18.77.1/30", "dev", OUTER)
        ip("-n", NAME, "addr", "add", "198.18.77.2/30", "dev", INNER)
        ip("link", "set", OUTER, "up")
        ip("-n", NAME, "link", "set", INNER, "up")
        ip("-n", NAME, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError):
        remove()
        yield None
        return
    child = subprocess.Popen(["ip", "netns", "exec", NAME, sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    assert moved(child.pid)
    yield child.pid
    child.kill()
    child.wait()
    remove()


def remove() -> None:
    with suppress(OSError):
        subprocess.run(["ip", "link", "del", OUTER], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", NAME], capture_output=True, check=False)


def namespaces() -> Namespaces:
    return Namespaces(proc_root="/proc", net_root="/sys/class/net")


def is_there(inside: int | None, capsys: pytest.CaptureFixture[str]) -> bool:
    if inside is None:
        with capsys.disabled():
            print("no network namespace may be made here: only this process's own, which is the host's, was asked")
    return inside is not None


def kernel_of_outer() -> tuple[int, int]:
    """(received, sent) by the host's end, which are mirrored inside."""
    statistics = Path(f"/sys/class/net/{OUTER}/statistics")
    return int((statistics / "rx_bytes").read_text()), int((statistics / "tx_bytes").read_text())


def test_the_hosts_namespace_is_nobodys() -> None:
    assert namespaces().network_of([os.getpid()]) is None


def test_bytes_of_a_namespace_are_the_kernels_seen_from_inside(inside: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    if not is_there(inside, capsys) or inside is None:
        return
    network = namespaces().network_of([inside])
    assert isinstance(network, Namespace)
    before = network.read()
    subprocess.run([sys.executable, "-c", SEND, "198.18.77.2", "100"], check=True)
    subprocess.run(["ip", "netns", "exec", NAME, sys.executable, "-c", SEND, "198.18.77.1", "40"], check=True)
    for _ in range(50):  # neighbour packets of the kernel itself come when they like: both ends are read until they stand still
        received, sent = network.read()
        outer = kernel_of_outer()
        if network.read() == (received, sent):
            break
    assert (received, sent) == (outer[1], outer[0])
    assert received - before[0] >= 100 * 1042, "with headers of UDP, IP and Ethernet"
    assert sent - before[1] >= 40 * 1042
    assert received > sent
    network.close()


def test_a_namespace_is_counted_once_and_stays_readable_when_its_process_is_gone(
    inside: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if not is_there(inside, capsys) or inside is None:
        return
    every = namespaces()
    child = subprocess.Popen(["ip", "netns", "exec", NAME, sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    first = every.network_of([child.pid]) if moved(child.pid) else None
    assert first is not None
    assert every.network_of([inside]) is None
    child.kill()
    child.wait()
    counted = first.read()
    subprocess.run([sys.executable, "-c", SEND, "198.18.77.2", "10"], check=True)
    assert first.read()[0] >= counted[0] + 10 * 1042
    first.close()
    assert every.network_of([inside]) is not None


def moved(pid: int) -> bool:
    """Wait until `ip netns exec` has moved its child."""
    host = os.stat("/proc/self/ns/net").st_ino
    for _ in range(500):
        if os.stat(f"/proc/{pid}/ns/net").st_ino != host:
            return True
        time.sleep(0.01)
    return False
