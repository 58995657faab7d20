"""Raw samples as Parquet files: written before their rows are deleted, read by `explain`, `check` and any other tool.

`DIRECTORY/day=2026-03-10/scope=SELLER~SCOPE/NAME.parquet`: one row per sample, in order of resource and instant; docs/retention.md
has the columns. A file is in its place and on the disk before the store knows it, and the store knows it before any row goes: so
nothing is lost; and what the store does not know is removed before anything else is written: so nothing is there twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import numpy as np

from tallystick.app.jobs.rollup import LARGEST_BATCH_BYTES
from tallystick.app.logs import logger
from tallystick.meter.planes import decode
from tallystick.meter.samples import Samples, present
from tallystick.model.access import Place
from tallystick.model.instants import DAY_NS, iso
from tallystick.model.outcomes import Refusal
from tallystick.model.samples import COLUMNS, DIFFERENCES, MEASURED_AT
from tallystick.store.retention.archived import ArchivedFile, ArchivedPayload
from tallystick.store.store import Store

UNFINISHED = "_unfinished"
"""A folder that tools pass over, as its name begins so."""
Arrow = Any
"""A value of pyarrow, which has no types."""
LEVEL = 3


class ArchiveUnavailable(Exception):  # noqa: N818 (it is a state of the world, not a fault)
    """The setting `archive_directory` cannot be followed; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBatch:
    """The samples of one batch, or the part of them that was asked for, from the files."""

    batch_key: int
    boot_id: str
    samples: Samples


def parquet() -> tuple[ModuleType, ModuleType]:
    """`pyarrow` and `pyarrow.parquet`.

    Raises:
        ArchiveUnavailable: they are not installed.

    """
    try:
        import pyarrow  # type: ignore[import-untyped]  # noqa: PLC0415 (it has no types; only who has an archive pays for it)
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: PLC0415 (as above)
    except ImportError:
        raise ArchiveUnavailable("archive_directory (TALLY_ARCHIVE_DIRECTORY) needs pyarrow: install tallystick[parquet]") from None
    return pyarrow, pyarrow.parquet


class Archive:
    """The files below one directory."""

    def __init__(self, directory: Path, store: Store) -> None:
        self._directory = directory
        self._store = store

    def forget_unfinished(self) -> None:
        """Remove the files that were being written when a clean-up ended before the store knew them."""
        folder = self._directory / UNFINISHED
        for marker in sorted(folder.glob("*")) if folder.is_dir() else ():
            path = marker.read_text(encoding="utf-8")
            if path and not self._store.archived.knows(path):
                for each in (self._directory / path, _unnamed(self._directory / path)):
                    each.unlink(missing_ok=True)
            marker.unlink()

    def write(self, batch_keys: Sequence[int], now_ns: int) -> list[ArchivedFile]:
        """Write the samples of batches into files, durably; they count once `Store.archived.add` is committed with what is returned."""
        payloads = self._store.archived.payloads(batch_keys)
        parts: dict[tuple[int, int], list[tuple[ArchivedPayload, Samples]]] = {}
        for payload in payloads:
            samples = decode(payload.body, payload.interval_ns, LARGEST_BATCH_BYTES)
            if isinstance(samples, Refusal):
                logger("archive").error("samples cannot be read", batch=payload.batch_key, detail=samples.sentence())
                continue
            for day, part in _by_day(samples):
                parts.setdefault((payload.scope_key, day * DAY_NS), []).append((payload, part))
        return [self._write_file(day_ns, part, now_ns) for (_, day_ns), part in sorted(parts.items(), key=lambda item: item[0])]

    def finish(self, files: Iterable[ArchivedFile]) -> None:
        """The store knows these files: they are no longer unfinished."""
        for each in files:
            (self._directory / UNFINISHED / f"{Path(each.path).name}.note").unlink(missing_ok=True)

    def _write_file(self, day_ns: int, part: Sequence[tuple[ArchivedPayload, Samples]], now_ns: int) -> ArchivedFile:
        arrow, writer = parquet()
        first = part[0][0]
        keys = sorted({payload.batch_key for payload, _ in part})
        name = f"{now_ns}-{keys[0]}-{keys[-1]}-{first.scope_key}.parquet"
        scope = f"{quote(first.place.seller_id, safe='')}~{quote(first.place.scope_id, safe='')}"
        path = Path(f"day={iso(day_ns)[:10]}") / f"scope={scope}" / name
        final = self._directory / path
        _make(self._directory / UNFINISHED / f"{name}.note", str(path).encode())
        final.parent.mkdir(parents=True, exist_ok=True)
        table = _table(arrow, sorted(part, key=lambda each: (each[0].resource_id, int(each[1].values[0, 0]), each[0].batch_key)))
        sink = arrow.BufferOutputStream()
        writer.write_table(table, sink, compression="zstd", compression_level=LEVEL, row_group_size=100_000)
        body = sink.getvalue().to_pybytes()
        _make(_unnamed(final), body)
        _unnamed(final).rename(final)
        for folder in (final.parent, final.parent.parent, self._directory):
            _settle(folder)
        return ArchivedFile(
            scope_key=first.scope_key,
            day_ns=day_ns,
            path=str(path),
            batch_keys=tuple(keys),
            samples=table.num_rows,
            size_bytes=len(body),
            digest=sha256(body).hexdigest(),
        )

    def read(self, place: Place, resource_id: str, from_ns: int, until_ns: int) -> list[FoundBatch]:
        """What the files hold of a resource in [from_ns, until_ns), by batch.

        Raises:
            ArchiveUnavailable: pyarrow is not installed, or a file is gone.

        """
        found: list[FoundBatch] = []
        files = self._store.archived.files(place, from_ns - from_ns % DAY_NS, until_ns)
        if not files:
            return found
        arrow, reader = parquet()
        instant = arrow.timestamp("ns", tz="UTC")
        wanted = [
            ("resource", "==", resource_id),
            ("measured_at", ">=", arrow.scalar(from_ns, instant)),
            ("measured_at", "<", arrow.scalar(until_ns, instant)),
        ]
        for each in files:
            try:
                table = reader.read_table(self._directory / each, filters=wanted, partitioning=None)
            except OSError as error:
                raise ArchiveUnavailable(f"archive file {self._directory / each}: {error}") from None
            found += _batches(table)
        return found


