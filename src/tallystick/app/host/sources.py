"""The sources of this host by the agent's settings: control groups, processes, and what is declared of both."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Callable
from pathlib import Path

from tallystick.app.agent_settings import AgentSettings
from tallystick.app.clock import HostClock
from tallystick.collect.cgroup import CgroupRules, CgroupSource, write_throttle_rules
from tallystick.collect.groups import Choice
from tallystick.collect.hierarchies import find_hierarchies
from tallystick.collect.mapping import Declarations, load_tables
from tallystick.collect.network import Namespaces
from tallystick.collect.proc import ProcRules, ProcSource
from tallystick.collect.resource import Source

log = logging.getLogger(__name__)

PROC = Path("/proc")


def host_boot_of(proc_root: Path) -> str:
    """The id of this boot of the host, as the kernel tells it."""
    return (proc_root / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def declarations_of(settings: AgentSettings) -> Declarations:
    """What settings and mapping file declare.

    Raises:
        MappingError: the mapping file is wrong.

    """
    return Declarations(
        host=settings.host,
        region=settings.region,
        customer=settings.customer,
        customer_pattern=settings.customer_pattern,
        memory=settings.memory,
        tables=load_tables(settings.mapping_file) if settings.mapping_file else (),
    )


def sources_of(settings: AgentSettings, declarations: Declarations, host_boot: str, clock: HostClock) -> list[Source]:
    """The sources that are asked for; with `auto`, /proc too if no group can be metered now, which is said in one line."""
    namespaces = Namespaces(proc_root=str(settings.proc_root), net_root=str(settings.net_root))
    is_live = settings.proc_root == PROC
    groups = CgroupSource(
        CgroupRules(
            hierarchies=find_hierarchies(settings.cgroup_root),
            namespaces=namespaces,
            proc_root=str(settings.proc_root),
            host_boot=host_boot,
            working_set=settings.memory == "working_set",
            watches=is_live,
            choice=Choice(match=settings.cgroup_match, ignore=settings.cgroup_ignore),
            taps=declarations.taps,
        )
    )
    processes = ProcSource(
        ProcRules(
            root=str(settings.proc_root),
            host_boot=host_boot,
            match=settings.proc_match,
            minimum_cpu_ms=settings.proc_minimum_cpu_ms,
            namespaces=namespaces,
            process_cpu_ns=_process_clock(clock) if is_live else None,
            elsewhere=set if settings.source == "proc" else groups.processes,
        )
    )
    if settings.source == "proc":
        return [processes]
    if settings.source == "auto" and not groups.look({}, frozenset())[0]:
        detail = "no group below the root has both CPU accounting and a process: processes are metered through /proc"
        log.warning("no_group", extra={"detail": detail, "cgroup_root": str(settings.cgroup_root)})
        return [groups, processes]
    return [groups]


def _process_clock(clock: HostClock) -> Callable[[int], int] | None:
    """The scheduler's clock of a process, if this kernel lets us read it; else schedstat is summed over threads."""
    try:
        clock.process_cpu_ns(os.getpid())
    except OSError:
        return None
    return clock.process_cpu_ns


def raise_descriptor_limit() -> int:
    """Let this process open as many files as it ever may: each resource keeps five or so open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def make_kernel_count_disks(settings: AgentSettings) -> None:
    """Write the throttle rules that a setting names; what the kernel refuses is said, and disk columns stay absent."""
    root = find_hierarchies(settings.cgroup_root).v1.get("blkio")
    if settings.throttle_rule_devices and root:
        try:
            write_throttle_rules(root, settings.throttle_rule_devices)
        except OSError as error:
            log.error("throttle_rule_refused", extra={"error": str(error), "devices": settings.throttle_rule_devices})
