"""Settings of the host agent: environment (`TALLY_AGENT_*`) over a TOML file over defaults; a wrong one is refused by name and value.

A plain dataclass, no pydantic: the agent has 48 MiB (requirements C10, C12).
"""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PREFIX = "TALLY_AGENT_"
FILE_VARIABLE = "TALLY_AGENT_FILE"
NOT_OURS = frozenset({FILE_VARIABLE, "TALLY_AGENT_AWAY_SECONDS"})
"""What begins like a setting of the agent and is none: where its file is, and what the server is told of agents."""
DEFAULT_FILE = Path("/etc/tallystick/agent.toml")


class AgentSettingsError(ValueError):
    """A setting of the agent is wrong; the message has a line for each, with its name and value."""


def default_spool_directory() -> Path:
    """`/var/lib/tallystick/spool` for root, else `~/.local/share/tallystick/spool`; below `TALLY_STATE_DIR` if that is set."""
    state = os.environ.get("TALLY_STATE_DIR", "")
    if state:
        return Path(state) / "spool"
    return Path("/var/lib/tallystick/spool") if os.geteuid() == 0 else Path.home() / ".local" / "share" / "tallystick" / "spool"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What the agent is told. Names in the environment are these in capitals, after `TALLY_AGENT_`; tuples are comma-separated there."""

    enabled: bool = True
    endpoint: str = "http://localhost:8080"
    """Where the server is; a path is kept, and the rpc path appended."""
    key_file: Path | None = None
    """Holds the API key; none: no key is sent."""
    collection_interval_ms: int = 100
    batch_size: int = 600
    """A batch is closed at so many samples, or after `batch_seconds`, whichever is first."""
    batch_seconds: int = 60
    heartbeat_interval_seconds: int = 30
    spool_directory: Path = field(default_factory=default_spool_directory)
    spool_limit_bytes: int = 4 * 2**30
    """What the batches on disk may hold; beyond it those that were never sent are thinned (docs/spool.md)."""
    host: str = field(default_factory=socket.gethostname)
    """First part of every id that no mapping gives."""
    instance_id: str = ""
    """The agent's own id in heartbeats; empty: `host`."""
    region: str = ""
    """Sent as a fact of every resource; empty: none is sent."""
    source: str = "auto"
    """`cgroup`, `proc`, or `auto`: control groups, and /proc as well if at start no group can be metered."""
    memory: str = "working_set"
    """`working_set` (usage less inactive file) or `usage`; the choice is sent as the label `memory`."""
    mapping_file: Path | None = None
    """TOML tables by local name (docs/agent.md): id, customer, name, kind, region, labels, sizes, tap."""
    customer_pattern: str = ""
    """A path pattern with `{customer}` in it: `customers.slice/{customer}.slice/**`."""
    customer: str = ""
    """Whose a resource is that neither mapping nor pattern names; empty: unassigned."""
    cgroup_match: tuple[str, ...] = ()
    """Path patterns of the groups to meter, at the level at which they match; none: every group with a process of its own."""
    cgroup_ignore: tuple[str, ...] = ()
    """Path patterns of groups that are left out with all below them."""
    proc_match: tuple[str, ...] = ("*",)
    """Patterns of command names, or of whole command lines, of the processes to meter."""
    proc_minimum_cpu_ms: int = 100
    """A process is metered once it has used so much CPU time since it was first seen."""
    throttle_rule_devices: tuple[str, ...] = ()
    """`MAJ:MIN` of disks for which a v1 throttle rule that limits nothing is written at start, so that the kernel counts."""
    cgroup_root: Path = Path("/sys/fs/cgroup")
    proc_root: Path = Path("/proc")
    net_root: Path = Path("/sys/class/net")
    metrics_listen: str = ""
    """`127.0.0.1:9464`: where Prometheus reads the agent's own metrics; empty: nowhere."""
    metrics_per_resource: bool = False
    traces_endpoint: str = ""
    """Where traces go, a collector's OTLP over HTTP such as http://127.0.0.1:4318; empty: there are none, and no SDK in memory."""
    traces_sample_percent: int = 1
    """Of batches so many of a hundred are traced, from their ticks to the usage hour."""
    stop_timeout_seconds: int = 10
    """How long the agent may take at its end to send what is left."""
    log_level: str = "info"

    @property
    def interval_ns(self) -> int:
        """The collection interval in nanoseconds."""
        return self.collection_interval_ms * 10**6

    @property
    def agent_id(self) -> str:
        """The instance id of heartbeats."""
        return self.instance_id or self.host


