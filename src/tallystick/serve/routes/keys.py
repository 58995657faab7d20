"""Routes of keys: who may call, and as what."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import partial

from fastapi import APIRouter

from tallystick.model.access import WRITES_USAGE, Grant, RateLimit, Role
from tallystick.model.instants import iso
from tallystick.serve.documents.accounts import CreatedKey, NewKey, RateLimitDocument, ShownKey, read_profile, shown_profile
from tallystick.serve.documents.values import Id, Listing, shown_instant
from tallystick.serve.guard import Administrator, GuardedRoute
from tallystick.serve.pages import Cursor, Limit, newest
from tallystick.serve.problems import invalid, not_found
from tallystick.store.keys import StoredKey

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["keys"])


@router.post("/keys", summary="Make a key", status_code=201)
def create_key(call: Administrator, wanted: NewKey) -> CreatedKey:
    """The key is shown in this answer and never again: only its SHA-256 is stored. A repeated request shows `key` as null."""
    if wanted.customers and wanted.role not in (Role.AGENT, Role.CUSTOMER):
        raise invalid("customers", ", ".join(wanted.customers), f"customers: a key of the role {wanted.role} is for all customers")
    if wanted.role is Role.CUSTOMER and not wanted.customers:
        raise invalid("customers", "", "customers: a customer's key names at least one customer")
    if wanted.regions and wanted.role is not Role.AGENT:
        raise invalid("regions", ", ".join(wanted.regions), "regions: only an agent's key is limited to regions")
    if wanted.profile is not None and wanted.role not in WRITES_USAGE:
        raise invalid("profile", str(wanted.role), f"profile: a key of the role {wanted.role} writes no usage")
    services = call.desk.services
    secret, key_id = services.new_key(), services.new_id()
    grant = Grant(
        key_id=key_id,
        role=wanted.role,
        place=call.place,
        customers=frozenset(wanted.customers),
        regions=frozenset(wanted.regions),
        profile=read_profile(wanted.profile),
        rate_limit=None if wanted.rate_limit is None else RateLimit(**wanted.rate_limit.model_dump()),
    )
    call.desk.store.keys.create(grant, hashlib.sha256(secret.encode()).digest(), name=wanted.name, actor=call.actor)
    found = call.desk.store.keys.get(call.place, key_id)
    if found is None:
        raise RuntimeError(f"key {key_id} is not there right after it was made")
    return CreatedKey(**_shown(found).model_dump(), key=secret)


@router.get("/keys", summary="Keys, newest first")
def list_keys(call: Administrator, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownKey]:
    """Never the keys themselves; revoked ones too."""
    page, following = newest(partial(call.desk.store.keys.list, call.place), cursor, limit)
    return Listing(items=tuple(map(_shown, page)), next_cursor=following)


@router.delete("/keys/{key_id:path}", summary="Revoke a key")
def revoke_key(call: Administrator, key_id: Id) -> ShownKey:
    """From now on it opens nothing on this server, and within two seconds on any other. Revoking it again changes nothing."""
    call.desk.store.keys.revoke(call.place, key_id, actor=call.actor)
    call.desk.access.forget()
    found = call.desk.store.keys.get(call.place, key_id)
    if found is None:
        raise not_found("key_id", key_id)
    return _shown(found)


def _shown(key: StoredKey) -> ShownKey:
    return ShownKey(
        id=key.grant.key_id,
        name=key.name,
        role=key.grant.role,
        customers=tuple(sorted(key.grant.customers)),
        regions=tuple(sorted(key.grant.regions)),
        profile=shown_profile(key.grant.profile),
        rate_limit=None if key.grant.rate_limit is None else RateLimitDocument(**asdict(key.grant.rate_limit)),
        created_at=iso(key.created_at_ns),
        revoked_at=shown_instant(key.revoked_at_ns),
    )
