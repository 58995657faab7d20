"""Reservations of customers."""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.billing.contracts import Reservation
from tallystick.store.documents import read_document, write_document
from tallystick.store.engine import Tx, Values
from tallystick.store.section import Section, newest, one_of
from tallystick.store.service.audit import append

COLUMNS = "reservation_key, document, customer_id, created_at_ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReservation:
    """A reservation with the number of its row, by which lists go on, and the customer whose it is."""

    row: int
    reservation: Reservation
    customer_id: str
    created_at_ns: int


class Reservations(Section):
    """The reservations of a place's customers."""

    def create(self, place: Place, customer_id: str, reservation: Reservation, *, actor: str, tx: Tx | None = None) -> bool:
        """Add a reservation; false, and nothing happens, if its id is taken."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            seller_key = self._surrogates.seller(writing, place)
            made = writing.run(
                "INSERT INTO reservation (seller_key, reservation_id, customer_id, document, created_at_ns) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (seller_key, reservation.id, customer_id, write_document(reservation), now_ns),
            )
            if made:
                details = {"customer": customer_id, "subscription": reservation.subscription_id, "start_ns": reservation.start_ns}
                append(writing, seller_key, now_ns, actor, "reservation.create", reservation.id, details)
        return made == 1

    def reservation(self, place: Place, reservation_id: str, *, tx: Tx | None = None) -> StoredReservation | None:
        """A reservation by its id, or None."""
        with self._reading(tx) as reading:
            row = reading.row(
                f"SELECT {COLUMNS} FROM reservation WHERE seller_key = ? AND reservation_id = ?",
                (self._surrogates.seller(reading, place), reservation_id),
            )
        return None if row is None else _stored(row)

    def reservations(
        self,
        place: Place,
        *,
        customers: frozenset[str] | None = None,
        before: int | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> list[StoredReservation]:
        """Reservations, newest first: all, or those of the named customers."""
        with self._reading(tx) as reading:
            whose, names = one_of(reading, "customer_id", customers)
            select = f"SELECT {COLUMNS} FROM reservation WHERE seller_key = ?{whose}"
            rows = newest(reading, select, (self._surrogates.seller(reading, place), *names), "reservation_key", before, limit)
        return [_stored(row) for row in rows]


def _stored(row: Values) -> StoredReservation:
    return StoredReservation(row=row[0], reservation=read_document(Reservation, row[1]), customer_id=row[2], created_at_ns=row[3])
