"""One invoice line opened as a tree for the terminal: steps, resources, hours, cells, raw samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from tallystick.model.billing.invoices import Invoice, Line, UsagePart
from tallystick.model.billing.money import exact_text
from tallystick.model.instants import CELL_NS, iso
from tallystick.model.usage import METERS, Cells

EVENTS = "events."

SampleText = tuple[int, str]
"""(measured_at_ns, one line of text)."""


def explanation(
    invoice: Invoice,
    line: Line,
    *,
    cells: bool = False,
    samples: Mapping[str, Sequence[SampleText]] | None = None,
    records: Mapping[str, Sequence[str]] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The tree of one line, its parts adding up exactly to what stands on the invoice.

    `cells` opens each hour to its five-minute cells; `samples`, by resource and in order of time, opens each cell to the
    raw samples that were measured in it; `records` are lines about usage records, by resource. `notes` are printed last: what
    is no longer held, and what a verification found.
    """
    currency = line.amount.currency
    rows = [
        f"{line.description}",
        f"  invoice     {invoice.number or invoice.state}, line {line.key}",
        f"  service     {iso(line.service_start_ns)} to {iso(line.service_end_ns)}",
        f"  charge      {line.charge_id} of plan {line.plan_id}" + (f", tier {line.tier}" if line.tier else ""),
        f"  price       {exact_text(line.unit_price)} {currency} per {line.unit or 'period'} ({line.book_id} version {line.book_version})",
        f"  quantity    {shown(line.quantity)} {line.unit}",
        *((f"  fixed       {shown(line.fixed)} {currency} beside quantity x price",) if line.fixed else ()),
        f"  unrounded   {shown(line.derivation.unrounded)} {currency}",
        f"  amount      {line.amount.text} {currency}",
        "  steps",
        *(f"    {step.name}: {step.text}: {exact_text(step.before)} -> {shown(step.after)} {step.unit}" for step in line.derivation.steps),
    ]
    for part in line.derivation.parts:
        rows += _part(line, part, cells, (samples or {}).get(part.resource_id, ()))
        told = (records or {}).get(part.resource_id, ())
        rows += ["    usage records (left out where samples, or finer records, measured the same)"] if told else []
        rows += [f"      {record}" for record in told]
    rows += [f"  {note}" for note in notes]
    return "\n".join(rows) + "\n"


def shown(value: Fraction) -> str:
    """A rational without loss: as a decimal where it is a finite one, else as `n/d` and about what it is."""
    text = exact_text(value)
    return f"{text} (about {approximately(value)})" if "/" in text else text


def approximately(value: Fraction) -> str:
    """A rational to six decimals for the eye, cut, never rounded up: Fraction(2, 3) is 0.666666."""
    whole, rest = divmod(abs(value.numerator) * 10**6 // value.denominator, 10**6)
    return f"{'-' if value < 0 else ''}{whole}.{rest:06d}"


def _part(line: Line, part: UsagePart, cells: bool, samples: Sequence[SampleText]) -> Iterator[str]:
    # What events brought has no base unit: its whole numbers are those of a divisor, and nobody sent either.
    own = line.meter.startswith(EVENTS)
    unit, divisor = (line.unit, part.divisor) if own else (METERS.get(line.meter, ""), Fraction(1))
    whole = "" if own else f"{part.amount} {unit} / {exact_text(part.divisor)} = "
    yield f"  {part.resource_id}: {whole}{shown(part.quantity)} {line.unit}"
    idle = sum(1 for _, amounts in part.hours if not any(amounts))
    if idle:
        yield f"    {idle} hours without usage"
    for hour_ns, amounts in part.hours:
        if not any(amounts):
            continue
        yield f"    {iso(hour_ns)}  {exact_text(sum(amounts) / divisor)} {unit}"
        if cells or samples:
            yield from _cells(hour_ns, amounts, divisor, samples)


def _cells(hour_ns: int, amounts: Cells, divisor: Fraction, samples: Sequence[SampleText]) -> Iterator[str]:
    for place, amount in enumerate(amounts):
        start = hour_ns + place * CELL_NS
        inside = [text for at, text in samples if start <= at < start + CELL_NS]
        if amount or inside:
            yield f"      {iso(start)}  {exact_text(amount / divisor)}"
            yield from (f"        {text}" for text in inside)
