"""A line of an invoice opened: steps, hours, cells, raw samples while they are kept, and the same computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from tallystick.app.accounts import Holdings, holdings_of
from tallystick.invoice.evidence import thaw
from tallystick.invoice.explain import verify_invoice, verify_line
from tallystick.meter.planes import decode
from tallystick.meter.samples import present
from tallystick.model.access import Place
from tallystick.model.billing.invoices import Invoice, Line, UsagePart
from tallystick.model.instants import CELL_NS, HOUR_NS, cell_start, iso
from tallystick.model.outcomes import Refusal
from tallystick.model.records import UsageRecord
from tallystick.model.samples import COLUMNS, MEASURED_AT
from tallystick.model.usage import SUM_METERS
from tallystick.rate.rate import rate
from tallystick.render.explanation import explanation
from tallystick.serve.problems import not_found
from tallystick.serve.services import Depth, ExplainedSample, Explanation, Verification
from tallystick.store.store import Store

MOST_SAMPLES = 5000
MOST_RECORDS = 5000
LARGEST_BATCH_BYTES = 16 * 2**20


def explain_line(store: Store, place: Place, invoice_id: str, number: int, depth: Depth, *, verify: bool) -> Explanation:
    """Line `number` (1 is the first) of an invoice, opened as far as `depth` says.

    Raises:
        Problem: no such invoice, or no such line of it.

    """
    invoice = store.invoices.get(place, invoice_id)
    if invoice is None:
        raise not_found("invoice_id", invoice_id)
    if not 1 <= number <= len(invoice.lines):
        raise not_found("line", str(number))
    line = invoice.lines[number - 1]
    samples, left_out, notes = _samples(store, place, invoice, line) if depth is Depth.SAMPLES else ((), 0, ())
    records = _records(store, place, invoice, line) if depth is Depth.SAMPLES else ()
    verification = _verified(store, place, invoice, line) if verify else None
    if verification is not None:
        notes = (*notes, "verified: it follows from its evidence" if verification.equal else "NOT VERIFIED", *verification.differences)
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
    """The line from its own derivation; and, if the invoice has evidence, rated again from that alone."""
    found = list(verify_line(line))
    if invoice.evidence_hash:
        evidence = thaw(store.invoices.evidence(place, invoice.evidence_hash), invoice.evidence_hash)
        found += verify_invoice(invoice, evidence, invoice.evidence_hash, rate)
    told = tuple(f"{each.place}: says {each.says}, recomputed {each.recomputed}" for each in found)
    quantity = line.derivation.unrounded / line.unit_price if line.unit_price else Fraction(0)
    return Verification(equal=not found, quantity=quantity, unrounded=line.quantity * line.unit_price, differences=told)


Found = tuple[tuple[ExplainedSample, ...], int, tuple[str, ...]]
"""Samples in order, how many were left out, what is to be said of them."""


def _samples(store: Store, place: Place, invoice: Invoice, line: Line) -> Found:
    """The raw samples behind a line, as they are kept; copies that were sent twice are told once."""
    found: dict[tuple[str, str, int], ExplainedSample] = {}
    notes: list[str] = []
    with store.read() as tx:
        holdings = holdings_of(store, place, invoice.customer.id, tx)
    names = {each.name(one.id): (each, one.row) for each in holdings for one in each.resources}
    for part in line.derivation.parts:
        if part.resource_id not in names:
            notes.append(f"{part.resource_id}: the registry has it no more")
            continue
        owner, key = names[part.resource_id]
        for sample in _of_part(store, owner, key, part, notes):
            found.setdefault((sample.resource_id, sample.boot_id, sample.measured_at_ns), sample)
    ordered = [found[key] for key in sorted(found, key=lambda each: (each[0], each[2], each[1]))]
    return tuple(ordered[:MOST_SAMPLES]), max(0, len(ordered) - MOST_SAMPLES), tuple(dict.fromkeys(notes))


def _records(store: Store, place: Place, invoice: Invoice, line: Line) -> tuple[UsageRecord, ...]:
    """The usage records of the line's meter, or of the parts of its sum, that touch the cells behind it; under the line's own names."""
    meters, found = SUM_METERS.get(line.meter, (line.meter,)), []
    with store.read() as tx:
        holdings = holdings_of(store, place, invoice.customer.id, tx)
        names = {each.name(one.id): (each, one.row) for each in holdings for one in each.resources}
        for part in line.derivation.parts:
            hours = [hour_ns for hour_ns, amounts in part.hours if any(amounts)]
            if part.resource_id not in names or not hours:
                continue
            owner, key = names[part.resource_id]
            cells = {hour_ns + at * CELL_NS for hour_ns, amounts in part.hours for at, amount in enumerate(amounts) if amount}
            for each in store.batches.records(owner.place, key, min(hours), max(hours) + HOUR_NS, tx=tx):
                touched = range(cell_start(each.from_ns), max(each.until_ns, each.from_ns + 1), CELL_NS)
                if each.meter in meters and not cells.isdisjoint(touched):
                    found.append(replace(each, resource_id=part.resource_id))
    return tuple(found[:MOST_RECORDS])


def _of_part(store: Store, owner: Holdings, key: int, part: UsagePart, notes: list[str]) -> Sequence[ExplainedSample]:
    cells = [hour_ns + place * CELL_NS for hour_ns, amounts in part.hours for place, amount in enumerate(amounts) if amount]
    if not cells:
        return ()
    wanted = store.batches.batch_keys(owner.place, key, min(cells), max(cells) + CELL_NS)
    payloads = store.batches.payloads(wanted)
    if len(payloads) < len(wanted):
        notes.append(f"{part.resource_id}: the raw samples of {len(wanted) - len(payloads)} batches are no longer kept")
    samples: list[ExplainedSample] = []
    inside = set(cells)
    for each in payloads.values():
        opened = decode(each.body, each.interval_ns, LARGEST_BATCH_BYTES)
        if isinstance(opened, Refusal):
            notes.append(f"{part.resource_id}: a batch cannot be read: {opened.sentence()}")
            continue
        columns = {COLUMNS[column]: opened.values[column].tolist() for column in present(opened.mask)}
        samples += [
            ExplainedSample(resource_id=part.resource_id, boot_id=each.boot_id, measured_at_ns=at, columns=_row(columns, place))
            for place, at in enumerate(columns[MEASURED_AT])
            if at - at % CELL_NS in inside
        ]
    return samples


def _row(columns: Mapping[str, Sequence[int]], place: int) -> tuple[tuple[str, int], ...]:
    return tuple((name, values[place]) for name, values in columns.items())
