"""Routes of who is billed and who bills: customers, the seller."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Response

from tallystick.serve.documents.accounts import (
    NewCustomer,
    SellerDocument,
    ShownCustomer,
    shown_customer,
    shown_seller,
)
from tallystick.serve.documents.values import Id, Listing
from tallystick.serve.guard import Call, GuardedRoute, Reader, ReaderOfAll, Writer
from tallystick.serve.pages import Cursor, Limit, newest
from tallystick.serve.problems import conflict, invalid, not_found

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["accounts"])


@router.post(
    "/customers",
    summary="Create a customer",
    status_code=201,
    responses={200: {"model": ShownCustomer, "description": "It was there already."}},
)
def create_customer(call: Writer, wanted: NewCustomer, response: Response) -> ShownCustomer:
    """The same customer again changes nothing and is answered 200; another under its id is a conflict."""
    customer_id = wanted.id or call.desk.services.new_id()
    customer = wanted.value(customer_id)
    registry = call.desk.store.registry
    if not registry.create_customer(call.place, customer, actor=call.actor):
        if registry.customer(call.place, customer_id) != customer:
            raise conflict("id", customer_id, f"customer {customer_id!r} is there already, and other")
        response.status_code = 200
    return _shown_customer(call, customer_id)


@router.get("/customers", summary="Customers, newest first")
def list_customers(call: Reader, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownCustomer]:
    """A customer's key sees itself."""
    page, following = newest(partial(call.desk.store.registry.customers, call.place, customers=call.customers), cursor, limit)
    return Listing(items=tuple(shown_customer(each.customer, each.created_at_ns) for each in page), next_cursor=following)


@router.get("/customers/{customer_id:path}", summary="A customer")
def show_customer(call: Reader, customer_id: Id) -> ShownCustomer:
    """By its id."""
    return _shown_customer(call, customer_id)


@router.get("/seller", summary="The seller")
def show_seller(call: ReaderOfAll) -> SellerDocument:
    """Who sends the invoices, and how."""
    return shown_seller(call.desk.store.contracts.seller(call.place))


@router.put("/seller", summary="Change the seller")
def change_seller(call: Writer, wanted: SellerDocument) -> SellerDocument:
    """The whole document; invoices that are finalized keep what they say."""
    seller_id = call.place.seller_id
    if wanted.id not in (None, seller_id):
        raise invalid("id", wanted.id or "", f"id: the seller of this key is {seller_id!r}, and its id never changes")
    if wanted.grace_limit_ns < wanted.grace_ns:
        raise invalid("grace_limit_ns", str(wanted.grace_limit_ns), f"grace_limit_ns: is less than grace_ns = {wanted.grace_ns}")
    call.desk.store.contracts.set_seller(call.place, wanted.value(seller_id), actor=call.actor)
    return shown_seller(call.desk.store.contracts.seller(call.place))


def _shown_customer(call: Call, customer_id: str) -> ShownCustomer:
    found = call.desk.store.registry.customers(call.place, customers=frozenset({customer_id}), limit=1) if call.sees(customer_id) else []
    if not found:
        raise not_found("customer_id", customer_id)
    return shown_customer(found[0].customer, found[0].created_at_ns)
