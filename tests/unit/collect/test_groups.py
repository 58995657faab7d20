from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.collect.hierarchies import domain_of, find_hierarchies
from tallystick.collect.resource import CPU, DISK_BYTES, DISK_OPS, MEASURED_AT, MEMORY, NETWORK, GoneError, Sizes
from tests.unit.collect.trees import BOOT, Host, recorded


@pytest.mark.parametrize(
    ("path", "domain"),
    [
        ("machine/qemu-1-vm.libvirt-qemu/emulator", "machine/qemu-1-vm.libvirt-qemu"),
        ("machine/qemu-1-vm.libvirt-qemu/vcpu0", "machine/qemu-1-vm.libvirt-qemu"),
        ("machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/vcpu12", "machine.slice/machine-qemu\\x2d1\\x2dvm.scope"),
        ("lxc/101/ns/init.scope", "lxc/101"),
        ("system.slice/web.service", "system.slice/web.service"),
        ("libvirt/qemu/vm", "libvirt/qemu/vm"),
        ("a/vcpus", "a/vcpus"),
    ],
)
def test_the_domain_is_above_its_helpers(path: str, domain: str) -> None:
    assert domain_of(path) == domain


def test_hierarchies_are_decided_by_controller(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v1_root("cpuacct", "memory", "blkio")
    host.v2_root("unified")
    found = find_hierarchies(host.cgroup)
    assert set(found.v1) == {"cpuacct", "memory", "blkio"}
    assert found.v2 == str(host.cgroup / "unified")
    assert [v1 for _, v1 in found.cpu_roots] == [True, False]


def test_v2_meters_leaves_with_processes_and_domains_above_helpers(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v2_root()
    host.v2_group("system.slice", [], populated=True)
    host.v2_group("system.slice/web.service", [10])
    host.v2_group("system.slice/idle.service", [])
    host.v2_group("machine.slice", [], populated=True)
    host.v2_group("machine.slice/vm.scope", [], populated=True)
    host.v2_group("machine.slice/vm.scope/libvirt", [], populated=True)
    host.v2_group("machine.slice/vm.scope/libvirt/emulator", [11])
    host.v2_group("machine.slice/vm.scope/libvirt/vcpu0", [12])
    host.v2_group("lxc", [], populated=True)
    host.v2_group("lxc/101", [], populated=True)
    host.v2_group("lxc/101/ns", [13], populated=True)
    host.v2_group("lxc/101/ns/cron.service", [14])
    assert host.locals(host.source()) == ["lxc/101", "machine.slice/vm.scope", "system.slice/web.service"]


def test_patterns_say_the_level_and_what_is_left_out(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v2_root()
    host.v2_group("kubepods", [], populated=True)
    host.v2_group("kubepods/pod1", [], populated=True)
    host.v2_group("kubepods/pod1/a", [10])
    host.v2_group("kubepods/pod1/b", [11])
    host.v2_group("system", [12])
    assert host.locals(host.source(match=("kubepods/pod*",))) == ["kubepods/pod1"]
    assert host.locals(host.source(ignore=("kubepods",))) == ["system"]


def test_a_v2_sample_has_all_that_the_kernel_counts(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v2_root()
    host.process(10, net="inside")
    group = host.v2_group("web", [10])
    source = host.source()
    (found,), _ = source.look({}, frozenset())
    assert found.boot_id == f"{BOOT}/{group.stat().st_ino}"
    reader = source.open(found)
    assert reader.presence == MEASURED_AT | CPU | MEMORY | DISK_BYTES | DISK_OPS | NETWORK
    working_set = 13_840_384 - 12_673_024
    assert reader.read(7) == (7, working_set, 3_085_848_000, 10_466_304, 12_582_912, 263, 12, 90, 180)
    (group / "memory.current").write_text("1000\n")
    assert reader.read(8)[1] == 0, "never below 0"
    reader.close()
    usage = host.source(working_set=False)
    (found,), _ = usage.look({}, frozenset())
    (group / "memory.current").write_text("13840384\n")
    assert usage.open(found).read(9)[1] == 13_840_384


def test_what_is_not_there_is_absent_and_found_when_it_comes(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v2_root()
    group = host.v2_group("web", [10], files=False)
    (group / "cpu.stat").write_text(recorded("v2-cpu.stat-no-cpu-controller"))
    host.process(10)
    source = host.source()
    (found,), _ = source.look({}, frozenset())
    reader = source.open(found)
    assert reader.presence == MEASURED_AT | CPU, "no memory, no io controller, and the host's network"
    (group / "memory.current").write_text("4096\n")
    assert reader.refresh(), "a column came"
    assert reader.presence == MEASURED_AT | CPU | MEMORY
    assert reader.read(1)[1] == 4096


def test_v1_reads_each_controller_in_its_hierarchy(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v1_root("cpuacct", "memory", "blkio", "cpu")
    host.process(10)
    for controller in ("cpuacct", "memory", "blkio", "cpu"):
        host.v1_group(controller, "tally/vm1", [10])
    cpu = host.cgroup / "cpu/tally/vm1"
    (cpu / "cpu.cfs_quota_us").write_text("200000\n")
    (cpu / "cpu.cfs_period_us").write_text("100000\n")
    (host.cgroup / "memory/tally/vm1/memory.limit_in_bytes").write_text("1073741824\n")
    source = host.source()
    (found,), _ = source.look({}, frozenset())
    assert found.boot_id == f"{BOOT}/{(host.cgroup / 'cpuacct/tally/vm1').stat().st_ino}"
    reader = source.open(found)
    assert reader.read(5) == (5, 4_780_032 - 4_194_304, 526_275_358, 0, 12_587_008, 0, 12, 0, 0)
    assert reader.sizes() == Sizes(vcpus=2, memory_bytes=1 << 30)


def test_a_dead_v1_disk_counter_is_no_measurement(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v1_root("cpuacct", "blkio")
    host.blkio_files(host.cgroup / "blkio", dead=True)
    for controller in ("cpuacct", "blkio"):
        host.v1_group(controller, "vm1", [10])
    source = host.source()
    (found,), _ = source.look({}, frozenset())
    assert source.open(found).presence == MEASURED_AT | CPU


def test_memory_of_another_path_counts_only_if_nobody_else_is_in_it(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v1_root("cpuacct", "memory")
    lines = "4:memory:/pool\n2:cpuacct:/vm1\n"
    host.process(10, cgroup=lines)
    host.v1_group("cpuacct", "vm1", [10])
    pool = host.v1_group("memory", "pool", [10, 11])
    source = host.source()
    (found,), _ = source.look({}, frozenset())
    assert not source.open(found).presence & MEMORY, "two live in this memory"
    (pool / "cgroup.procs").write_text("10\n")
    assert source.open(found).presence & MEMORY


def test_hybrid_meters_each_process_in_one_hierarchy_only(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v1_root("cpuacct", "memory")
    host.v2_root("unified")
    domain = "machine/qemu-1-tally1.libvirt-qemu"
    host.process(10, cgroup=recorded("proc-pid-cgroup-hybrid-libvirt.txt"))
    host.v1_group("memory", domain, [10])
    host.v2_group(domain, [], at="unified", populated=True)
    host.v2_group(f"{domain}/emulator", [10], at="unified")
    host.process(20, cgroup="2:cpuacct:/docker/abc\n0::/docker/abc\n")
    host.v1_group("cpuacct", "docker/abc", [20])
    host.v2_group("docker/abc", [20], at="unified")
    for pid, name in ((30, "a"), (31, "b")):
        host.process(pid, cgroup=f"2:cpuacct:/system.slice\n0::/system.slice/{name}.service\n")
        host.v2_group(f"system.slice/{name}.service", [pid], at="unified")
    host.v1_group("cpuacct", "system.slice", [30, 31])
    source = host.source()
    found = {one.local: one for one in source.look({}, frozenset())[0]}
    assert sorted(found) == ["docker/abc", domain, "system.slice/a.service", "system.slice/b.service"]
    reader = source.open(found[domain])
    assert reader.read(1)[:3] == (1, 4_780_032 - 4_194_304, 3_085_848_000), "CPU from v2, memory from v1"
    assert source.open(found["docker/abc"]).read(1)[2] == 526_275_358, "CPU to the nanosecond where v1 has it"


def test_a_group_with_a_past_is_told_apart_from_a_new_one(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v2_root()
    used = host.v2_group("used", [])
    fresh = host.v2_group("fresh", [])
    (fresh / "cpu.stat").write_text("usage_usec 0\n")
    source = host.source()
    found, others = source.look({}, frozenset())
    assert found == []
    assert [key.partition(" ")[2] for key in others] == ["used"]
    host.populate(used, [10])
    host.populate(fresh, [11])
    found, others = source.look({}, frozenset())
    assert sorted(one.local for one in found) == ["fresh", "used"]


def test_what_is_metered_stays_metered_below_a_process_that_appears_above(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v2_root()
    pod = host.v2_group("pod", [], populated=True)
    host.v2_group("pod/a", [10])
    source = host.source()
    found, _ = source.look({}, frozenset())
    running = {one.key: one for one in found}
    host.populate(pod, [9])
    again, others = source.look(running, frozenset())
    assert [one.local for one in again] == ["pod/a"]
    assert [key.partition(" ")[2] for key in others] == ["pod"]


def test_emptiness_and_what_is_gone(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v2_root()
    group = host.v2_group("web", [10])
    source = host.source()
    (found,), _ = source.look({}, frozenset())
    reader = source.open(found)
    assert not reader.is_empty()
    host.populate(group, [])
    assert reader.is_empty()
    assert [one.key for one in source.look({}, frozenset({found.key}))[0]] == [found.key], "it ended while the agent was away"
    (group / "cpu.stat").unlink()
    with pytest.raises(GoneError):
        source.open(found)


def test_v1_emptiness_looks_below(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.v1_root("cpuacct")
    host.v1_group("cpuacct", "vm", [])
    below = host.v1_group("cpuacct", "vm/emulator", [10])
    source = host.source()
    (found,), _ = source.look({}, frozenset())
    assert found.local == "vm"
    reader = source.open(found)
    assert not reader.is_empty()
    (below / "cgroup.procs").write_text("")
    assert reader.is_empty()
