"""Sellers, price books and subscriptions as they are stored, each change of them in the audit log."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar, cast

from tallystick.model.access import Place
from tallystick.model.codec import decode, encode
from tallystick.model.contracts import Seller, Subscription
from tallystick.model.price_book import BookState, PriceBook
from tallystick.store import audit
from tallystick.store.engine import Clock, Database, Tx, Values
from tallystick.store.surrogates import Surrogates

BOOK_COLUMNS = "book_key, state, document"
SUBSCRIPTION_COLUMNS = "subscription_key, document"
PRICED = (BookState.ACTIVE, BookState.SUPERSEDED)
"""The states of versions that usage is priced by."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBook:
    """One version of a price book with the text that it was read from; `row` orders versions as they were added."""

    row: int
    book: PriceBook
    state: BookState
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSubscription:
    """A subscription; `row` orders them as they were created."""

    row: int
    subscription: Subscription


class NotADraft(ValueError):  # noqa: N818 (it is an answer, not a fault)
    """Only a draft becomes active: this version is superseded already."""


class Contracts:
    """What is agreed with customers, and at which prices."""

    def __init__(self, database: Database, surrogates: Surrogates, clock: Clock) -> None:
        self._database = database
        self._surrogates = surrogates
        self._clock = clock

    def seller(self, place: Place) -> Seller:
        """The seller of a place."""
        with self._database.read() as tx:
            row = tx.row("SELECT document FROM seller WHERE seller_key = ?", (self._surrogates.seller(tx, place),))
        if row is None:
            raise LookupError(f"seller {place.seller_id!r} is not there")
        return cast("Seller", decode(Seller, json.loads(row[0])))

    def set_seller(self, place: Place, seller: Seller, *, actor: str) -> None:
        """Change the seller; finalized invoices keep what they say."""

        def change(tx: Tx) -> None:
            seller_key = self._surrogates.seller(tx, place)
            tx.run("UPDATE seller SET document = ? WHERE seller_key = ?", (document_of(seller), seller_key))
            audit.append(tx, seller_key, self._clock.now_ns(), actor=actor, action="seller.change", subject=seller.id)

        self._database.transact(change)

    def add_book(self, place: Place, book: PriceBook, text: str, *, actor: str) -> None:
        """Store a version as a draft; its number must be free.

        Raises:
            IntegrityError: the number is taken (sqlalchemy.exc): read the versions again and number anew.

        """

        def add(tx: Tx) -> None:
            seller_key, now_ns = self._surrogates.seller(tx, place), self._clock.now_ns()
            tx.run(
                "INSERT INTO price_book (seller_key, book_id, version, state, effective_from_ns, effective_until_ns, corrects, digest,"
                " document, created_at_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    seller_key,
                    book.id,
                    book.version,
                    BookState.DRAFT.value,
                    book.effective_from_ns,
                    book.effective_until_ns,
                    book.corrects,
                    book.digest,
                    json.dumps({"text": text, "book": encode(book)}, ensure_ascii=False),
                    now_ns,
                ),
            )
            subject, details = f"{book.id} version {book.version}", {"digest": book.digest}
            audit.append(tx, seller_key, now_ns, actor=actor, action="price_book.add", subject=subject, details=details)

        self._database.transact(add)

    def activate(self, place: Place, book_id: str, version: int, *, actor: str) -> bool:
        """Put a draft in force; what was the newest active version of its book is superseded. False: it was active already.

        Raises:
            LookupError: no such version.
            NotADraft: it is superseded.

        """
        return self._database.transact(lambda tx: self._activate(tx, place, book_id, version, actor))

    def _activate(self, tx: Tx, place: Place, book_id: str, version: int, actor: str) -> bool:
        seller_key, now_ns = self._surrogates.seller(tx, place), self._clock.now_ns()
        key = (seller_key, book_id, version)
        row = tx.row("SELECT state FROM price_book WHERE seller_key = ? AND book_id = ? AND version = ?", key)
        if row is None:
            raise LookupError(f"price book {book_id!r} has no version {version}")
        if row[0] == BookState.ACTIVE:
            return False
        if row[0] != BookState.DRAFT:
            raise NotADraft(f"version {version} of {book_id!r} is {row[0]}, only a draft is activated")
        tx.run(
            "UPDATE price_book SET state = ? WHERE seller_key = ? AND book_id = ? AND state = ?",
            (BookState.SUPERSEDED.value, seller_key, book_id, BookState.ACTIVE.value),
        )
        tx.run(
            "UPDATE price_book SET state = ?, activated_at_ns = ? WHERE seller_key = ? AND book_id = ? AND version = ?",
            (BookState.ACTIVE.value, now_ns, *key),
        )
        audit.append(tx, seller_key, now_ns, actor=actor, action="price_book.activate", subject=f"{book_id} version {version}")
        return True

    def book(self, place: Place, book_id: str, version: int) -> StoredBook | None:
        """One version of a price book."""
        with self._database.read() as tx:
            row = tx.row(
                f"SELECT {BOOK_COLUMNS} FROM price_book WHERE seller_key = ? AND book_id = ? AND version = ?",
                (self._surrogates.seller(tx, place), book_id, version),
            )
        return None if row is None else _book(row)

    def books(self, place: Place, *, before: int | None = None, limit: int = 1000) -> tuple[StoredBook, ...]:
        """The versions of all books, those added last first; `before` is the row after which the page begins."""
        with self._database.read() as tx:
            rows = tx.rows(
                f"SELECT {BOOK_COLUMNS} FROM price_book WHERE seller_key = ? AND book_key < ? ORDER BY book_key DESC LIMIT ?",
                (self._surrogates.seller(tx, place), _before(before), limit),
            )
        return tuple(map(_book, rows))

    def priced_books(self, place: Place) -> tuple[PriceBook, ...]:
        """Every version that usage may be priced by: active and superseded ones, in order of book and version."""
        with self._database.read() as tx:
            rows = tx.rows(
                f"SELECT {BOOK_COLUMNS} FROM price_book WHERE seller_key = ? AND state IN (?, ?) ORDER BY book_id, version",
                (self._surrogates.seller(tx, place), *(state.value for state in PRICED)),
            )
        return tuple(_book(row).book for row in rows)

    def add_subscription(self, place: Place, subscription: Subscription, *, actor: str) -> None:
        """Store a new subscription.

        Raises:
            IntegrityError: its id is taken (sqlalchemy.exc).

        """

        def add(tx: Tx) -> None:
            seller_key, now_ns = self._surrogates.seller(tx, place), self._clock.now_ns()
            tx.run(
                "INSERT INTO subscription (seller_key, subscription_id, customer_id, plan_id, start_ns, end_ns, document, created_at_ns,"
                " changed_at_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (seller_key, *_columns(subscription), document_of(subscription), now_ns, now_ns),
            )
            details = {"customer": subscription.customer_id, "plan": subscription.plan_id}
            audit.append(tx, seller_key, now_ns, actor=actor, action="subscription.create", subject=subscription.id, details=details)

        self._database.transact(add)

    def change_subscription(self, place: Place, subscription: Subscription, *, actor: str, action: str) -> None:
        """Store a subscription as it is now; `action` says what was done, such as `subscription.end`."""

        def change(tx: Tx) -> None:
            seller_key, now_ns = self._surrogates.seller(tx, place), self._clock.now_ns()
            tx.run(
                "UPDATE subscription SET plan_id = ?, start_ns = ?, end_ns = ?, document = ?, changed_at_ns = ?"
                " WHERE seller_key = ? AND subscription_id = ?",
                (*_columns(subscription)[2:], document_of(subscription), now_ns, seller_key, subscription.id),
            )
            details = {"end_ns": str(subscription.end_ns)}
            audit.append(tx, seller_key, now_ns, actor=actor, action=action, subject=subscription.id, details=details)

        self._database.transact(change)

    def subscription(self, place: Place, subscription_id: str) -> Subscription | None:
        """A subscription by its id."""
        with self._database.read() as tx:
            row = tx.row(
                f"SELECT {SUBSCRIPTION_COLUMNS} FROM subscription WHERE seller_key = ? AND subscription_id = ?",
                (self._surrogates.seller(tx, place), subscription_id),
            )
        return None if row is None else _subscription(row).subscription

    def subscriptions(
        self, place: Place, *, customers: Collection[str] | None = None, before: int | None = None, limit: int = 1_000_000
    ) -> tuple[StoredSubscription, ...]:
        """Subscriptions, those created last first, of some customers or (None) of all."""
        with self._database.read() as tx:
            clause, values = ("", ()) if customers is None else _one_of(tx, "customer_id", customers)
            rows = tx.rows(
                f"SELECT {SUBSCRIPTION_COLUMNS} FROM subscription WHERE seller_key = ? AND subscription_key < ? {clause}"
                " ORDER BY subscription_key DESC LIMIT ?",
                (self._surrogates.seller(tx, place), _before(before), *values, limit),
            )
        return tuple(map(_subscription, rows))


def document_of(value: Seller | Subscription) -> str:
    """A value of the model as the JSON text that is stored."""
    return json.dumps(encode(value), ensure_ascii=False, sort_keys=True)


def _columns(subscription: Subscription) -> Values:
    return subscription.id, subscription.customer_id, subscription.plan_id, subscription.start_ns, subscription.end_ns


def _book(row: Values) -> StoredBook:
    found = json.loads(row[2])
    return StoredBook(row=row[0], book=cast("PriceBook", decode(PriceBook, found["book"])), state=BookState(row[1]), text=found["text"])


def _subscription(row: Values) -> StoredSubscription:
    return StoredSubscription(row=row[0], subscription=cast("Subscription", decode(Subscription, json.loads(row[1]))))


def _before(row: int | None) -> int:
    return 2**31 - 1 if row is None else row


def _one_of(tx: Tx, column: str, values: Collection[str]) -> tuple[str, Values]:
    clause, value = tx.each_of(column, sorted(values))
    return f"AND {clause}", (value,)
