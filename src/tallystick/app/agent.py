"""The agent on a host: collectors, spool and sender in one small process. `python -m tallystick.app.agent run`."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tallystick.app.agent_settings import AgentSettings, AgentSettingsError, load_settings
from tallystick.app.clock import HostClock, RandomIds
from tallystick.app.host.logs import log_as_json
from tallystick.app.host.metrics import MetricsPage, exposition
from tallystick.app.host.sources import declarations_of, host_boot_of, make_kernel_count_disks, raise_descriptor_limit, sources_of
from tallystick.app.telemetry.tracing import TracingUnavailable, traces_of
from tallystick.collect.collector import Collector, Earlier, Rules
from tallystick.collect.mapping import MappingError
from tallystick.collect.resource import GoneError, Reader
from tallystick.model.samples import COLUMNS
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.connection import Connection
from tallystick.spool.retry import Retry
from tallystick.spool.sender import Pulse, Sender, SenderRules
from tallystick.spool.spool import Spool, SpoolInUseError

log = logging.getLogger(__name__)

_LONGEST_LINGER_SECONDS = 5.0


class Agent:
    """Everything that runs, wired: `run` meters until `stop`."""

    def __init__(self, settings: AgentSettings, clock: HostClock | None = None) -> None:
        """Open the spool and the sources; nothing is sampled or sent yet.

        Raises:
            MappingError, SpoolInUseError, TracingUnavailable, OSError: a setting cannot be used.

        """
        self.settings = settings
        clock = self._clock = clock or HostClock()
        make_kernel_count_disks(settings)
        declarations = declarations_of(settings)
        host_boot = host_boot_of(settings.proc_root)
        ids = RandomIds()
        self.traces = traces_of(settings.traces_endpoint, "tally-agent", settings.traces_sample_percent)
        self.spool = Spool(
            settings.spool_directory,
            ids.new_id,
            limit_bytes=settings.spool_limit_bytes,
            trace_of=self.traces.batch if self.traces else None,
        )
        memory = self.spool.memory
        self.collector = Collector(
            sources=sources_of(settings, declarations, host_boot, clock),
            sink=self.spool,
            clock=clock,
            rules=Rules(
                interval_ns=settings.interval_ns,
                batch_size=settings.batch_size,
                batch_ns=settings.batch_seconds * 10**9,
                host_boot=host_boot,
            ),
            declarations=declarations,
            earlier=Earlier(at_ns=memory.at_ns, anchor_ns=memory.anchor_ns, host_boot=memory.host_boot, seen=memory.seen)
            if memory
            else None,
        )
        self.sender = Sender(
            backlog=self.spool.backlog,
            quarantine=self.spool.quarantine,
            connection=Connection(settings.endpoint, self._key, "tally-agent/1"),
            retry=Retry(lambda: int(ids.new_id()[:6], 16) / (1 << 24)),
            rules=SenderRules(
                instance_id=settings.agent_id,
                heartbeat_seconds=float(settings.heartbeat_interval_seconds),
                linger_seconds=min(_LONGEST_LINGER_SECONDS, settings.batch_seconds / 10),
                monotonic=lambda: clock.monotonic_ns() / 1e9,
                now_ns=self.collector.now_ns,
            ),
            pulse=self._pulse,
            command=self._command,
        )
        self._page = MetricsPage(settings.metrics_listen, self.metrics) if settings.metrics_listen else None

    def run(self) -> None:
        """Meter until `stop`; then close the last batches, send them within the time that the settings give, and end."""
        self.sender.start()
        settings = self.settings
        gc.freeze()  # what is there now stays; and ticks make no cycles: collections would only cost
        gc.set_threshold(20_000, 20, 20)
        log.info("agent_started", extra={"endpoint": settings.endpoint, "spool": str(settings.spool_directory), "host": settings.host})
        try:
            self.collector.run()
        finally:
            self.spool.flush(float(settings.stop_timeout_seconds))
            is_sent = self.sender.stop(float(settings.stop_timeout_seconds))
            self.collector.forget_sent()
            self.spool.close()
            if self._page:
                self._page.close()
            if self.traces:
                self.traces.close()
            left = self.spool.backlog.depth()
            samples = {"samples": self.collector.counts.samples, "samples_sent": self.sender.counts.samples}
            log.info("agent_stopped", extra={"all_sent": is_sent, "batches_left": left, **samples})

    def stop(self) -> None:
        """End `run`."""
        self.collector.stop()

    def flush(self) -> None:
        """Close all batches and send them, with a heartbeat, at once."""
        self.collector.flush(self.sender.heartbeat)

    def metrics(self) -> str:
        """The metrics page."""
        return exposition(self.collector, self.spool, self.sender, per_resource=self.settings.metrics_per_resource)

    def _key(self) -> str:
        """The API key, read for each request: a new one in the file is used at once."""
        if self.settings.key_file is None:
            return ""
        try:
            return self.settings.key_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            log.error("key_file_unreadable", extra={"key_file": str(self.settings.key_file), "error": str(error)})
            return ""

    def _pulse(self) -> Pulse:
        collector = self.collector
        return Pulse(
            handed_over_until_ns=collector.handed_over_until_ns,
            active_resources=collector.active,
            now_ns=collector.now_ns(),
            missed_ticks=collector.counts.missed_ticks,
            thinned_batches=self.spool.thinner.thinned,
            clock_synchronised=self._clock.is_synchronised(),
        )

    def _command(self, command: pb.Command) -> bool:
        """Carry out what the server asks; what this agent may not do is refused in the log and never confirmed."""
        match command.WhichOneof("action"):
            case "set_interval_ns" if command.set_interval_ns >= 10**7:
                self.collector.set_interval(command.set_interval_ns)
            case "flush":
                self.flush()
            case action:
                log.error("command_refused", extra={"id": command.id, "action": str(action)})
                return False
        return True


def run(settings: AgentSettings) -> int:
    """Meter this host until SIGTERM or SIGINT (a second one ends it at once); SIGUSR1 sends what there is. The exit status."""
    log_as_json(settings.log_level)
    if not settings.enabled:
        log.info("agent_disabled", extra={"detail": "enabled = false"})
        return 0
    raise_descriptor_limit()
    try:
        agent = Agent(settings)
    except (MappingError, SpoolInUseError, TracingUnavailable, OSError) as error:
        log.error("agent_not_started", extra={"error": str(error)})
        return 2

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        agent.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGUSR1, lambda number, frame: agent.flush())
    agent.run()
    return 0


def once(settings: AgentSettings, only: str | None = None) -> list[dict[str, object]]:
    """One reading of every resource, or of the one whose id or local name is `only`; nothing is spooled or sent."""
    clock = HostClock()
    declarations = declarations_of(settings)
    every = replace(settings, proc_minimum_cpu_ms=0)
    sources = sources_of(every, declarations, host_boot_of(settings.proc_root), clock)
    readings = []
    for source in sources:
        for found in source.look({}, frozenset())[0]:
            resource_id = declarations.resource_id(found)
            if only is not None and only not in (resource_id, found.local):
                continue
            try:
                reader = source.open(found)
            except GoneError:
                continue
            readings.append(_reading(resource_id, found.boot_id, reader, clock))
            reader.close()
    return sorted(readings, key=lambda reading: str(reading["resource_id"]))


def read(settings: AgentSettings, resource_id: str) -> dict[str, object] | None:
    """One reading of one resource, by id or local name; None: there is none that is metered."""
    return next(iter(once(settings, resource_id)), None)


def _reading(resource_id: str, boot_id: str, reader: Reader, clock: HostClock) -> dict[str, object]:
    row = reader.read(clock.now_ns())
    columns = {name: row[index] if reader.presence >> index & 1 else None for index, name in enumerate(COLUMNS)}
    return {"resource_id": resource_id, "boot_id": boot_id, **columns}


def main(arguments: Sequence[str] | None = None) -> int:
    """`run`, `read RESOURCE`, or `--once`: what `tally agent` does, without its dependencies."""
    parser = argparse.ArgumentParser(prog="tally agent", description="Meter this host.", epilog="example: tally agent read web.service")
    parser.add_argument("--once", action="store_true", help="print one reading of every resource and end")
    parser.add_argument("--config", type=Path, help="settings as TOML; TALLY_AGENT_* variables beat it")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("run", help="meter until SIGTERM")
    commands.add_parser("read", help="print one reading").add_argument("resource")
    asked = parser.parse_args(arguments)
    try:
        settings = load_settings(asked.config)
        if asked.once or asked.command == "read":
            logging.basicConfig(level="WARNING", format="%(message)s")
            raise_descriptor_limit()
            readings = once(settings, asked.resource if asked.command == "read" else None)
            for reading in readings:
                sys.stdout.write(json.dumps(reading) + "\n")
            if asked.command == "read" and not readings:
                sys.stderr.write(f"resource {asked.resource!r}: nothing of this id or name is metered on this host\n")
                return 1
            return 0
    except (AgentSettingsError, MappingError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if asked.command != "run":
        parser.print_help()
        return 2
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
