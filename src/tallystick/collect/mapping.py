"""Whose a resource is and what is declared of it: a mapping file, a path pattern, a default, its limits; else unassigned."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from tallystick.collect.patterns import customer_in, path_pattern
from tallystick.collect.resource import Found, Sizes
from tallystick.model.resources import Fact

_TEXTS = ("id", "customer", "name", "kind", "region")
_SIZES = ("vcpus", "memory_bytes", "disk_bytes", "gpus")


class MappingError(ValueError):
    """The mapping file is wrong; the message has a line for each mistake, with table, field and value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a mapping file says of one local name, or of all that its pattern matches."""

    local: str
    texts: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    taps: tuple[str, ...] = ()


NOTHING = Declared(local="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """All that settings and mapping file declare. The first table whose pattern is that of the local name holds."""

    host: str
    region: str = ""
    customer: str = ""
    customer_pattern: str = ""
    memory: str = "working_set"
    tables: tuple[Declared, ...] = ()

    def declared(self, local: str) -> Declared:
        """What the file says of a local name; the name itself beats a pattern, then the order of the file."""
        for table in self.tables:
            if table.local == local:
                return table
        return next((table for table in self.tables if path_pattern(table.local).fullmatch(local)), NOTHING)

    def resource_id(self, found: Found) -> str:
        """`{host}:{path}` or `{host}:{command}:{pid}`, unless the file gives an id."""
        return self.declared(found.local).texts.get("id") or f"{self.host}:{found.local}"

    def taps(self, local: str) -> tuple[str, ...]:
        """The taps that the file names for it."""
        return self.declared(local).taps

    def fact(self, found: Found, sizes: Sizes, at_ns: int) -> Fact:
        """What is declared of a resource from `at_ns` on. The file beats the pattern, that the default; the file's sizes beat limits."""
        said = self.declared(found.local)
        customer = said.texts.get("customer") or customer_in(found.local, self.customer_pattern) or self.customer
        basis = "resident" if found.source == "proc" else self.memory
        return Fact(
            resource_id=self.resource_id(found),
            at_ns=at_ns,
            received_at_ns=0,
            customer_id=customer or None,
            name=said.texts.get("name") or found.local,
            kind=said.texts.get("kind") or found.kind,
            region=said.texts.get("region") or self.region or None,
            labels={"memory": basis, **said.labels},
            vcpus=said.sizes.get("vcpus", sizes.vcpus),
            memory_bytes=said.sizes.get("memory_bytes", sizes.memory_bytes),
            disk_bytes=said.sizes.get("disk_bytes"),
            gpus=said.sizes.get("gpus"),
        )


def checksum(fact: Fact) -> int:
    """What tells whether a fact says anything new: all of it but its instants."""
    labels = sorted((fact.labels or {}).items())
    said = (fact.resource_id, fact.customer_id, fact.name, fact.kind, fact.region, labels, *(getattr(fact, size) for size in _SIZES))
    return crc32(repr(said).encode())


def load_tables(path: Path) -> tuple[Declared, ...]:
    """The tables of a mapping file (docs/agent.md): one for each local name or pattern.

    Raises:
        MappingError: one line for each mistake, with table, field and value.

    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"mapping_file {path}: {error}") from None
    mistakes: list[str] = []
    tables = [_table(local, table, mistakes) for local, table in content.items()]
    if mistakes:
        raise MappingError("\n".join(f"mapping_file {path}: {mistake}" for mistake in mistakes))
    return tuple(tables)


def _table(local: str, table: object, mistakes: list[str]) -> Declared:
    if not isinstance(table, dict):
        mistakes.append(f"{local} = {table!r}: must be a table")
        return NOTHING
    texts: dict[str, str] = {}
    sizes: dict[str, int] = {}
    labels: dict[str, str] = {}
    taps: tuple[str, ...] = ()
    for name, value in table.items():
        if name in _TEXTS and isinstance(value, str) and value:
            texts[name] = value
        elif name in _SIZES and type(value) is int and 0 <= value < 2**63:
            sizes[name] = value
        elif name == "labels" and isinstance(value, dict) and all(isinstance(one, str) for one in value.values()):
            labels = dict(value)
        elif name == "taps" and isinstance(value, list) and all(isinstance(one, str) and "/" not in one for one in value):
            taps = tuple(value)
        elif name in (*_TEXTS, *_SIZES, "labels", "taps"):
            mistakes.append(f"{local}.{name} = {value!r}: must be {_allowed(name)}")
        else:
            mistakes.append(
                f"{local}.{name} = {value!r}: there is no such field; there are {', '.join((*_TEXTS, *_SIZES, 'labels', 'taps'))}"
            )
    return Declared(local=local, texts=texts, sizes=sizes, labels=labels, taps=taps)


def _allowed(name: str) -> str:
    if name in _SIZES:
        return "a whole number, 0 or more"
    return {"labels": "a table of texts", "taps": "a list of interface names"}.get(name, "a text that is not empty")
