"""The evidence of an invoice: all that it was made of, frozen and kept with it (metering.md, Retention)."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from tallystick.invoice.codec import decode, encode
from tallystick.invoice.content import canonical_bytes
from tallystick.model.billing.contracts import Contract, Reservation, Run
from tallystick.model.billing.invoices import Evidence, Usage, in_order
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.billing.runs import OpenRun, open_after
from tallystick.model.instants import CELL_NS, HOUR_NS, cell_end, hour_start
from tallystick.model.resources import UNASSIGNED, Attributes
from tallystick.model.usage import UsageHour

LEVEL = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """Evidence as it is stored: compressed canonical JSON, and the SHA-256 of that JSON before compression, in hex."""

    blob: bytes
    hash: str


def evidence_of(usage: Usage, contract: Contract, books: Sequence[PriceBook], run: Run) -> Evidence:
    """What of the inputs a run depends on: rate and assemble from it, so that what is kept is what was used.

    Hours, gaps and attributes of the customer's resources in the run's cells; subscriptions that touch them; the versions
    of the plans concerned. Of a resource that had another customer before or after, only when, not whom.
    """
    from_ns, until_ns = run.period_start_ns, min(run.period_end_ns, cell_end(run.closing_ns))
    reservations = tuple(each for each in contract.reservations if _concerns(contract, each, run))
    if reservations and from_ns < until_ns:
        # Hours of reservations are matched whole, over all subscriptions.
        from_ns, until_ns = hour_start(from_ns), -(-until_ns // HOUR_NS) * HOUR_NS
    attributes = {}
    for resource_id, timeline in sorted(usage.attributes.items()):
        own = tuple(_own(each, contract.customer.id) for each in timeline if each.from_ns < until_ns and each.until_ns > from_ns - CELL_NS)
        if any(each.customer_id == contract.customer.id for each in own):
            attributes[resource_id] = own
    hours = [hour for hour in usage.hours if hour.resource_id in attributes and hour_start(from_ns) <= hour.hour_ns < until_ns]
    outages = [each for each in usage.outages if each.resource_id in attributes and each.from_ns < until_ns and each.until_ns > from_ns]
    gaps = [gap for gap in usage.gaps if gap.resource_id in attributes and gap.from_ns < until_ns and gap.until_ns > from_ns]
    events = [event for event in usage.events if event.resource_id in attributes and from_ns <= event.at_ns < until_ns]
    horizon_ns = max(until_ns, cell_end(run.closing_ns)) + CELL_NS
    kept = tuple(
        each for each in contract.subscriptions if each.start_ns < horizon_ns and (each.end_ns is None or each.end_ns > from_ns - CELL_NS)
    )
    plans = {plan_id for each in kept if reservations or each.id in run.subscription_ids for plan_id in each.plan_ids}
    return Evidence(
        usage=Usage(
            hours=tuple(sorted(hours, key=lambda hour: (hour.resource_id, hour.hour_ns))),
            attributes=attributes,
            gaps=tuple(sorted(gaps, key=lambda gap: (gap.resource_id, gap.from_ns, gap.until_ns))),
            events=in_order(events),
            sums=tuple(each for each in usage.sums if each.resource_id in attributes),
            market=tuple(
                sorted(
                    (each for each in usage.market if hour_start(from_ns) <= each.hour_ns < until_ns),
                    key=lambda each: (each.region, each.kind, each.hour_ns),
                )
            ),
            open_runs=_open_runs(usage, attributes, hour_start(from_ns), books),
            tier_fills=tuple(sorted(usage.tier_fills, key=lambda each: (each.subscription_id, each.charge_id, each.group))),
            outages=tuple(sorted(outages, key=lambda each: (each.resource_id, each.from_ns, each.until_ns, each.cause, each.outage_id))),
        ),
        contract=replace(
            contract,
            subscriptions=tuple(sorted(kept, key=lambda each: (each.start_ns, each.id))),
            reservations=tuple(sorted(reservations, key=lambda each: (each.start_ns, each.id))),
        ),
        books=_concerned(books, plans, horizon_ns),
        run=run,
    )


def freeze(evidence: Evidence) -> Frozen:
    """The bytes to keep: equal evidence has equal bytes and hash."""
    text = canonical_bytes(encode(evidence))
    return Frozen(blob=zlib.compress(text, LEVEL), hash=sha256(text).hexdigest())


def thaw(blob: bytes, expected_hash: str) -> Evidence:
    """The evidence of stored bytes.

    Raises:
        ValueError: the bytes are damaged, or are not those of that hash.

    """
    try:
        text = zlib.decompress(blob)
    except zlib.error as error:
        raise ValueError(f"evidence of {len(blob)} bytes is damaged: {error}") from None
    found = sha256(text).hexdigest()
    if found != expected_hash:
        raise ValueError(f"evidence has the hash {found}, the invoice says {expected_hash}")
    evidence = decode(Evidence, json.loads(text))
    if not isinstance(evidence, Evidence):
        raise TypeError("evidence decodes to evidence")
    return evidence


def _open_runs(usage: Usage, resources: Iterable[str], from_ns: int, books: Sequence[PriceBook]) -> tuple[OpenRun, ...]:
    """The runs that are open when what is kept begins, where some price depends on runs."""
    if not any(charge.increment_seconds or charge.minimum_seconds for book in books for plan in book.plans for charge in plan.charges):
        return ()
    known = {each.resource_id: each.up_ns for each in usage.open_runs}
    earlier: dict[str, list[UsageHour]] = defaultdict(list)
    for hour in usage.hours:
        if hour.hour_ns < from_ns:
            earlier[hour.resource_id].append(hour)
    found = ((resource_id, open_after(earlier[resource_id], known.get(resource_id))) for resource_id in sorted(resources))
    return tuple(OpenRun(resource_id=resource_id, up_ns=up_ns) for resource_id, up_ns in found if up_ns is not None)


def _concerns(contract: Contract, reservation: Reservation, run: Run) -> bool:
    """Whether a reservation is in force in an hour of the run, or begins when it closes."""
    start_ns, end_ns = contract.reserved(reservation)
    return start_ns <= run.closing_ns + HOUR_NS and end_ns > run.period_start_ns - HOUR_NS and start_ns < end_ns


def _own(attributes: Attributes, customer_id: str) -> Attributes:
    if attributes.customer_id == customer_id:
        return attributes
    return Attributes(from_ns=attributes.from_ns, until_ns=attributes.until_ns, customer_id=UNASSIGNED)


def _concerned(books: Sequence[PriceBook], plans: set[str], horizon_ns: int) -> tuple[PriceBook, ...]:
    """The versions of the books of those plans that begin before the horizon, with those plans only.

    A version without the plan stays: it ends the plan.
    """
    named = {book.id for book in books if any(plan.id in plans for plan in book.plans)}
    found = [
        replace(book, plans=tuple(plan for plan in book.plans if plan.id in plans))
        for book in books
        if book.id in named and book.effective_from_ns < horizon_ns
    ]
    return tuple(sorted(found, key=lambda book: (book.id, book.effective_from_ns, book.version)))
