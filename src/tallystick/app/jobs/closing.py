"""Which runs are due, each closed once: a job per customer and run, taken with a lease (architecture.md, Processes)."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.app.accounts import read_contract, read_progress
from tallystick.app.answers.earlier import charges_of
from tallystick.app.clock import Clock, Ids
from tallystick.app.close_period import Closed, Closing, close_period
from tallystick.app.logs import logger
from tallystick.invoice.runs import due, ready, usage_window
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Contract, Run
from tallystick.store.engine import STORE_AWAY, Tx
from tallystick.store.records import LostLease
from tallystick.store.store import Store

JOB = "close_period"
LEASE_SECONDS = 600
FAILED_SECONDS = 60


def close_due(store: Store, clock: Clock, ids: Ids, owner: str) -> int:
    """Close every run that is due and whole, of all customers; how many were closed. What waits is tried again."""
    closed = 0
    sellers = {place.seller_id: place for place in reversed(store.registry.places())}
    for place in sellers.values():
        for customer in store.registry.customers(place):
            for run in _due_of(store, place, customer.customer.id, clock.now_ns()):
                found = _close(store, place, run, clock, ids, owner)
                closed += found is not None and found.closing is not Closing.WAITING
    return closed


def _due_of(store: Store, place: Place, customer_id: str, now_ns: int) -> list[Run]:
    """The runs of a customer that may be closed; none if that cannot be told: what is wrong with one customer stops no other."""
    try:
        return _due(store, place, customer_id, now_ns)
    except STORE_AWAY:
        raise
    except Exception as error:
        logger("closing").error("runs cannot be told", customer=customer_id, error=f"{type(error).__name__}: {error}", exc_info=error)
        return []


def _due(store: Store, place: Place, customer_id: str, now_ns: int) -> list[Run]:
    """Runs that are due, not done, and wait neither for agents nor for hours: whoever only waits is read each time, not written."""
    with store.read() as tx:
        contract, books = read_contract(store, place, customer_id, now_ns, tx)
        wanted = unclosed(store, place, due(contract, books, now_ns), tx)
        if any(charge.lifetime for charge in charges_of(contract, books)):
            # What earlier periods filled of tiers has to be known.
            wanted = [run for run in wanted if run.closing_ns == min(each.closing_ns for each in wanted)]
        return [run for run in wanted if ready(run, contract.seller, now_ns, None) and _is_whole(store, place, contract, run, now_ns, tx)]


def unclosed(store: Store, place: Place, runs: Sequence[Run], tx: Tx, *, idle: bool = True) -> list[Run]:
    """Those of some runs that are not closed, in their order; if they have to be `idle`, nobody is about to."""
    named = {(job_scope(place, run), job_period(run)): run for run in runs}
    return [named[each] for each in (store.jobs.due(JOB, list(named), idle=idle, tx=tx) if named else ())]


def _is_whole(store: Store, place: Place, contract: Contract, run: Run, now_ns: int, tx: Tx) -> bool:
    waiting, reported_until_ns = read_progress(store, place, contract, usage_window(run)[1], tx)
    limit_ns = run.closing_ns + max(contract.seller.grace_limit_ns, contract.seller.grace_ns)
    if waiting and now_ns >= limit_ns:
        logger("closing").warning("period waits for hours past its limit", customer=run.customer_id, run=run.key, hours=waiting)
    return not waiting and ready(run, contract.seller, now_ns, reported_until_ns)


def _close(store: Store, place: Place, run: Run, clock: Clock, ids: Ids, owner: str) -> Closed | None:
    """Close a run under a lease; None: another worker has it. A fault keeps nothing and is tried again in a minute."""
    fence = store.jobs.claim(JOB, job_scope(place, run), job_period(run), owner, LEASE_SECONDS)
    if fence is None:
        return None
    log = logger("closing")
    try:
        closed = close_period(store, place, run, fence, clock=clock, ids=ids)
    except LostLease as lost:
        log.warning("lease lost", customer=run.customer_id, run=run.key, detail=str(lost))
        return None
    except Exception as error:
        store.jobs.failed(fence, f"{type(error).__name__}: {error}", FAILED_SECONDS)
        log.error("closing failed", customer=run.customer_id, run=run.key, error=str(error), exc_info=error)
        return None
    if closed.closing is Closing.WAITING:
        store.jobs.failed(fence, "waits for agents or hours", 0)
    else:
        number = closed.invoice.number if closed.invoice else None
        log.info("period closed", customer=run.customer_id, run=run.key, closing=closed.closing.value, number=number)
    return closed


def job_scope(place: Place, run: Run) -> str:
    """The scope of the job that closes a run: its seller and customer."""
    return f"{len(place.seller_id)}:{place.seller_id}/{run.customer_id}"


def job_period(run: Run) -> str:
    """The period of the job that closes a run."""
    return f"{run.key}/{run.currency}"
