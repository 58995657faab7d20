"""One invoice line opened as a tree for the terminal: steps, resources, hours, cells, raw samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from tallystick.model.billing.invoices import Invoice, Line, UsagePart
from tallystick.model.billing.money import fraction_text
from tallystick.model.instants import CELL_NS, iso
from tallystick.model.usage import METERS, Cells

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
    rows = [
        f"{line.description}",
        f"  invoice     {invoice.number or invoice.state}, line {line.key}",
        f"  service     {iso(line.service_start_ns)} to {iso(line.service_end_ns)}",
        f"  charge      {line.charge_id} of plan {line.plan_id}" + (f", tier {line.tier}" if line.tier else ""),
        f"  price       {line.unit_price} {line.amount.currency} per {line.unit or 'period'} ({line.book_id} version {line.book_version})",
        f"  quantity    {fraction_text(line.quantity)} {line.unit}  (about {approximately(line.quantity)})",
        f"  unrounded   {fraction_text(line.derivation.unrounded)} {line.amount.currency}",
        f"  amount      {line.amount.text} {line.amount.currency}",
        "  steps",
        *(
            f"    {step.name}: {step.text}: {fraction_text(step.before)} -> {fraction_text(step.after)} {step.unit}"
            for step in line.derivation.steps
        ),
    ]
    for part in line.derivation.parts:
        rows += _part(line, part, cells, (samples or {}).get(part.resource_id, ()))
        told = (records or {}).get(part.resource_id, ())
        rows += ["    usage records (left out where samples, or finer records, measured the same)"] if told else []
        rows += [f"      {record}" for record in told]
    rows += [f"  {note}" for note in notes]
    return "\n".join(rows) + "\n"


def approximately(value: Fraction) -> str:
    """A rational to six decimals for the eye, cut, never rounded up: Fraction(2, 3) is 0.666666."""
    whole, rest = divmod(abs(value.numerator) * 10**6 // value.denominator, 10**6)
    return f"{'-' if value < 0 else ''}{whole}.{rest:06d}"


def _part(line: Line, part: UsagePart, cells: bool, samples: Sequence[SampleText]) -> Iterator[str]:
    unit = METERS.get(line.meter, "")
    yield f"  {part.resource_id}: {part.amount} {unit} / {fraction_text(part.divisor)} = {fraction_text(part.quantity)} {line.unit}"
    idle = sum(1 for _, amounts in part.hours if not any(amounts))
    if idle:
        yield f"    {idle} hours without usage"
    for hour_ns, amounts in part.hours:
        if not any(amounts):
            continue
        yield f"    {iso(hour_ns)}  {sum(amounts)} {unit}"
        if cells or samples:
            yield from _cells(hour_ns, amounts, samples)


def _cells(hour_ns: int, amounts: Cells, samples: Sequence[SampleText]) -> Iterator[str]:
    for place, amount in enumerate(amounts):
        start = hour_ns + place * CELL_NS
        inside = [text for at, text in samples if start <= at < start + CELL_NS]
        if amount or inside:
            yield f"      {iso(start)}  {amount}"
            yield from (f"        {text}" for text in inside)
