"""What the running periods would cost: drafts through the one formula, nothing stored; and what each resource has of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from tallystick.app.accounts import read_agreed
from tallystick.app.answers.earlier import charges_of
from tallystick.app.answers.together import read_usage
from tallystick.app.clock import Ids
from tallystick.app.jobs.closing import unclosed
from tallystick.invoice.assemble import assemble
from tallystick.invoice.evidence import evidence_of
from tallystick.invoice.runs import current, due, usage_window
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Contract, Run
from tallystick.model.billing.invoices import Invoice, TierFill, Usage
from tallystick.model.billing.price_book import PriceBook
from tallystick.rate.agreements import DEFAULT_ID
from tallystick.rate.rate import rate
from tallystick.rate.terms.known import fills_of
from tallystick.rate.terms.what_if import in_place_of
from tallystick.store.engine import Tx
from tallystick.store.store import Store


def preview(store: Store, place: Place, customer_id: str, at_ns: int, ids: Ids, instead: PriceBook | None = None) -> tuple[Invoice, ...]:
    """The drafts of the periods open at an instant, one per cycle and currency, of the usage known up to then.

    The default plan has a draft only where something is left for it to bill. With another version of prices `instead`, what they
    would be if it had always been in force.

    Raises:
        NotFound: there is no such customer.

    """
    with store.read() as tx:
        agreed = read_agreed(store, place, (customer_id,), at_ns, tx)
        contract, books = agreed.contract(customer_id), in_place_of(agreed.books, instead)

        def used(run: Run, known_until_ns: int | None = None) -> Usage:
            window = usage_window(run)
            return read_usage(tx, store, place, agreed, window, currency=run.currency, known_until_ns=known_until_ns)[customer_id]

        runs = current(contract, books, at_ns)
        read = [(run, used(run, at_ns), [(each, used(each)) for each in _awaited(tx, store, place, contract, books, run)]) for run in runs]
    drafts = [_draft(contract, books, run, usage, _fills_to_come(contract, books, before), ids) for run, usage, before in read]
    return tuple(draft for draft in drafts if not draft.is_empty or draft.run.subscription_ids != (DEFAULT_ID,))


def _draft(contract: Contract, books: Sequence[PriceBook], run: Run, usage: Usage, fills: tuple[TierFill, ...], ids: Ids) -> Invoice:
    """A draft without a content hash: where sums of usage tell enough, no hour is read until somebody looks into a line."""
    evidence = evidence_of(replace(usage, tier_fills=(*usage.tier_fills, *fills)), contract, books, run)
    rated = rate(evidence.usage, evidence.contract, evidence.books, run)
    return assemble(rated, evidence.contract, evidence.books, run, invoice_id=ids.new_id(), hashed=False)


def _awaited(tx: Tx, store: Store, place: Place, contract: Contract, books: Sequence[PriceBook], run: Run) -> list[Run]:
    """The periods that ended before a run's and are not closed yet, where a tier counts over whole subscriptions."""
    if not any(charge.lifetime for charge in charges_of(contract, books)):
        return []
    before = [each for each in due(contract, books, run.period_start_ns) if each.closing_ns < run.closing_ns]
    return unclosed(store, place, before, tx, idle=False)


def _fills_to_come(contract: Contract, books: Sequence[PriceBook], before: Iterable[tuple[Run, Usage]]) -> tuple[TierFill, ...]:
    """What these periods will fill of tiers that count over whole subscriptions."""
    found: tuple[TierFill, ...] = ()
    for run, usage in before:
        evidence = evidence_of(replace(usage, tier_fills=(*usage.tier_fills, *found)), contract, books, run)
        found += fills_of(rate(evidence.usage, evidence.contract, evidence.books, run).lines, books)
    return found


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
