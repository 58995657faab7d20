"""Settings of server and worker: environment (`TALLY_*`) over a TOML file over defaults; a wrong one is refused by name and value."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

MEBIBYTE = 2**20
_PASSWORD = re.compile(r"://[^@/]*@")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def default_state_dir() -> Path:
    """`/var/lib/tallystick` for root, else `~/.local/share/tallystick`."""
    return Path("/var/lib/tallystick") if os.geteuid() == 0 else Path.home() / ".local" / "share" / "tallystick"


class SettingsError(ValueError):
    """A setting is wrong; the message has a line for each, with its name and value."""


class Listener(BaseModel):
    """A second address whose callers need no key, because reaching it is proof enough: loopback, or behind client certificates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str
    scope: str = "default"
    seller: str = "default"

    @field_validator("listen")
    @classmethod
    def _an_address(cls, value: str) -> str:
        split_address(value)
        return value


class Settings(BaseSettings):
    """What server and worker are told. Names in the environment are these in capitals, after `TALLY_`."""

    model_config = SettingsConfigDict(env_prefix="TALLY_", env_nested_delimiter="__", env_ignore_empty=True, extra="ignore", frozen=True)

    state_dir: Path = Field(default_factory=default_state_dir)
    """Where the SQLite file, the first admin key and the spool of `tally up` lie."""
    store_url: str = ""
    """`sqlite:///file` or `postgresql://...`; empty: `tallystick.db` in `state_dir`."""
    listen: str = "127.0.0.1:8080"
    listeners: Annotated[tuple[Listener, ...], NoDecode] = ()
    grpc_listen: str = ""
    """Where gRPC answers; empty: nowhere. The main port speaks Connect and gRPC-Web."""
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    """Worker processes that the server starts."""
    clock_file: Path | None = None
    """For replays: a file that holds the present instant in nanoseconds."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    """With it every connection must show a client certificate of this authority (mTLS); who calls is still said by the key."""
    message_limit_bytes: Annotated[int, Field(ge=64 * 1024, le=64 * MEBIBYTE)] = 4 * MEBIBYTE
    """The largest request, also after decompression."""
    ingest_queue_bytes: Annotated[int, Field(ge=MEBIBYTE, le=4096 * MEBIBYTE)] = 32 * MEBIBYTE
    """How much may be under way, from the head of a request to its answer, before the next is answered `resource_exhausted`."""
    ingest_queue_requests: Annotated[int, Field(ge=10, le=1_000_000)] = 4000
    """How many requests may be under way at once."""
    key_bytes_per_second: Annotated[int, Field(ge=0)] = 64 * MEBIBYTE
    """How much a key may send in a second, ten times as much at once; 0: as much as it can. A key may have limits of its own."""
    key_requests_per_second: Annotated[int, Field(ge=0)] = 2000
    ingest_group_ms: Annotated[int, Field(ge=0, le=1000)] = 5
    """How long requests are collected for one transaction."""
    rollup_interval_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1000
    """How long a worker waits between two looks for hours to compute."""
    closing_interval_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 5000
    """How long a worker waits between two looks for periods to close."""
    agent_away_seconds: Annotated[int, Field(ge=10, le=86_400)] = 75
    """How long after its last heartbeat an agent is called away."""
    watch_interval_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 15_000
    """How long a worker waits between two looks at who is away."""
    clock_offset_limit_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 1000
    """How far an agent's clock may be from the server's before it is warned of."""
    disk_horizon: Literal["clock", "resource"] = "clock"
    """Until when a disk is held that nobody deleted: the clock's current hour, or (for replays) the last hour told of its resource."""
    traces_endpoint: str = ""
    """Where traces go, a collector's OTLP over HTTP such as http://127.0.0.1:4318; empty: there are none."""
    traces_sample_percent: Annotated[int, Field(ge=0, le=100)] = 1
    """Of the traces that begin at the server, so many of a hundred are recorded; of those that begin elsewhere what they say."""
    daemon_interval_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 100
    """The sampling interval of VM daemons and collectors, which do not say it; a key's profile wins over this and the next two."""
    daemon_counters: Literal["cumulative", "per_sample"] = "cumulative"
    """What their counters are: sums since they started, or what was used since the sample before."""
    retention: Literal["daily", "continuous", "off"] = "daily"
    """When old rows are deleted: each night at `retention_at` (in the zone of the first seller), all the time, or never."""
    retention_at: str = "03:00"
    retention_payload_hours: Annotated[int, Field(ge=1, le=876_000)] = 72
    """How long raw samples are kept after they were received."""
    retention_segment_days: Annotated[int, Field(ge=0, le=36_500)] = 30
    """How long segments are kept after the invoices of their period; then their hours are sealed."""
    retention_hour_days: Annotated[int, Field(ge=0, le=36_500)] = 30
    """How long usage hours are kept after the invoices of their period, which keep them as evidence."""
    retention_day_days: Annotated[int, Field(ge=31, le=36_500)] = 365
    retention_request_days: Annotated[int, Field(ge=1, le=36_500)] = 7
    """How long the answers to requests with an idempotency key are kept."""
    retention_message_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    """How long delivered messages are kept."""
    retention_quarantine_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    archive_directory: Path | None = None
    """Where raw samples are moved to, as Parquet files, before their rows are deleted; needs the extra `parquet`."""
    nobody_customers: Annotated[tuple[str, ...], NoDecode] = ("default-customer",)
    """Customer ids that mean nobody: what comes under them is held as unassigned."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code, then the environment; `load_settings` lays the file under both."""
        return (init_settings, env_settings)

    @field_validator("nobody_customers", mode="before")
    @classmethod
    def _a_list_of_ids(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("listeners", mode="before")
    @classmethod
    def _listeners_as_text(cls, value: object) -> object:
        """`127.0.0.1:8081=scope` with commas between, as an environment can hold it."""
        if not isinstance(value, str):
            return value
        pairs = (part.strip().partition("=") for part in value.split(",") if part.strip())
        return tuple({"listen": address, "scope": scope or "default"} for address, _, scope in pairs)

    @field_validator("listen", "grpc_listen")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if value:
            split_address(value)
        return value

    @field_validator("retention_at")
    @classmethod
    def _a_time_of_day(cls, value: str) -> str:
        if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
            raise ValueError("must be HH:MM such as 03:00")
        return value

    @field_validator("store_url")
    @classmethod
    def _a_known_store(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:", "postgresql:", "postgresql+psycopg:")):
            raise ValueError("must be sqlite:///FILE or postgresql://USER@HOST/DATABASE")
        return value

    @field_validator("traces_endpoint")
    @classmethod
    def _an_http_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must be http://host:port or https://host:port")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError(f"tls_certificate = {str(self.tls_certificate)!r}, tls_key = {str(self.tls_key)!r}: they go together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError(f"tls_client_ca = {str(self.tls_client_ca)!r} needs tls_certificate and tls_key")
        for name in ("tls_certificate", "tls_key", "tls_client_ca", "clock_file"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name} = {str(path)!r}: no such file")
        if self.retention_hour_days < self.retention_segment_days:
            told = f"retention_hour_days = {self.retention_hour_days}, retention_segment_days = {self.retention_segment_days}"
            raise ValueError(f"{told}: hours are kept at least as long as the segments that they are made of")
        if self.archive_directory is not None and find_spec("pyarrow") is None:
            raise ValueError(f"archive_directory = {str(self.archive_directory)!r} needs pyarrow: install tallystick[parquet]")
        for listener in self.listeners:
            if split_address(listener.listen)[0] not in LOOPBACK and self.tls_client_ca is None:
                raise ValueError(f"listeners: {listener.listen!r} is neither loopback nor behind tls_client_ca: it would let anyone write")
        return self

    @property
    def url(self) -> str:
        """The URL of the store."""
        return self.store_url or f"sqlite:///{self.state_dir / 'tallystick.db'}"

    @property
    def admin_key_file(self) -> Path:
        """Where the first admin key is kept, readable for its owner only."""
        return self.state_dir / "admin.key"


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080` or `[::1]:8080`.

    Raises:
        ValueError: the text is no such address.

    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT such as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def load_settings(file: Path | None = None, **given: object) -> Settings:
    """Settings: `given` over the environment over a TOML file (`TALLY_CONFIG` if none is named) over defaults.

    Raises:
        SettingsError: a setting is wrong or unknown; all of them are named, each with its value.

    """
    path = file or (Path(os.environ["TALLY_CONFIG"]) if os.environ.get("TALLY_CONFIG") else None)
    in_file = _from_toml(path) if path else {}
    values = {**{name: value for name, value in in_file.items() if not os.environ.get(f"TALLY_{name.upper()}")}, **given}
    unknown = sorted(set(values) - set(Settings.model_fields))
    if unknown:
        raise SettingsError("\n".join(f"setting {name} = {values[name]!r}: no such setting" for name in unknown))
    try:
        return Settings(**cast("dict[str, Any]", values))
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(each) for each in error.errors())) from None


def _from_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}") from None


def _sentence(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return f"settings: {message}"
    name = ".".join(map(str, error["loc"]))
    shown = _PASSWORD.sub("://***@", repr(error["input"]))
    return f"setting {name} (TALLY_{str(error['loc'][0]).upper()}) = {shown}: {message}"
