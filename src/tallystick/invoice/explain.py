"""Recomputing what an invoice says: a line from its derivation, a charge from its lines, the whole from its evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from tallystick.invoice.assemble import assemble
from tallystick.invoice.content import canonical, content_hash
from tallystick.model.billing.contracts import Contract, Run
from tallystick.model.billing.invoices import Evidence, Invoice, Line, LineKind, RatingResult, Usage
from tallystick.model.billing.money import Money, Rounding, exact_text, round_parts
from tallystick.model.billing.price_book import PriceBook

CHARGED = frozenset({LineKind.USAGE, LineKind.SURCHARGE})

Rate = Callable[[Usage, Contract, Sequence[PriceBook], Run], RatingResult]
"""The one formula, handed in: `rate.rate.rate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What an invoice says and what was recomputed, where they differ."""

    place: str
    says: str
    recomputed: str


def verify_line(line: Line) -> tuple[Difference, ...]:
    """Whether a line follows from its own derivation: its parts add up, its steps join, quantity x unit price is the amount.

    The one rounding is of the charge: `verify_charge` recomputes it.
    """
    steps, found = line.derivation.steps, []
    if line.kind is LineKind.USAGE:
        measured = sum((part.amount / part.divisor for part in line.derivation.parts), Fraction(0))
        begin = steps[0].before if steps else line.quantity
        found.append((f"{line.key}: the sum of its parts", begin, measured))
    found += [(f"{line.key}: step {after.name} begins", after.before, before.after) for before, after in pairwise(steps)]
    if steps:
        found.append((f"{line.key}: step {steps[-1].name} ends", steps[-1].after, line.amount.exact))
        found.append((f"{line.key}: step {steps[-1].name} begins", steps[-1].before, line.derivation.unrounded))
    found.append((f"{line.key}: quantity x unit price", line.derivation.unrounded, line.quantity * line.unit_price + line.fixed))
    return _differences(found)


def verify_charge(lines: Sequence[Line], rounding: Rounding) -> tuple[Difference, ...]:
    """Whether the amounts of all lines of one charge are its one rounding, by largest remainder in their order."""
    currency = lines[0].amount.currency
    unrounded = [line.derivation.unrounded for line in lines]
    _, parts = round_parts(unrounded, currency, rounding)
    return _differences([(f"{line.key}: amount", line.amount.exact, part.exact) for line, part in zip(lines, parts, strict=True)])


def verify_invoice(invoice: Invoice, evidence: Evidence, evidence_hash: str, rate: Rate) -> tuple[Difference, ...]:
    """Whether an invoice follows from its evidence: rated and assembled again, its content is byte-equal.

    Then its lines, charges, totals and hash follow from what it says itself. Every difference is told.
    """
    contract, books, run = evidence.contract, evidence.books, evidence.run
    rated = rate(evidence.usage, contract, books, run)
    again = assemble(rated, contract, books, run, invoice_id=invoice.id, evidence_hash=evidence_hash, revision=invoice.revision)
    found = [*verify_sums(invoice, evidence), *_compared(invoice, again)]
    if canonical(invoice) != canonical(again) and not found:
        found.append(Difference(place="content", says=invoice.content_hash, recomputed=again.content_hash))
    return tuple(found)


def verify_sums(invoice: Invoice, evidence: Evidence) -> tuple[Difference, ...]:
    """Whether the lines, charges, totals and content hash of an invoice follow from what it says itself."""
    found = [difference for line in invoice.lines for difference in verify_line(line)]
    charges: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in invoice.lines:
        # A charge is rounded once over its lines; what is beside them (a fee, a true-up, a discount) once by itself.
        charges[line.subscription_id, line.charge_id if line.kind in CHARGED else line.key].append(line)
    for lines in charges.values():
        found += verify_charge(lines, _rounding(lines[0], evidence))
    strange = [line for line in invoice.lines if line.amount.currency != invoice.currency]
    found += [Difference(place=line.key, says=line.amount.currency, recomputed=invoice.currency) for line in strange]
    net = sum((line.amount for line in invoice.lines if line not in strange), Money(minor=0, currency=invoice.currency))
    found += _differences([("net", invoice.net.exact, net.exact), ("total", invoice.total.exact, net.exact)])
    if content_hash(invoice) != invoice.content_hash:
        found.append(Difference(place="content_hash", says=invoice.content_hash, recomputed=content_hash(invoice)))
    return tuple(found)


def _compared(invoice: Invoice, again: Invoice) -> tuple[Difference, ...]:
    """Line by line, by key, then what is not lines."""
    says, new = {line.key: line for line in invoice.lines}, {line.key: line for line in again.lines}
    found = []
    for key in sorted(says.keys() | new.keys()):
        one, other = says.get(key), new.get(key)
        if one is None or other is None:
            found.append(Difference(place=key, says="a line" if one else "no line", recomputed="a line" if other else "no line"))
        elif one != other:
            found.append(Difference(place=key, says=_shown(one), recomputed=_shown(other)))
    rest = replace(invoice, lines=again.lines, net=again.net, total=again.total)
    if canonical(rest) != canonical(again):
        found.append(Difference(place="all but the lines", says=content_hash(rest), recomputed=content_hash(again)))
    return tuple(found)


def _shown(line: Line) -> str:
    return f"{exact_text(line.quantity)} {line.unit} x {exact_text(line.unit_price)} = {line.derivation.unrounded}: {line.amount.text}"


def _rounding(line: Line, evidence: Evidence) -> Rounding:
    """The rounding of a line's plan; half up where the evidence does not have it: the comparison tells of that."""
    plans = [plan for book in evidence.books if book.id == line.book_id and book.version == line.book_version for plan in book.plans]
    return next((plan.rounding for plan in plans if plan.id == line.plan_id), Rounding.HALF_UP)


def _differences(pairs: Sequence[tuple[str, Fraction, Fraction]]) -> tuple[Difference, ...]:
    return tuple(
        Difference(place=place, says=exact_text(says), recomputed=exact_text(recomputed))
        for place, says, recomputed in pairs
        if says != recomputed
    )
