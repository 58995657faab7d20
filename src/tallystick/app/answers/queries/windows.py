"""In which billing periods of a customer an instant falls, how far their closing is, and what is known of them."""

from __future__ import annotations

from tallystick.app.accounts import read_contract, read_progress
from tallystick.app.answers.queries.silences import silences_of, silent_ns
from tallystick.app.answers.queries.usage import known_of, parts_of
from tallystick.app.clock import Clock
from tallystick.app.jobs.closing import JOB, job_period, job_scope
from tallystick.invoice.runs import current, usage_window
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Contract, Run
from tallystick.model.billing.invoices import DocumentState
from tallystick.model.instants import cell_end, cell_start, iso
from tallystick.model.silence import ListedGap
from tallystick.model.usage import Gap
from tallystick.rate.agreements import DEFAULT_ID
from tallystick.serve.owners import gap_parts
from tallystick.serve.problems import not_found
from tallystick.serve.queries.answers import Window, Windows, WindowState
from tallystick.store.engine import Tx
from tallystick.store.records import NotFound
from tallystick.store.store import Store

MOST_GAPS = 1000


class WindowAnswers:
    """Answers `GetBillingWindow` from a snapshot each."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def __call__(self, place: Place, customer_id: str, at_ns: int | None) -> Windows:
        """The billing periods that hold an instant, or the present.

        Raises:
            Problem: there is no such customer.

        """
        now_ns = self._clock.now_ns()
        with self._store.read() as tx:
            try:
                contract, books = read_contract(self._store, place, customer_id, now_ns if at_ns is None else at_ns, tx)
            except NotFound:
                raise not_found("customer_id", customer_id) from None
            runs = current(contract, books, now_ns if at_ns is None else at_ns)
            agreed = [run for run in runs if run.subscription_ids != (DEFAULT_ID,)]
            windows = tuple(self._window(tx, place, contract, run, now_ns) for run in agreed or runs)
        return Windows(customer_id=customer_id, zone=contract.customer.time_zone, windows=windows)

    def _window(self, tx: Tx, place: Place, contract: Contract, run: Run, now_ns: int) -> Window:
        customer = contract.customer
        waiting, reported_until_ns = read_progress(self._store, place, contract, usage_window(run)[1], tx)
        state, number = self._state(tx, place, run, now_ns)
        until_ns = min(cell_end(run.period_end_ns), max(cell_end(now_ns + 1), run.period_start_ns))
        span = (cell_start(run.period_start_ns), until_ns)
        parts = parts_of(tx, self._store, place, customer.id, customer.time_zone, span) if span[0] < span[1] else []
        silences = silences_of(tx, self._store, place, customer.id, span)
        gaps: list[Gap | ListedGap] = [*silences, *self._gaps(tx, place, customer.id, span)]
        return Window(
            start_ns=run.period_start_ns,
            end_ns=run.period_end_ns,
            closing_ns=run.closing_ns,
            currency=run.currency,
            subscription_ids=tuple(each for each in run.subscription_ids if each != DEFAULT_ID) or run.subscription_ids,
            state=state,
            waits_for=_waits_for(contract, run, now_ns, waiting, reported_until_ns) if state is WindowState.WAITING else (),
            invoice_number=number,
            reported_until_ns=reported_until_ns,
            hours_waiting=waiting,
            known=known_of(parts, silent_ns(silences, span, now_ns)),
            gaps=tuple(gaps[:MOST_GAPS]),
            gaps_left_out=max(0, len(gaps) - MOST_GAPS),
        )

    def _state(self, tx: Tx, place: Place, run: Run, now_ns: int) -> tuple[WindowState, str]:
        """The state of a run, and the number of its invoice."""
        kept = frozenset({DocumentState.FINALIZED, DocumentState.PARKED})
        for stored in self._store.invoices.list(place, customers=frozenset({run.customer_id}), states=kept, tx=tx):
            invoice = stored.invoice
            if (invoice.run.key, invoice.currency) == (run.key, run.currency):
                if invoice.state is DocumentState.PARKED:
                    return WindowState.PARKED, ""
                return WindowState.CLOSED, invoice.number or ""
        if self._store.jobs.is_done(JOB, job_scope(place, run), job_period(run), tx=tx):
            return WindowState.CLOSED, ""
        return (WindowState.OPEN if now_ns < run.closing_ns else WindowState.WAITING), ""

    def _gaps(self, tx: Tx, place: Place, customer_id: str, span: tuple[int, int]) -> list[Gap]:
        """The gaps that reach into a span, newest first, each as far as its resource was the customer's."""
        resources = self._store.usage.resources_of(tx, place, customer_id)
        found = self._store.usage.gaps(place, *span, resource_keys=list(resources), tx=tx) if resources else []
        attributes = self._store.registry.attributes(place, sorted({key for key, _ in found}), tx=tx) if found else {}
        return [part for _, gap in found for owner, part in gap_parts(gap, attributes.get(gap.resource_id, ())) if owner == customer_id]


def _waits_for(contract: Contract, run: Run, now_ns: int, waiting: int, reported_until_ns: int | None) -> tuple[str, ...]:
    """What keeps a period that is over from being closed, a sentence each."""
    seller = contract.seller
    found = []
    if now_ns < run.closing_ns + seller.grace_ns:
        found.append(f"the grace of late data, until {iso(run.closing_ns + seller.grace_ns)}")
    if reported_until_ns is not None and reported_until_ns < run.closing_ns:
        limit_ns = run.closing_ns + max(seller.grace_limit_ns, seller.grace_ns)
        if now_ns < limit_ns:
            found.append(f"agents that have reported until {iso(reported_until_ns)}, at most until {iso(limit_ns)}")
    if waiting:
        found.append(f"{waiting} hours that wait to be computed")
    return tuple(found) or ("a worker that closes it",)
