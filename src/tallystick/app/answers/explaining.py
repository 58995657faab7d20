"""A line of an invoice opened: steps, hours, cells, raw samples while they are kept, and the same computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tallystick.app.accounts import holdings_of
from tallystick.app.answers.held import HeldPart, held_notes
from tallystick.app.jobs.retention.archive import Archive, ArchiveUnavailable
from tallystick.invoice.evidence import thaw
from tallystick.invoice.explain import verify_invoice, verify_line
from tallystick.meter.planes import decode
from tallystick.meter.samples import Samples, present
from tallystick.model.access import Place
from tallystick.model.billing.invoices import Invoice, Line
from tallystick.model.instants import CELL_NS, HOUR_NS, cell_start, hour_start, iso
from tallystick.model.outcomes import Refusal
from tallystick.model.records import UsageRecord
from tallystick.model.samples import COLUMNS, MEASURED_AT
from tallystick.model.usage import SUM_METERS
from tallystick.rate.rate import rate
from tallystick.rate.units import EVENT_METER
from tallystick.render.explanation import explanation
from tallystick.serve.problems import not_found
from tallystick.serve.services import Depth, ExplainedSample, Explanation, Verification
from tallystick.store.registry import StoredResource
from tallystick.store.store import Store

MOST_SAMPLES = 5000
MOST_RECORDS = 5000
LARGEST_BATCH_BYTES = 16 * 2**20


def explain_line(
    store: Store, place: Place, invoice: Invoice, number: int, depth: Depth, *, verify: bool, archive: Path | None = None
) -> Explanation:
    """Line `number` (1 is the first) of an invoice or of a preview, opened as far as `depth` says.

    Samples come from the `archive` where their rows are gone.

    Raises:
        Problem: no such line of it.

    """
    if not 1 <= number <= len(invoice.lines):
        raise not_found("line", str(number))
    line = invoice.lines[number - 1]
    files = None if archive is None else Archive(archive, store)
    parts = _parts(store, place, invoice, line)
    samples, left_out, notes = _samples(store, parts, files) if depth is Depth.SAMPLES else ((), 0, ())
    # Events have no samples that could be gone.
    notes = (*notes, *(held_notes(store, parts) if not EVENT_METER.fullmatch(line.meter) else ()))
    records = _records(store, parts, line) if depth is Depth.SAMPLES else ()
    verification = _verified(store, place, invoice, line) if verify else None
    if verification is not None:
        whence = "its evidence" if invoice.evidence_hash else "its own derivation: a preview has no evidence yet"
        notes = (*notes, f"verified: it follows from {whence}" if verification.equal else "NOT VERIFIED", *verification.differences)
    if left_out:
        notes = (*notes, f"{left_out} further samples are not shown")
    told: dict[str, list[str]] = {}
    for record in records:
        span = f"[{iso(record.from_ns)}, {iso(record.until_ns)})"
        told.setdefault(record.resource_id, []).append(f"{span} {record.amount} {record.meter} of {record.source}, {record.record_id}")
    texts: dict[str, list[tuple[int, str]]] = {}
    for sample in samples:
        values = " ".join(f"{name}={value}" for name, value in sample.columns if name != MEASURED_AT)
        texts.setdefault(sample.resource_id, []).append((sample.measured_at_ns, f"{iso(sample.measured_at_ns)} {values}"))
    return Explanation(
        invoice=invoice,
        line=line,
        samples=samples,
        samples_left_out=left_out,
        verification=verification,
        text=explanation(invoice, line, cells=depth is not Depth.HOURS, samples=texts, records=told, notes=notes),
        records=records,
    )


def _verified(store: Store, place: Place, invoice: Invoice, line: Line) -> Verification:
    """The line from its own derivation; and, if the invoice has evidence, rated again from that alone and held against its stored rows."""
    found = list(verify_line(line))
    told: list[str] = []
    if invoice.evidence_hash:
        with store.read() as tx:
            told += store.stored_money.differences_of(place, invoice, tx)
            blob = store.invoices.evidence(place, invoice.evidence_hash, tx=tx)
        try:
            found += verify_invoice(invoice, thaw(blob, invoice.evidence_hash), invoice.evidence_hash, rate)
        except ValueError as error:
            told.append(f"evidence: {error}")
    told += [f"{each.place}: says {each.says}, recomputed {each.recomputed}" for each in found]
    amount = line.quantity * line.unit_price + line.fixed
    quantity = (line.derivation.unrounded - line.fixed) / line.unit_price if line.unit_price else line.quantity
    return Verification(equal=not told, quantity=quantity, unrounded=amount, differences=tuple(dict.fromkeys(told)))


Found = tuple[tuple[ExplainedSample, ...], int, tuple[str, ...]]
"""Samples in order, how many were left out, what is to be said of them."""


def _parts(store: Store, place: Place, invoice: Invoice, line: Line) -> list[HeldPart]:
    """The parts of a line with the resources that the registry has for them."""
    with store.read() as tx:
        holdings = holdings_of(store, place, invoice.customer.id, tx)
    names = {each.name(one.id): (each.place, one) for each in holdings for one in each.resources}
    found = []
    for part in line.derivation.parts:
        cells = [hour_ns + number * CELL_NS for hour_ns, amounts in part.hours for number, amount in enumerate(amounts) if amount]
        where, one = names.get(part.resource_id, (place, None))
        found.append(HeldPart(part=part, cells=tuple(cells), place=where, resource=one))
    return found


def _samples(store: Store, parts: Sequence[HeldPart], archive: Archive | None) -> Found:
    """The raw samples behind a line, as they are kept; copies that were sent twice are told once."""
    found: dict[tuple[str, str, int], ExplainedSample] = {}
    notes: list[str] = []
    for part in parts:
        if part.resource is None:
            notes.append(f"{part.name}: the registry has it no more")
        elif part.cells:
            for sample in _of_part(store, part, part.resource, archive, notes):
                found.setdefault((sample.resource_id, sample.boot_id, sample.measured_at_ns), sample)
    ordered = [found[key] for key in sorted(found, key=lambda each: (each[0], each[2], each[1]))]
    return tuple(ordered[:MOST_SAMPLES]), max(0, len(ordered) - MOST_SAMPLES), tuple(dict.fromkeys(notes))


def _records(store: Store, parts: Sequence[HeldPart], line: Line) -> tuple[UsageRecord, ...]:
    """The usage records of the line's meter, or of the parts of its sum, that touch the cells behind it; under the line's own names."""
    meters, found = SUM_METERS.get(line.meter, (line.meter,)), []
    with store.read() as tx:
        for part in parts:
            if part.resource is None or not part.cells:
                continue
            cells = set(part.cells)
            from_ns, until_ns = hour_start(min(cells)), hour_start(max(cells)) + HOUR_NS
            for each in store.batches.records(part.place, part.resource.row, from_ns, until_ns, tx=tx):
                touched = range(cell_start(each.from_ns), max(each.until_ns, each.from_ns + 1), CELL_NS)
                if each.meter in meters and not cells.isdisjoint(touched):
                    found.append(replace(each, resource_id=part.name))
    return tuple(found[:MOST_RECORDS])


def _of_part(
    store: Store, part: HeldPart, resource: StoredResource, archive: Archive | None, notes: list[str]
) -> Iterator[ExplainedSample]:
    span = (min(part.cells), max(part.cells) + CELL_NS)
    wanted = store.batches.batch_keys(part.place, resource.row, *span)
    payloads = store.batches.payloads(wanted)
    missing = set(wanted) - payloads.keys()
    inside = set(part.cells)
    for each in payloads.values():
        opened = decode(each.body, each.interval_ns, LARGEST_BATCH_BYTES)
        if isinstance(opened, Refusal):
            notes.append(f"{part.name}: a batch cannot be read: {opened.sentence()}")
            continue
        yield from _explained(part.name, each.boot_id, opened, inside)
    if archive is not None:
        try:
            for batch in archive.read(part.place, resource.id, *span):
                if batch.batch_key not in payloads:
                    missing.discard(batch.batch_key)
                    yield from _explained(part.name, batch.boot_id, batch.samples, inside)
        except ArchiveUnavailable as error:
            notes.append(str(error))
    if missing:
        notes.append(f"{part.name}: the raw samples of {len(missing)} batches are no longer kept")


def _explained(name: str, boot_id: str, samples: Samples, inside: set[int]) -> Iterator[ExplainedSample]:
    columns = {COLUMNS[column]: samples.values[column].tolist() for column in present(samples.mask)}
    for place, at in enumerate(columns[MEASURED_AT]):
        if at - at % CELL_NS in inside:
            yield ExplainedSample(resource_id=name, boot_id=boot_id, measured_at_ns=at, columns=_row(columns, place))


def _row(columns: Mapping[str, Sequence[int]], place: int) -> tuple[tuple[str, int], ...]:
    return tuple((name, values[place]) for name, values in columns.items())
