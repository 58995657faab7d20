"""Coupons and reservations, held to one behaviour by every store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import pytest

from tallystick.model.billing.contracts import CouponOffer, Subscription
from tallystick.model.billing.money import Money
from tallystick.store.records import Clash, NotFound
from tallystick.store.store import Store
from tests.contract.rows import PLACE, reservation

OFFER = CouponOffer(
    id="welcome",
    name="Welcome",
    amount=Money(minor=1000, currency="EUR"),
    charges=("cpu",),
    periods=3,
    limit=3,
    limit_per_customer=1,
)


def redeem(store: Store, customer_id: str, offer: CouponOffer = OFFER, subscription_id: str = "") -> None:
    """One redemption, with the subscription that it belongs to."""
    name = subscription_id or f"sub-{customer_id}"

    def agree(tx: object) -> None:
        bound = Subscription(id=name, customer_id=customer_id, plan_id="p", start_ns=0)
        store.contracts.create_subscription(PLACE, bound, actor="k", tx=tx)
        store.coupons.redeem(tx, PLACE, offer, customer_id=customer_id, subscription_id=name, actor="k")

    store.transact(agree)


def counted(store: Store) -> int:
    """How often the coupon was redeemed."""
    found = store.coupons.coupon(PLACE, OFFER.id)
    assert found is not None
    return found.redeemed


def test_a_coupon_is_redeemed_as_often_as_it_may_be(store: Store) -> None:
    assert store.coupons.create(PLACE, OFFER, actor="k")
    assert not store.coupons.create(PLACE, replace(OFFER, percent=Fraction(1, 3), amount=None), actor="k")
    assert [each.offer for each in store.coupons.coupons(PLACE)] == [OFFER]
    redeem(store, "a")
    for again, said in ((("a", OFFER, "another"), "1 times by 'a'"), (("b", replace(OFFER, id="none"), ""), "coupon 'none'")):
        with pytest.raises((Clash, NotFound), match=said):
            redeem(store, *again)
    redeem(store, "b")
    with pytest.raises(Clash, match="redeemed by subscription 'sub-b' already"):
        redeem(store, "b", replace(OFFER, limit_per_customer=None))
    redeem(store, "c")
    with pytest.raises(Clash, match="3 times, which is as often as it may be"):
        redeem(store, "d")
    assert counted(store) == 3
    assert {each.subscription.id for each in store.contracts.subscriptions(PLACE)} == {"sub-a", "sub-b", "sub-c"}, "refused whole"


def test_the_last_one_is_redeemed_once_whoever_comes_at_once(store: Store) -> None:
    store.coupons.create(PLACE, replace(OFFER, limit_per_customer=None), actor="k")

    def one(number: int) -> bool:
        try:
            redeem(store, f"c{number}", replace(OFFER, limit_per_customer=None))
        except Clash:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(one, range(8))) == 3
    assert counted(store) == 3
    assert len(store.contracts.subscriptions(PLACE)) == 3


def test_reservations(store: Store) -> None:
    one = reservation("r1", "s1")
    assert store.reservations.create(PLACE, "acme", one, actor="k")
    assert not store.reservations.create(PLACE, "bolt", one, actor="k")
    store.reservations.create(PLACE, "bolt", replace(one, id="r2"), actor="k")
    found = store.reservations.reservation(PLACE, "r1")
    assert found is not None
    assert (found.reservation, found.customer_id) == (one, "acme")
    assert [each.reservation.id for each in store.reservations.reservations(PLACE)] == ["r2", "r1"]
    assert [each.reservation.id for each in store.reservations.reservations(PLACE, customers=frozenset({"acme"}))] == ["r1"]
    assert store.reservations.reservation(PLACE, "r9") is None
