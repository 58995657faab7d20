"""Contracts: the seller, the versions of its price books, subscriptions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from tallystick.model.access import Place
from tallystick.model.billing.contracts import Contract, Customer, Reservation, Seller, Subscription
from tallystick.model.billing.price_book import BookState, PriceBook
from tallystick.store.documents import read_document, write_document
from tallystick.store.engine import Clock, Database, Tx, Values
from tallystick.store.records import Clash, NotFound
from tallystick.store.section import Section, newest, one_of
from tallystick.store.service.audit import append
from tallystick.store.surrogates import Surrogates

BOOK_COLUMNS = "book_key, state, book, document, created_at_ns, activated_at_ns"
AGREED = {"customer": Customer, "subscription": Subscription, "reservation": Reservation}
"""The tables of what is agreed with customers, each a document of a customer, and what it is."""
MOST_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBook:
    """A version of a price book: the text as it was sent, what was read of it, and its state."""

    row: int
    book: PriceBook
    state: BookState
    text: str
    created_at_ns: int
    activated_at_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSubscription:
    """A subscription with the number of its row, by which lists go on."""

    row: int
    subscription: Subscription
    created_at_ns: int


class Contracts(Section):
    """The seller of a place, its price books and subscriptions."""

    def __init__(self, database: Database, surrogates: Surrogates, clock: Clock) -> None:
        super().__init__(database, surrogates, clock)
        self._books: dict[int, PriceBook] = {}
        """Versions that were read, by the numbers of their rows: what is in a version never changes."""

    def agreed(self, place: Place, customers: frozenset[str], *, tx: Tx | None = None) -> dict[str, Contract]:
        """What was agreed with some customers, by their ids: subscriptions and reservations in order of time, without the default plan."""
        with self._reading(tx) as reading:
            seller_key = self._surrogates.seller(reading, place)
            clause, names = reading.each_of("customer_id", sorted(customers))
            parts = [f"SELECT '{table}', customer_id, document FROM {table} WHERE seller_key = ? AND {clause}" for table in AGREED]
            rows = reading.rows(
                " UNION ALL ".join(["SELECT 'seller', '', document FROM seller WHERE seller_key = ?", *parts]),
                (seller_key, *(seller_key, names) * len(parts)),
            )
        found: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for table, customer_id, document in rows:
            found[table, customer_id].append(read_document(AGREED.get(table, Seller), document))
        ((seller,),) = (each for (table, _), each in found.items() if table == "seller")
        return {
            customer_id: Contract(
                seller=seller,
                customer=customer,
                subscriptions=tuple(sorted(found["subscription", customer_id], key=lambda each: (each.start_ns, each.id))),
                reservations=tuple(sorted(found["reservation", customer_id], key=lambda each: (each.start_ns, each.id))),
            )
            for (table, customer_id), (customer, *_) in list(found.items())
            if table == "customer"
        }

    def seller(self, place: Place, *, tx: Tx | None = None) -> Seller:
        """The seller.

        Raises:
            NotFound: there is none.

        """
        with self._reading(tx) as reading:
            row = reading.row("SELECT document FROM seller WHERE seller_id = ?", (place.seller_id,))
        if row is None:
            raise NotFound(f"seller {place.seller_id!r}")
        return read_document(Seller, row[0])

    def set_seller(self, place: Place, seller: Seller, *, actor: str, tx: Tx | None = None) -> None:
        """Replace the seller's document; its id stays.

        Raises:
            NotFound: there is none.

        """
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            document = write_document(replace(seller, id=place.seller_id))
            if not writing.run("UPDATE seller SET document = ? WHERE seller_id = ?", (document, place.seller_id)):
                raise NotFound(f"seller {place.seller_id!r}")
            append(writing, self._surrogates.seller(writing, place), now_ns, actor, "seller.change", place.seller_id, {"name": seller.name})

    def add_book(self, place: Place, book: PriceBook, text: str, *, actor: str, tx: Tx | None = None) -> PriceBook:
        """Keep a book as the next draft version of its id; the book with its number. The same text again is the same draft."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            seller_key = self._surrogates.seller(writing, place)
            self.one_at_a_time(place, writing)
            last = writing.row(
                f"SELECT {BOOK_COLUMNS}, version FROM price_book WHERE seller_key = ? AND book_id = ? ORDER BY version DESC LIMIT 1",
                (seller_key, book.id),
            )
            if last is not None and last[3] == text and last[1] == BookState.DRAFT:
                return _book(last).book
            numbered = replace(book, version=1 if last is None else last[6] + 1)
            writing.run(
                "INSERT INTO price_book (seller_key, book_id, version, state, effective_from_ns, effective_until_ns, corrects, digest,"
                " book, document, created_at_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    seller_key,
                    numbered.id,
                    numbered.version,
                    BookState.DRAFT.value,
                    numbered.effective_from_ns,
                    numbered.effective_until_ns,
                    numbered.corrects,
                    numbered.digest,
                    write_document(numbered),
                    text,
                    now_ns,
                ),
            )
            append(writing, seller_key, now_ns, actor, "price_book.draft", f"{book.id}/{numbered.version}", {"digest": book.digest})
        return numbered

    def activate_book(self, place: Place, book_id: str, version: int, *, actor: str, tx: Tx | None = None) -> StoredBook:
        """Put a draft in force from its `effective_from` on; an active version stays as it is.

        An active version that begins at the same instant is superseded: it prices nothing any more, and is kept for what it priced.

        Raises:
            NotFound: there is no such version.
            Clash: it is superseded.

        """
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            seller_key = self._surrogates.seller(writing, place)
            found = self.book(place, book_id, version, tx=writing)
            if found is None:
                raise NotFound(f"price book {book_id!r} version {version}")
            if found.state is BookState.SUPERSEDED:
                raise Clash(f"price book {book_id!r} version {version} is superseded: add it again as a new version")
            if found.state is BookState.DRAFT:
                writing.run(
                    "UPDATE price_book SET state = 'superseded' WHERE seller_key = ? AND book_id = ? AND state = 'active'"
                    " AND effective_from_ns = ? AND version < ?",
                    (seller_key, book_id, found.book.effective_from_ns, version),
                )
                writing.run(
                    "UPDATE price_book SET state = 'active', activated_at_ns = ? WHERE seller_key = ? AND book_id = ? AND version = ?",
                    (now_ns, seller_key, book_id, version),
                )
                append(writing, seller_key, now_ns, actor, "price_book.activate", f"{book_id}/{version}", {"digest": found.book.digest})
            activated = self.book(place, book_id, version, tx=writing)
        if activated is None:
            raise NotFound(f"price book {book_id!r} version {version}")
        return activated

    def book(self, place: Place, book_id: str, version: int, *, tx: Tx | None = None) -> StoredBook | None:
        """One version of a price book, or None."""
        with self._reading(tx) as reading:
            row = reading.row(
                f"SELECT {BOOK_COLUMNS} FROM price_book WHERE seller_key = ? AND book_id = ? AND version = ?",
                (self._surrogates.seller(reading, place), book_id, version),
            )
        return None if row is None else _book(row)

    def books(
        self,
        place: Place,
        *,
        states: frozenset[BookState] | None = None,
        before: int | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> list[StoredBook]:
        """Versions of all price books of the seller, newest first."""
        with self._reading(tx) as reading:
            some, names = one_of(reading, "state", None if states is None else frozenset(state.value for state in states))
            select = f"SELECT {BOOK_COLUMNS} FROM price_book WHERE seller_key = ?{some}"
            rows = newest(reading, select, (self._surrogates.seller(reading, place), *names), "book_key", before, limit)
        return [_book(row) for row in rows]

    def books_in_force(self, place: Place, *, tx: Tx | None = None) -> tuple[PriceBook, ...]:
        """Every version that prices usage of some time: the active ones, and those superseded that were active; in order of version."""
        known = self._books if len(self._books) < MOST_KEPT else {}
        with self._reading(tx) as reading:
            query = "SELECT book_key FROM price_book WHERE seller_key = ? AND activated_at_ns IS NOT NULL"
            keys = [row[0] for row in reading.rows(query, (self._surrogates.seller(reading, place),))]
            missing = [key for key in keys if key not in known]
            if missing:
                clause, value = reading.each_of("book_key", missing)
                rows = reading.rows(f"SELECT book_key, book FROM price_book WHERE {clause}", (value,))
                known = {**known, **{key: read_document(PriceBook, document) for key, document in rows}}
                if not reading.writing:  # what a reader sees is committed
                    self._books = known
        return tuple(sorted((known[key] for key in keys), key=lambda book: (book.id, book.version)))

    def create_subscription(self, place: Place, subscription: Subscription, *, actor: str, tx: Tx | None = None) -> bool:
        """Add a subscription; false, and nothing happens, if its id is taken."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            seller_key = self._surrogates.seller(writing, place)
            made = writing.run(
                "INSERT INTO subscription (seller_key, subscription_id, customer_id, plan_id, start_ns, end_ns, document, created_at_ns,"
                " changed_at_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    seller_key,
                    subscription.id,
                    subscription.customer_id,
                    subscription.plan_id,
                    subscription.start_ns,
                    subscription.end_ns,
                    write_document(subscription),
                    now_ns,
                    now_ns,
                ),
            )
            if made:
                details = {"customer": subscription.customer_id, "plan": subscription.plan_id, "start_ns": subscription.start_ns}
                append(writing, seller_key, now_ns, actor, "subscription.create", subscription.id, details)
        return made == 1

    def change_subscription(self, place: Place, subscription: Subscription, *, actor: str, action: str, tx: Tx | None = None) -> None:
        """Replace a subscription, as when it is cancelled (`action` `subscription.cancel`).

        Raises:
            NotFound: there is no such subscription.

        """
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            seller_key = self._surrogates.seller(writing, place)
            changed = writing.run(
                "UPDATE subscription SET plan_id = ?, start_ns = ?, end_ns = ?, document = ?, changed_at_ns = ?"
                " WHERE seller_key = ? AND subscription_id = ?",
                (
                    subscription.plan_id,
                    subscription.start_ns,
                    subscription.end_ns,
                    write_document(subscription),
                    now_ns,
                    seller_key,
                    subscription.id,
                ),
            )
            if not changed:
                raise NotFound(f"subscription {subscription.id!r}")
            plans = subscription.plan_ids
            append(writing, seller_key, now_ns, actor, action, subscription.id, {"end_ns": subscription.end_ns, "plan": plans[-1]})

    def one_at_a_time(self, place: Place, tx: Tx) -> None:
        """Let nobody else agree on anything with this seller's customers until the transaction ends: on SQLite nobody writes anyway."""
        if not tx.is_sqlite:
            tx.run("SELECT 1 FROM seller WHERE seller_key = ? FOR UPDATE", (self._surrogates.seller(tx, place),))

    def subscription(self, place: Place, subscription_id: str, *, tx: Tx | None = None) -> Subscription | None:
        """A subscription by its id, or None."""
        with self._reading(tx) as reading:
            row = reading.row(
                "SELECT document FROM subscription WHERE seller_key = ? AND subscription_id = ?",
                (self._surrogates.seller(reading, place), subscription_id),
            )
        return None if row is None else read_document(Subscription, row[0])

    def subscriptions(
        self,
        place: Place,
        *,
        customers: frozenset[str] | None = None,
        before: int | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> list[StoredSubscription]:
        """Subscriptions, newest first: all, or those of the named customers."""
        with self._reading(tx) as reading:
            whose, names = one_of(reading, "customer_id", customers)
            select = f"SELECT subscription_key, document, created_at_ns FROM subscription WHERE seller_key = ?{whose}"
            rows = newest(reading, select, (self._surrogates.seller(reading, place), *names), "subscription_key", before, limit)
        return [StoredSubscription(row=row[0], subscription=read_document(Subscription, row[1]), created_at_ns=row[2]) for row in rows]


def _book(row: Values) -> StoredBook:
    return StoredBook(
        row=row[0],
        state=BookState(row[1]),
        book=read_document(PriceBook, row[2]),
        text=row[3],
        created_at_ns=row[4],
        activated_at_ns=row[5],
    )
