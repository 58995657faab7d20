"""Raw samples in files: written before their rows go, once, whatever ends in between; read by check, explain and other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset  # type: ignore[import-untyped]  # it has no types
import pytest

from tallystick.app.answers.explaining import explain_line
from tallystick.app.check import check_store
from tallystick.app.jobs.retention.archive import Archive
from tallystick.app.jobs.rollup import DiskHorizon
from tallystick.model.instants import HOUR_NS, parse_iso
from tallystick.serve.services import Depth
from tallystick.store.store import Store
from tests.contract.retention.test_clean_up import START, clean, clock, lab
from tests.contract.rows import PLACE
from tests.contract.test_closing import Bench, close

__all__ = ["clock", "lab"]
LATER = START + 73 * HOUR_NS


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.dataset.dataset(folder, format="parquet", partitioning="hive").to_table().to_pylist()
    return sorted(found, key=lambda row: (row["batch"], row["measured_at"]))


def test_samples_are_read_from_files_when_their_rows_are_gone(lab: Store, clock: Bench, tmp_path: Path) -> None:
    folder, april = tmp_path / "archive", parse_iso("2026-04-05T03:00:00Z")
    found = clean(lab, clock, LATER, archive=folder).tally
    assert (found.deleted["payloads"], found.deleted["files written"]) == (5, 1)
    (path,) = (each.relative_to(folder) for each in folder.rglob("*.parquet"))
    assert path.parts[:2] == ("day=2026-03-10", "scope=default~default")
    samples = rows(folder)
    assert len(samples) == 300
    assert (samples[0]["resource"], samples[0]["boot"], samples[0]["interval_ns"]) == ("vm-1", "boot", 10**9)
    assert samples[0]["network_rx_bytes"] is None
    archive = Archive(folder, lab)
    checked = check_store(lab, DiskHorizon.CLOCK, clock.now_ns(), archive=archive)
    assert (checked.differences, checked.compared["batches_archived"]) == ((), 5)
    clock.at_ns = april
    assert close(lab, clock) == 1
    invoice = lab.invoices.list(PLACE)[0].invoice
    line = next(number for number, each in enumerate(invoice.lines, 1) if each.meter == "uptime")
    told = explain_line(lab, PLACE, invoice, line, Depth.SAMPLES, verify=True, archive=folder)
    assert len(told.samples) == 360
    assert "raw samples of" not in told.text.replace("raw samples of 2026", "")
    without = explain_line(lab, PLACE, invoice, line, Depth.SAMPLES, verify=False)
    assert len(without.samples) < 360
    assert "the raw samples of 5 batches are no longer kept" in without.text
    assert "are deleted since 2026-03-13" in without.text


def test_a_file_that_is_gone_is_told(lab: Store, clock: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    clean(lab, clock, LATER, archive=folder)
    for path in folder.rglob("*.parquet"):
        path.unlink()
    told = check_store(lab, DiskHorizon.CLOCK, clock.now_ns(), archive=Archive(folder, lab)).differences
    assert told
    assert all("archive file" in each for each in told)


@pytest.mark.parametrize("ends", ["before the store knows the file", "before the rows go"])
def test_what_ends_between_writing_and_deleting_neither_loses_nor_doubles(lab: Store, clock: Bench, tmp_path: Path, ends: str) -> None:
    folder = tmp_path / "archive"
    archive = Archive(folder, lab)
    keys = [each.batch_key for each in lab.retention.old_payloads(LATER, 0, 100)[0] if not each.needed]
    written = archive.write(keys[:3], LATER)
    assert len(rows(folder)) == 180
    if ends == "before the rows go":
        with lab.write() as tx:
            lab.archived.add(tx, written, LATER)
    clean(lab, clock, LATER + HOUR_NS, archive=folder)
    assert len(rows(folder)) == 300
    assert len({(row["batch"], row["measured_at"]) for row in rows(folder)}) == 300
    assert list((folder / "_unfinished").iterdir()) == []
    with lab.read() as tx:
        assert tx.row("SELECT COUNT(*) FROM payload") == (2,)


def test_a_batch_over_midnight_lies_in_two_files(store: Store, tmp_path: Path) -> None:
    from tests.contract.rows import SECOND, batch, write

    midnight = parse_iso("2026-03-11T00:00:00Z")
    write(store, batch(at_ns=midnight - 20 * SECOND))
    archive = Archive(tmp_path, store)
    files = archive.write([1], midnight)
    with store.write() as tx:
        store.archived.add(tx, files, midnight)
    archive.finish(files)
    assert [each.samples for each in files] == [20, 40]
    found = archive.read(PLACE, "vm-1", midnight - 5 * SECOND, midnight + 5 * SECOND)
    assert sorted(each.samples.count for each in found) == [5, 5]
    assert archive.read(PLACE, "other", 0, 2 * midnight) == []
