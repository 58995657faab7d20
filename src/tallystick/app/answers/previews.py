"""What the running periods would cost: drafts through the one formula, nothing stored; and what each resource has of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from tallystick.app.accounts import holdings_of, read_contract, usage_until
from tallystick.app.answers.earlier import charges_of
from tallystick.app.answers.together import read_together
from tallystick.app.clock import Ids
from tallystick.app.jobs.closing import unclosed
from tallystick.invoice.assemble import assemble
from tallystick.invoice.evidence import evidence_of
from tallystick.invoice.runs import current, due, usage_window
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Contract, Run
from tallystick.model.billing.invoices import Invoice, TierFill
from tallystick.model.billing.price_book import PriceBook
from tallystick.rate.agreements import DEFAULT_ID
from tallystick.rate.rate import rate
from tallystick.rate.terms.known import fills_of
from tallystick.rate.terms.what_if import in_place_of
from tallystick.store.store import Store


def preview(store: Store, place: Place, customer_id: str, at_ns: int, ids: Ids, instead: PriceBook | None = None) -> tuple[Invoice, ...]:
    """The drafts of the periods open at an instant, one per cycle and currency, of the usage known up to then.

    The default plan has a draft only where something is left for it to bill. With another version of prices `instead`, what they
    would be if it had always been in force.

    Raises:
        NotFound: there is no such customer.

    """
    with store.read() as tx:
        contract, books = read_contract(store, place, customer_id, at_ns, tx)
    priced = in_place_of(books, instead)
    drafts = [_draft(store, place, run, at_ns, ids, instead) for run in current(contract, priced, at_ns)]
    return tuple(draft for draft in drafts if not draft.is_empty or draft.run.subscription_ids != (DEFAULT_ID,))


def _draft(store: Store, place: Place, run: Run, at_ns: int, ids: Ids, instead: PriceBook | None) -> Invoice:
    """A draft without a content hash: where sums of usage tell enough, no hour is read until somebody looks into a line."""
    window = usage_window(run)
    ((contract, books, usage),) = read_together(store, place, [run.customer_id], window, at_ns=at_ns, currency=run.currency)
    if usage.sums and _goes_on(store, place, run, at_ns):
        usage = replace(usage, sums=(), hours=(*usage.hours, *(hour for sums in usage.sums for hour in sums.hours())))
    priced = in_place_of(books, instead)
    fills = (*usage.tier_fills, *_fills_to_come(store, place, contract, priced, run))
    evidence = evidence_of(replace(usage_until(usage, at_ns), tier_fills=fills), contract, priced, run)
    rated = rate(evidence.usage, evidence.contract, evidence.books, run)
    return assemble(rated, evidence.contract, evidence.books, run, invoice_id=ids.new_id(), hashed=False)


def _fills_to_come(store: Store, place: Place, contract: Contract, books: Sequence[PriceBook], run: Run) -> tuple[TierFill, ...]:
    """What periods that ended before a run's, and are not closed yet, will fill of tiers that count over whole subscriptions."""
    if not any(charge.lifetime for charge in charges_of(contract, books)):
        return ()
    with store.read() as tx:
        before = [each for each in due(contract, books, run.period_start_ns) if each.closing_ns < run.closing_ns]
        awaited = unclosed(store, place, before, tx, idle=False)
    found: tuple[TierFill, ...] = ()
    for each in awaited:
        window = usage_window(each)
        ((_, _, usage),) = read_together(store, place, [run.customer_id], window, at_ns=each.closing_ns, currency=each.currency)
        evidence = evidence_of(replace(usage, tier_fills=(*usage.tier_fills, *found)), contract, books, each)
        found += fills_of(rate(evidence.usage, evidence.contract, evidence.books, each).lines, books)
    return found


def _goes_on(store: Store, place: Place, run: Run, at_ns: int) -> bool:
    """Whether any usage of the run begins at an instant or after it: sums hold that, too."""
    until_ns = usage_window(run)[1]
    with store.read() as tx:
        held = holdings_of(store, place, run.customer_id, tx)
        return any(store.usage.hours(each.place, at_ns, until_ns, resource_keys=each.keys, tx=tx) for each in held)


def cost_by_resource(invoices: Iterable[Invoice]) -> Mapping[str, tuple[Fraction, str]]:
    """What each resource has of the usage lines, exactly, with the currency: a line is shared by quantity before allowances.

    For display: an invoice rounds charges, not resources.
    """
    found: dict[str, Fraction] = defaultdict(Fraction)
    currencies: dict[str, str] = {}
    for invoice in invoices:
        for line in invoice.lines:
            whole = sum((part.quantity for part in line.derivation.parts), Fraction(0))
            for part in line.derivation.parts if whole else ():
                found[part.resource_id] += line.derivation.unrounded * part.quantity / whole
                currencies.setdefault(part.resource_id, invoice.currency)
    return {resource_id: (amount, currencies[resource_id]) for resource_id, amount in found.items()}
