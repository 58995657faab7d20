from __future__ import annotations

import pytest

from tallystick.collect import parse
from tests.unit.collect.trees import RECORDED


def raw(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def test_v2_cpu_is_microseconds_made_nanoseconds() -> None:
    assert parse.cpu_stat_nanos(raw("v2-cpu.stat")) == 3_085_848_000
    assert parse.cpu_stat_nanos(raw("v2-cpu.stat-no-cpu-controller")) == 525_514_000
    assert parse.cpu_stat_nanos(b"user_usec 1\nusage_usec 7\n") == 7000


def test_inactive_file_is_hierarchical_on_v1() -> None:
    assert parse.inactive_file_bytes(raw("v2-memory.stat"), v1=False) == 12_673_024
    assert parse.inactive_file_bytes(raw("v1-memory.stat"), v1=True) == 4_194_304


@pytest.mark.parametrize("text", [b"", b"usage 5\n", b"xusage_usec 5\n"])
def test_a_text_without_the_key_is_an_error_and_not_zero(text: bytes) -> None:
    with pytest.raises(ValueError, match="usage_usec"):
        parse.cpu_stat_nanos(text)


def test_v2_io_sums_devices_and_skips_what_it_does_not_know() -> None:
    assert parse.io_stat(raw("v2-io.stat")) == (10_466_304, 12_582_912, 263, 12)
    assert parse.io_stat(raw("v2-io.stat-fresh-empty")) == (0, 0, 0, 0)
    odd = b"8:0\n254:0 rbytes=1 wbytes=2 rios=3 wios=4 cost.usage=99\n259:0 rbytes=10\n"
    assert parse.io_stat(odd) == (11, 2, 3, 4)


def test_v1_blkio_sums_read_and_write_rows_only() -> None:
    assert parse.blkio_sums(raw("v1-blkio.throttle.io_service_bytes_recursive")) == (0, 12_587_008)
    assert parse.blkio_sums(raw("v1-blkio-three-devices.txt")) == (180_224, 939_524_096)
    assert parse.blkio_sums(raw("v1-blkio.throttle.io_serviced_recursive")) == (0, 12)


def test_a_v1_counter_without_devices_is_dead() -> None:
    assert parse.blkio_has_devices(raw("v1-blkio.throttle.io_service_bytes_recursive"))
    assert not parse.blkio_has_devices(raw("v1-blkio.throttle.io_service_bytes_recursive-no-rule"))


def test_interfaces_without_loopback_and_with_names_that_stick() -> None:
    assert parse.interfaces(raw("proc-pid-net-dev.txt")) == {"tlv1": (90, 180)}
    stuck = b"h\nh\neth0:1234 1 0 0 0 0 0 0 5678 2 0 0 0 0 0 0\n"
    assert parse.interfaces(stuck) == {"eth0": (1234, 5678)}


def test_limits_are_sizes_only_if_set_and_whole() -> None:
    assert parse.cpu_max_vcpus(b"200000 100000\n") == 2
    assert parse.cpu_max_vcpus(b"150000 100000\n") is None
    assert parse.cpu_max_vcpus(b"max 100000\n") is None
    assert parse.whole_vcpus(-1, 100000) is None
    assert parse.limit_bytes(b"max\n") is None
    assert parse.limit_bytes(b"9223372036854771712\n") is None
    assert parse.limit_bytes(b"4294967296\n") == 4 << 30


def test_the_groups_of_a_process_line_by_controller() -> None:
    paths = parse.proc_cgroup_paths(raw("proc-pid-cgroup-hybrid-libvirt.txt"))
    assert paths["memory"] == "machine/qemu-1-tally1.libvirt-qemu"
    assert paths["cpuacct"] == ""
    assert paths[""] == "machine/qemu-1-tally1.libvirt-qemu/emulator"


def test_proc_stat_counts_from_the_last_bracket() -> None:
    fields = "S 1 1 1 0 -1 2097216 0 0 0 0 12 30 0 0 20 0 1 0 777 1"
    stat = parse.ProcStat(f"42 (a) b (c)) {fields}".encode())
    assert (stat.command, stat.cpu_ticks, stat.start_ticks, stat.is_kernel_thread, stat.is_zombie) == ("a) b (c)", 42, 777, True, False)
    with pytest.raises((ValueError, IndexError)):
        parse.ProcStat(b"")