def _by_day(samples: Samples) -> Iterator[tuple[int, Samples]]:
    """The parts of a batch by the day of their instants."""
    days = samples.values[0] // DAY_NS
    if days[0] == days[-1]:
        yield int(days[0]), samples
        return
    edges = [0, *(np.flatnonzero(days[1:] != days[:-1]) + 1).tolist(), samples.count]
    for low, high in pairwise(edges):
        yield int(days[low]), Samples(values=samples.values[:, low:high], mask=samples.mask, interval_ns=samples.interval_ns)


def _table(arrow: ModuleType, part: Sequence[tuple[ArchivedPayload, Samples]]) -> Arrow:
    """One row per sample: who, which batch, and the columns that were measured; what was not is null."""
    counts = [samples.count for _, samples in part]
    instant = arrow.timestamp("ns", tz="UTC")

    def each(values: Sequence[int], kind: Arrow) -> Arrow:
        places = np.repeat(np.arange(len(values), dtype=np.int32), counts)
        return arrow.array(values, kind).take(arrow.array(places))

    def words(values: Sequence[str]) -> Arrow:
        known = {value: place for place, value in enumerate(dict.fromkeys(values))}
        places = np.repeat(np.array([known[value] for value in values], np.int32), counts)
        return arrow.DictionaryArray.from_arrays(arrow.array(places), arrow.array(list(known), arrow.string()))

    columns = {
        "resource": words([payload.resource_id for payload, _ in part]),
        "boot": words([payload.boot_id for payload, _ in part]),
        "spool": words([payload.spool_id for payload, _ in part]),
        "sequence": each([payload.sequence for payload, _ in part], arrow.int64()),
        "batch": each([payload.batch_key for payload, _ in part], arrow.int64()),
        "received_at": each([payload.received_at_ns for payload, _ in part], instant),
        "interval_ns": each([payload.interval_ns for payload, _ in part], arrow.int64()),
        "differences": arrow.array(np.repeat(np.array([bool(samples.mask & DIFFERENCES) for _, samples in part]), counts)),
    }
    for number, name in enumerate(COLUMNS):
        values = np.concatenate([samples.values[number] for _, samples in part])
        absent = np.repeat(np.array([not samples.mask >> number & 1 for _, samples in part]), counts)
        columns[name] = arrow.array(values, instant if name == MEASURED_AT else arrow.int64(), mask=absent if absent.any() else None)
    return arrow.table(columns)


def _batches(table: Arrow) -> Iterator[FoundBatch]:
    """The batches of rows, in order of their numbers."""
    if not table.num_rows:
        return
    keys = table.column("batch").to_numpy()
    order = np.argsort(keys, kind="stable")
    edges = [0, *(np.flatnonzero(np.diff(keys[order])) + 1).tolist(), keys.size]
    absent = {name: table.column(name).is_null().to_numpy() for name in COLUMNS}
    values = {name: table.column(name).cast("int64").fill_null(0).to_numpy() for name in COLUMNS}
    told = table.column("differences").to_numpy()
    intervals, boots = table.column("interval_ns").to_numpy(), table.column("boot").to_pylist()
    for low, high in pairwise(edges):
        rows = order[low:high]
        rows = rows[np.argsort(values[MEASURED_AT][rows], kind="stable")]
        mask = sum(1 << number for number, name in enumerate(COLUMNS) if not absent[name][rows[0]])
        mask |= DIFFERENCES if told[rows[0]] else 0
        yield FoundBatch(
            batch_key=int(keys[rows[0]]),
            boot_id=boots[int(rows[0])],
            samples=Samples(values=np.stack([values[name][rows] for name in COLUMNS]), mask=mask, interval_ns=int(intervals[rows[0]])),
        )


def columns_of(samples: Samples) -> Mapping[str, Sequence[int]]:
    """The columns that were measured, by name."""
    return {COLUMNS[column]: samples.values[column].tolist() for column in present(samples.mask)}


def _unnamed(path: Path) -> Path:
    """Where a file is written before it has its name: nobody reads it there."""
    return path.with_name(f".{path.name}")


def _make(path: Path, body: bytes) -> None:
    """A file on the disk, with all that it holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """The names in a folder on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