_BOUNDS: Mapping[str, tuple[int, int]] = {
    "collection_interval_ms": (10, 3_600_000),
    "batch_size": (1, 40_000),
    "batch_seconds": (1, 3600),
    "heartbeat_interval_seconds": (1, 3600),
    "spool_limit_bytes": (2**20, 2**60),
    "proc_minimum_cpu_ms": (0, 3_600_000),
    "stop_timeout_seconds": (0, 600),
    "traces_sample_percent": (0, 100),
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "source": ("auto", "cgroup", "proc"),
    "memory": ("working_set", "usage"),
    "log_level": ("debug", "info", "warning", "error"),
}
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def load_settings(file: Path | None = None, environment: Mapping[str, str] | None = None) -> AgentSettings:
    """The settings of a file (`TALLY_AGENT_FILE`, else /etc/tallystick/agent.toml if it is there) under those of the environment.

    Raises:
        AgentSettingsError: one line for each that is wrong or unknown, with its name and value.

    """
    variables = os.environ if environment is None else environment
    mistakes: list[str] = []
    found: dict[str, tuple[str, object]] = {}
    path = file or (Path(variables[FILE_VARIABLE]) if variables.get(FILE_VARIABLE) else None)
    if path or DEFAULT_FILE.exists():
        found |= _of_file(path or DEFAULT_FILE, mistakes)
    for variable, text in variables.items():
        if variable.startswith(PREFIX) and variable not in NOT_OURS and text:
            found[variable.removeprefix(PREFIX).lower()] = (variable, text)
    values: dict[str, Any] = {}
    kinds = {item.name: str(item.type) for item in fields(AgentSettings)}
    for name, (said, value) in found.items():
        if name not in kinds:
            mistakes.append(f"{said} = {value!r}: there is no such setting of the agent")
            continue
        try:
            values[name] = _read(name, kinds[name], value)
        except ValueError as error:
            mistakes.append(f"{said} = {value!r}: {error}")
    if mistakes:
        raise AgentSettingsError("\n".join(mistakes))
    return AgentSettings(**values)


def _of_file(path: Path, mistakes: list[str]) -> dict[str, tuple[str, object]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        mistakes.append(f"{FILE_VARIABLE} = '{path}': {error}")
        return {}
    return {name: (f"{path}: {name}", value) for name, value in table.items()}


def _read(name: str, kind: str, value: object) -> object:
    """One value in the type of its field, checked.

    Raises:
        ValueError: it is none; the message says what is allowed.

    """
    readers: Mapping[str, Callable[[str, object], object]] = {"bool": _boolean, "int": _integer, "tuple[str, ...]": _names}
    if kind in readers:
        return readers[kind](name, value)
    if not isinstance(value, str):
        raise ValueError("must be text")
    return _path(name, value) if kind.startswith("Path") else _text(name, value)


def _boolean(name: str, value: object) -> bool:
    word = str(value).lower()
    if word not in _TRUE + _FALSE:
        raise ValueError("must be true or false")
    return word in _TRUE


def _integer(name: str, value: object) -> int:
    least, most = _BOUNDS[name]
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(text)


def _names(name: str, value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) and part.strip() for part in parts):
        raise ValueError("must be a list of texts")
    names = tuple(part.strip() for part in parts)
    if name == "throttle_rule_devices" and not all(all(half.isdigit() for half in part.split(":")) and ":" in part for part in names):
        raise ValueError("must be disks as MAJ:MIN, such as 254:0")
    return names


def _path(name: str, value: str) -> Path:
    path = Path(value)
    if name in ("key_file", "mapping_file") and not path.is_file():
        raise ValueError("there is no such file")
    if name in ("cgroup_root", "proc_root", "net_root") and not path.is_dir():
        raise ValueError("there is no such directory")
    if not path.is_absolute() and name == "spool_directory":
        raise ValueError("must be an absolute path")
    return path


def _text(name: str, value: str) -> str:
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"must be one of {', '.join(_CHOICES[name])}")
    if name in ("endpoint", "traces_endpoint"):
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be http://host:port or https://host:port")
        _ = parts.port  # a port that is none raises ValueError by itself
    if name == "metrics_listen":
        address, colon, port = value.rpartition(":")
        if not (colon and address and port.isdigit() and int(port) < 65536):
            raise ValueError("must be address:port")
    if name == "host" and not value.strip():
        raise ValueError("must not be empty")
    if name == "customer_pattern" and "{customer}" not in value:
        raise ValueError("must hold {customer}")
    return value
