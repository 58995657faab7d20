"""What open billing periods, parked invoices, hours to be computed and open conflicts still need of a resource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.app.accounts import read_contract
from tallystick.app.jobs.closing import JOB, job_period, job_scope
from tallystick.invoice.runs import current, due, usage_window
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Run
from tallystick.model.billing.invoices import DocumentState
from tallystick.model.calendar import day_start, local_date, month_of
from tallystick.model.instants import LATEST_NS, hour_start, iso
from tallystick.model.resources import UNASSIGNED, Attributes
from tallystick.store.engine import Tx
from tallystick.store.records import NotFound
from tallystick.store.retention.sections import Held
from tallystick.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What begins at or after `from_ns` is needed still; `why` says for what, as far as it is more than age."""

    from_ns: int
    why: str = ""


class Needs:
    """What customers' periods need, asked once for each."""

    def __init__(self, store: Store, now_ns: int) -> None:
        self._store = store
        self._now_ns = now_ns
        self._known: dict[tuple[str, str, int], Need] = {}
        self._zones: dict[str, str] = {}

    def of_resource(self, place: Place, spans: Sequence[Attributes], held: Held, keep_ns: int, tx: Tx) -> Need:
        """What is needed of a resource that belonged to these customers: the earliest of what their periods and its hours need."""
        found = self.of_owners(place, spans, keep_ns, tx)
        for at_ns, why in (
            (held.first_dirty_ns, "hours wait to be computed since {}"),
            (held.first_conflict_ns, "a conflict of {} is not resolved"),
        ):
            if at_ns is not None and at_ns < found.from_ns:
                found = Need(from_ns=at_ns, why=why.format(iso(at_ns)))
        return Need(from_ns=hour_start(found.from_ns), why=found.why)

    def of_owners(self, place: Place, spans: Sequence[Attributes], keep_ns: int, tx: Tx, *, of_nobody_ns: int = 0) -> Need:
        """What the periods of a resource's customers need; the time in which it was nobody's is kept as months of the seller.

        `of_nobody_ns`: at least so long.
        """
        found = Need(from_ns=LATEST_NS)
        for span in spans:
            kept_ns = keep_ns if span.customer_id != UNASSIGNED else max(keep_ns, of_nobody_ns)
            need = self._of_customer(place, span.customer_id, kept_ns, tx)
            if need.from_ns < span.until_ns and max(need.from_ns, span.from_ns) < found.from_ns:
                found = Need(from_ns=max(need.from_ns, span.from_ns), why=need.why)
        return found

    def day_of(self, place: Place, zones: set[str], at_ns: int, tx: Tx) -> int:
        """The beginning of the earliest local day that holds an instant: a day must not lose some of its hours."""
        every = {*zones, self._zone(place, tx)}
        return hour_start(min(day_start(local_date(at_ns, zone), zone) for zone in every))

    def month_before(self, place: Place, keep_ns: int, tx: Tx) -> int:
        """The beginning of the seller's month that ended last so long ago; what is nobody's is kept as if it were billed by month."""
        return month_of(self._now_ns - keep_ns, self._zone(place, tx))[0]

    def _zone(self, place: Place, tx: Tx) -> str:
        if place.seller_id not in self._zones:
            self._zones[place.seller_id] = self._store.contracts.seller(place, tx=tx).time_zone
        return self._zones[place.seller_id]

    def _of_customer(self, place: Place, customer_id: str, keep_ns: int, tx: Tx) -> Need:
        key = (place.seller_id, customer_id, keep_ns)
        if key not in self._known:
            month = Need(from_ns=self.month_before(place, keep_ns, tx))
            needed = [] if customer_id == UNASSIGNED else self._periods(place, customer_id, keep_ns, tx)
            self._known[key] = min(needed or [month], key=lambda need: need.from_ns)
        return self._known[key]

    def _periods(self, place: Place, customer_id: str, keep_ns: int, tx: Tx) -> list[Need]:
        try:
            contract, books = read_contract(self._store, place, customer_id, self._now_ns, tx)
        except NotFound:
            return []
        found = []
        for run in due(contract, books, self._now_ns):
            why = self._unsettled(place, run, keep_ns, tx)
            from_ns, until_ns = usage_window(run)
            if why is not None and from_ns < until_ns:
                found.append(Need(from_ns=from_ns, why=why))
        return [*found, *(Need(from_ns=usage_window(run)[0]) for run in current(contract, books, self._now_ns))]

    def _unsettled(self, place: Place, run: Run, keep_ns: int, tx: Tx) -> str | None:
        """Why a due run still needs its usage; None: it does not. Empty: its invoice is not old enough."""
        name = f"of {run.customer_id} from {iso(run.period_start_ns)} to {iso(run.closing_ns)}"
        if not self._store.jobs.is_done(JOB, job_scope(place, run), job_period(run), tx=tx):
            return f"the period {name} is not closed"
        invoice = self._store.invoices.of_run(place, run, run.currency, tx=tx)
        if invoice is not None and invoice.state is not DocumentState.FINALIZED:
            return f"the invoice {name} is {invoice.state.value}"
        settled_ns = run.closing_ns if invoice is None else max(invoice.issued_at_ns or 0, run.closing_ns)
        return "" if settled_ns + keep_ns > self._now_ns else None
