"""Coupons of a seller, and who redeemed them: counted in the transaction that agrees on it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.billing.contracts import CouponOffer, Subscription
from tallystick.model.billing.invoices import LineKind
from tallystick.store.documents import read_document, write_document
from tallystick.store.engine import Tx, Values
from tallystick.store.records import Clash, NotFound
from tallystick.store.section import Section, newest
from tallystick.store.service.audit import append

COLUMNS = "coupon_key, document, redeemed, created_at_ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCoupon:
    """A coupon with the number of its row, by which lists go on, and how often it was redeemed."""

    row: int
    offer: CouponOffer
    redeemed: int
    created_at_ns: int


class Coupons(Section):
    """The coupons of a place's seller."""

    def create(self, place: Place, offer: CouponOffer, *, actor: str, tx: Tx | None = None) -> bool:
        """Add a coupon; false, and nothing happens, if its id is taken."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            seller_key = self._surrogates.seller(writing, place)
            made = writing.run(
                "INSERT INTO coupon (seller_key, coupon_id, redeemed, document, created_at_ns) VALUES (?, ?, 0, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (seller_key, offer.id, write_document(offer), now_ns),
            )
            if made:
                append(writing, seller_key, now_ns, actor, "coupon.create", offer.id, {"limit": offer.limit})
        return made == 1

    def coupon(self, place: Place, coupon_id: str, *, tx: Tx | None = None) -> StoredCoupon | None:
        """A coupon by its id, or None."""
        with self._reading(tx) as reading:
            seller_key = self._surrogates.seller(reading, place)
            row = reading.row(f"SELECT {COLUMNS} FROM coupon WHERE seller_key = ? AND coupon_id = ?", (seller_key, coupon_id))
        return None if row is None else _stored(row)

    def coupons(self, place: Place, *, before: int | None = None, limit: int | None = None, tx: Tx | None = None) -> list[StoredCoupon]:
        """All coupons, newest first."""
        with self._reading(tx) as reading:
            select = f"SELECT {COLUMNS} FROM coupon WHERE seller_key = ?"
            rows = newest(reading, select, (self._surrogates.seller(reading, place),), "coupon_key", before, limit)
        return [_stored(row) for row in rows]

    def redeem(self, tx: Tx, place: Place, offer: CouponOffer, *, customer_id: str, subscription_id: str, actor: str) -> None:
        """Count one redemption; the row of the coupon is held until the transaction ends, so that no two count the last one.

        Raises:
            NotFound: there is no such coupon.
            Clash: it was redeemed by this subscription, or as often as it may be, in all or by this customer.

        """
        now_ns = self._clock.now_ns()
        seller_key = self._surrogates.seller(tx, place)
        counted = "UPDATE coupon SET redeemed = redeemed + 1 WHERE seller_key = ? AND coupon_id = ?"
        if not tx.run(counted, (seller_key, offer.id)):
            raise NotFound(f"coupon {offer.id!r}")
        ((total,),) = tx.rows("SELECT redeemed FROM coupon WHERE seller_key = ? AND coupon_id = ?", (seller_key, offer.id))
        if offer.limit is not None and total > offer.limit:
            raise Clash(f"coupon {offer.id!r} was redeemed {offer.limit} times, which is as often as it may be")
        ((own,),) = tx.rows(
            "SELECT COUNT(*) FROM coupon_redemption WHERE seller_key = ? AND coupon_id = ? AND customer_id = ?",
            (seller_key, offer.id, customer_id),
        )
        if offer.limit_per_customer is not None and own >= offer.limit_per_customer:
            raise Clash(f"coupon {offer.id!r} was redeemed {own} times by {customer_id!r}, which is as often as a customer may")
        made = tx.run(
            "INSERT INTO coupon_redemption (seller_key, coupon_id, subscription_id, customer_id, redeemed_at_ns) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (seller_key, offer.id, subscription_id, customer_id, now_ns),
        )
        if not made:
            raise Clash(f"coupon {offer.id!r} was redeemed by subscription {subscription_id!r} already")
        append(tx, seller_key, now_ns, actor, "coupon.redeem", offer.id, {"customer": customer_id, "subscription": subscription_id})

    def give_back(self, tx: Tx, place: Place, subscription: Subscription, used: Collection[str], *, actor: str) -> None:
        """Count redemptions of a subscription no longer for which no invoice took anything off, nor the one that is made now: `used`."""
        unused = sorted({each.id for each in subscription.coupons}.difference(used))
        if not unused:
            return
        now_ns, seller_key = self._clock.now_ns(), self._surrogates.seller(tx, place)
        clause, value = tx.each_of("r.coupon_id", unused)
        rows = tx.rows(
            f"SELECT r.coupon_id FROM coupon_redemption r WHERE r.seller_key = ? AND {clause} AND r.subscription_id = ? AND NOT EXISTS"
            " (SELECT 1 FROM invoice i JOIN invoice_line l ON l.seller_key = i.seller_key AND l.invoice_key = i.invoice_key"
            " WHERE i.seller_key = r.seller_key AND i.customer_id = r.customer_id AND l.subscription_id = r.subscription_id"
            " AND l.kind = ? AND l.charge_id = r.coupon_id AND l.amount_minor <> 0) ORDER BY r.coupon_id",
            (seller_key, value, subscription.id, LineKind.COUPON.value),
        )
        for (coupon_id,) in rows:
            place_of = (seller_key, coupon_id)
            tx.run(
                "DELETE FROM coupon_redemption WHERE seller_key = ? AND coupon_id = ? AND subscription_id = ?", (*place_of, subscription.id)
            )
            tx.run("UPDATE coupon SET redeemed = redeemed - 1 WHERE seller_key = ? AND coupon_id = ?", place_of)
            details = {"customer": subscription.customer_id, "subscription": subscription.id}
            append(tx, seller_key, now_ns, actor, "coupon.give_back", coupon_id, details)


def _stored(row: Values) -> StoredCoupon:
    return StoredCoupon(row=row[0], offer=read_document(CouponOffer, row[1]), redeemed=row[2], created_at_ns=row[3])
