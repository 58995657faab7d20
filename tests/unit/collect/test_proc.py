from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tallystick.collect.proc import ProcRules, ProcSource
from tallystick.collect.resource import CPU, DISK_BYTES, MEASURED_AT, MEMORY, NETWORK, GoneError
from tests.unit.collect.trees import BOOT, Host


def source_of(
    host: Host, *, match: tuple[str, ...] = ("*",), minimum_cpu_ms: int = 0, elsewhere: frozenset[int] = frozenset()
) -> ProcSource:
    rules = ProcRules(
        root=str(host.proc),
        host_boot=BOOT,
        match=match,
        minimum_cpu_ms=minimum_cpu_ms,
        namespaces=host.namespaces(),
        process_cpu_ns=None,
        elsewhere=lambda: set(elsewhere),
    )
    return ProcSource(rules)


def locals_of(source: ProcSource) -> list[str]:
    return sorted(found.local for found in source.look({}, frozenset())[0])


def test_processes_without_kernel_threads_zombies_and_what_is_metered_elsewhere(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, command="python3")
    host.process(11, command="kworker/0:1", kernel=True)
    host.process(12, command="gone")
    host.stat(12, command="gone", state="Z")
    host.process(13, command="grouped")
    assert locals_of(source_of(host, elsewhere=frozenset({13}))) == ["init:1", "python3:10"]


def test_patterns_are_of_commands_or_command_lines(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, command="python3")
    assert locals_of(source_of(host, match=("py*",))) == ["python3:10"]
    assert locals_of(source_of(host, match=("*bin/python3 --flag",))) == ["python3:10"]


def test_the_least_cpu_counts_from_first_sight(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, command="old", ticks=5000)
    source = source_of(host, minimum_cpu_ms=100)
    assert locals_of(source) == [], "what it used before the agent looked does not count"
    host.stat(10, command="old", ticks=5009)
    assert locals_of(source) == []
    host.stat(10, command="old", ticks=5010)
    host.process(11, command="new", ticks=10)
    assert locals_of(source) == ["new:11", "old:10"]


def test_a_process_that_has_not_called_exec_yet_is_asked_again(tmp_path: Path) -> None:
    host = Host(tmp_path)
    source = source_of(host, match=("load",))
    assert locals_of(source) == []
    host.process(10, command="shell")
    found, others = source.look({}, frozenset())
    assert found == []
    assert not any("10" in key.rpartition(":")[2] for key in others), "not seen yet: its start may still be told"
    host.stat(10, command="load")
    assert locals_of(source) == ["load:10"]


def test_threads_are_summed_and_what_ended_ones_used_stays(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, command="many", start=99, net="inside")
    host.thread(10, 10, 1_000)
    host.thread(10, 11, 500)
    source = source_of(host)
    found = next(one for one in source.look({}, frozenset())[0] if one.pid == 10)
    assert found.boot_id == f"{BOOT}/99"
    reader = source.open(found)
    assert reader.presence == MEASURED_AT | CPU | MEMORY | DISK_BYTES | NETWORK
    page = reader.read(3)[1] // 250
    assert reader.read(3) == (3, 250 * page, 1_500, 8192, 4096, 0, 0, 90, 180)
    shutil.rmtree(host.proc / "10/task/11")
    host.thread(10, 10, 1_200)
    host.thread(10, 12, 7)
    assert reader.read(4)[2] == 1_707
    assert reader.read(5)[2] == 1_707
    shutil.rmtree(host.proc / "10")
    assert reader.is_empty()
    with pytest.raises(GoneError):
        reader.read(6)


def test_a_number_that_was_given_again_is_another_incarnation(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.process(10, command="a", start=1)
    host.thread(10, 10, 5)
    source = source_of(host)
    found = next(one for one in source.look({}, frozenset())[0] if one.pid == 10)
    host.stat(10, command="a", start=2)
    with pytest.raises(GoneError):
        source.open(found)
    again = next(one for one in source.look({}, frozenset())[0] if one.pid == 10)
    assert again.boot_id != found.boot_id
