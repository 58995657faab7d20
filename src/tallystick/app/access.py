"""Who a key is and what it may do: handed to `ingest` and `serve` as an argument (wire.md, Authentication)."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping

from tallystick.app.clock import Clock
from tallystick.model.access import Denied, Grant, Place, Role
from tallystick.store.store import Store

KEY_PREFIX = "tsk_"
REMEMBERED_NS = 2 * 10**9
"""How long a key that was looked up is believed: a key revoked on another server ends within two seconds."""
REMEMBERED_KEYS = 10_000
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 (what a listener is compared with; nothing is bound here)

FindGrant = Callable[[bytes], Grant | None]
"""The grant of a key by its SHA-256, or None: it does not exist, is revoked or expired."""


def key_hash(key: str) -> bytes:
    """What is stored of a key: its SHA-256. A key has 256 bits of its own, so it needs neither salt nor stretching."""
    return hashlib.sha256(key.encode()).digest()


def stored_grants(store: Store, clock: Clock) -> FindGrant:
    """Grants as the store has them now."""

    def find(hashed: bytes) -> Grant | None:
        found = store.keys.find_by_hash(hashed)
        return found.grant if found is not None and found.holds_at(clock.now_ns()) else None

    return find


class Access:
    """Finds the grant of a request by its key, or by the listener that it came in at."""

    def __init__(self, find: FindGrant, clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._listeners: dict[tuple[str, int], Place] = {}
        self._remembered: OrderedDict[bytes, tuple[int, Grant]] = OrderedDict()

    def trust(self, listener: tuple[str, int], place: Place) -> None:
        """Let callers that come in at this address write into this place without a key."""
        self._listeners[listener] = place

    async def authenticate(self, headers: Mapping[str, str], listener: tuple[str, int] | None = None) -> Grant:
        """The grant of a request with these headers (names in lower case), which came in at this address.

        Raises:
            Denied: nobody known (no key, a wrong or revoked one), or a tenant header that contradicts the key.

        """
        token = bearer(headers)
        if not token:
            return _of_tenant(self._of_listener(listener), headers)
        grant = self._recall(token)
        return _of_tenant(grant if grant is not None else await asyncio.to_thread(self.grant_of, token), headers)

    def grant_of(self, token: str) -> Grant:
        """The grant of a key. It may ask the store: call it outside the event loop.

        Raises:
            Denied: no such key.

        """
        grant = self._recall(token)
        if grant is None:
            hashed = key_hash(token)
            grant = self._find(hashed) if token.startswith(KEY_PREFIX) else None
            if grant is None:
                raise Denied("this key is unknown or revoked", known=False)
            self._remembered[hashed] = (self._clock.monotonic_ns(), grant)
            while len(self._remembered) > REMEMBERED_KEYS:
                self._remembered.popitem(last=False)
        return grant

    def forget(self) -> None:
        """Believe no key any longer without looking it up: one was revoked or changed on this server."""
        self._remembered.clear()

    def _recall(self, token: str) -> Grant | None:
        at_ns, grant = self._remembered.get(key_hash(token), (0, None))
        return grant if grant is not None and self._clock.monotonic_ns() - at_ns < REMEMBERED_NS else None

    def _of_address(self, came_in_at: tuple[str, int]) -> Place | None:
        """The place of a listener of this address, or of one that listens at this port of every address."""
        addresses = (came_in_at[0], *EVERY_ADDRESS)
        return next((self._listeners[each, came_in_at[1]] for each in addresses if (each, came_in_at[1]) in self._listeners), None)

    def _of_listener(self, listener: tuple[str, int] | None) -> Grant:
        place = self._of_address(listener) if listener else None
        if place is None:
            raise Denied("a key is needed: Authorization: Bearer tsk_...", known=False)
        return Grant(key_id=f"listener:{listener[1] if listener else 0}", role=Role.AGENT, place=place)


def bearer(headers: Mapping[str, str]) -> str:
    """The key of a request: `Authorization: Bearer ...` or `X-API-Key`; empty without one.

    Raises:
        Denied: the Authorization header is of another kind.

    """
    authorization = headers.get("authorization", "")
    if not authorization:
        return headers.get("x-api-key", "").strip()
    kind, _, token = authorization.partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Denied(f"Authorization: {kind[:20]!r} is not served: send Bearer tsk_...", known=False)
    return token.strip()


def _of_tenant(grant: Grant, headers: Mapping[str, str]) -> Grant:
    """The grant, unless the request names a tenant (`X-Tenant-ID`) that is not the key's."""
    tenant = headers.get("x-tenant-id", "")
    if tenant and tenant not in {grant.place.scope_id, grant.place.seller_id} and tenant not in grant.customers:
        raise Denied(f"X-Tenant-ID {tenant[:100]!r} is not this key's", known=True)
    return grant
