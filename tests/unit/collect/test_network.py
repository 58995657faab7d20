from __future__ import annotations

import os
from pathlib import Path

from tests.unit.collect.trees import Host

HEAD = "h\nh\n"


def dev(**interfaces: tuple[int, int]) -> str:
    rows = [f" {name}: {count[0]} 1 0 0 0 0 0 0 {count[1]} 1 0 0 0 0 0 0\n" for name, count in interfaces.items()]
    return HEAD + "".join(rows)


def tap(host: Host, name: str, rx: int, tx: int) -> None:
    path = host.net / name / "statistics"
    path.mkdir(parents=True, exist_ok=True)
    (path / "rx_bytes").write_text(f"{rx}\n")
    (path / "tx_bytes").write_text(f"{tx}\n")


def test_the_hosts_namespace_is_nobodys_and_another_is_counted_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    for pid, net in ((10, "host"), (20, "pod"), (21, "pod")):
        host.process(pid, net=net)
    namespaces = host.namespaces()
    assert namespaces.network_of([10]) is None
    first = namespaces.network_of([20])
    assert first is not None
    assert first.read() == (90, 180)
    assert namespaces.network_of([21]) is None, "the pod's other container"
    first.close()
    assert namespaces.network_of([21]) is not None
    assert namespaces.network_of([]) is None
    assert namespaces.network_of([99]) is None


def test_interfaces_that_go_or_begin_again_leave_what_they_counted(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(20, net="pod")
    file = host.proc / "netns-pod"
    file.write_text(dev(lo=(5, 5), eth0=(100, 10), eth1=(50, 5)))
    network = host.namespaces().network_of([20])
    assert network is not None
    assert network.read() == (150, 15)
    file.write_text(dev(lo=(5, 5), eth0=(110, 11)))
    assert network.read() == (160, 16), "eth1 is gone, its 50 stay"
    file.write_text(dev(lo=(5, 5), eth0=(3, 1)))
    assert network.read() == (163, 17), "eth0 was made anew"
    file.write_text(dev(lo=(5, 5), eth0=(3, 1), eth1=(1, 1)))
    assert network.read() == (164, 18)


def test_a_tap_is_seen_from_the_guest(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10)
    (host.proc / "10/fd").mkdir()
    (host.proc / "10/fd/7").symlink_to("/dev/net/tun")
    (host.proc / "10/fd/8").symlink_to("/dev/null")
    (host.proc / "10/fdinfo").mkdir()
    (host.proc / "10/fdinfo/7").write_text("pos:\t0\nflags:\t0104002\niff:\ttap3\n")
    tap(host, "tap3", rx=1000, tx=20)
    network = host.namespaces().network_of([10])
    assert network is not None
    assert network.read() == (20, 1000), "what the host received the guest sent"
    tap(host, "tap3", rx=1500, tx=20)
    assert network.read() == (20, 1500)
    tap(host, "tap3", rx=7, tx=5)
    assert network.read() == (25, 1507), "made anew, from 0"


def test_several_taps_named_by_a_mapping_and_one_that_comes_later(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10)
    tap(host, "tap1", 1, 2)
    network = host.namespaces().network_of([10], ("tap1", "tap2"))
    assert network is not None
    assert network.read() == (2, 1)
    tap(host, "tap2", 10, 20)
    assert network.read() == (22, 11)
    network.close()


def test_a_tap_inside_a_namespace_of_its_own_is_counted_alone(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(20, net="jail")
    (host.proc / "netns-jail").write_text(dev(lo=(1, 1), tap0=(100, 7), veth0=(7, 100)))
    network = host.namespaces().network_of([20], ("tap0",))
    assert network is not None
    assert network.read() == (7, 100)


def test_a_group_reads_its_one_tap_with_its_own_files_and_goes_on_without_it(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v2_root()
    host.v2_group("vm", [10])
    host.process(10)
    (host.proc / "10/fd").mkdir()
    (host.proc / "10/fd/7").symlink_to("/dev/net/tun")
    (host.proc / "10/fdinfo").mkdir()
    (host.proc / "10/fdinfo/7").write_text("iff:\ttap0\n")
    tap(host, "tap0", rx=1000, tx=20)
    source = host.source()
    (found,) = source.look({}, frozenset())[0]
    reader = source.open(found)
    assert reader.read(1)[-2:] == (20, 1000)
    tap(host, "tap0", rx=1500, tx=20)
    assert reader.read(2)[-2:] == (20, 1500)
    pair = next(Path(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if is_open_at(fd, host.net / "tap0/statistics/rx_bytes"))
    directory = os.open(tmp_path, os.O_RDONLY)
    os.dup2(directory, int(pair.name))  # as if it were gone: it cannot be read any more
    assert reader.read(3)[-2:] == (20, 1500), "what it counted stays, the group is still there"
    tap(host, "tap0", rx=7, tx=5)
    assert reader.read(4)[-2:] == (25, 1507), "made anew, from 0"
    assert not reader.refresh()
    tap(host, "tap0", rx=9, tx=5)
    assert reader.read(5)[-2:] == (25, 1509)
    reader.close()
    os.close(directory)


def is_open_at(fd: str, path: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == str(path)
    except OSError:
        return False
