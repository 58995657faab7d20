"""Keys for tests and benchmarks, put into the store directly: `tally keys` needs a server."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tallystick.app.clock import RandomIds, SystemClock
from tallystick.model.access import Grant, Place, RateLimit, Role, SourceProfile
from tallystick.store.store import migrate, open_store


def sqlite_url(state_dir: Path) -> str:
    return f"sqlite:///{state_dir / 'tallystick.db'}"


def make_key(
    url: str,
    role: str,
    *,
    scope: str = "default",
    customers: Sequence[str] = (),
    regions: Sequence[str] = (),
    profile: SourceProfile | None = None,
    rate_limit: RateLimit | None = None,
) -> str:
    """A new key in a store that has its schema."""
    ids = RandomIds()
    key = ids.new_key()
    store = open_store(url, SystemClock())
    try:
        place = Place(scope_id=scope)
        store.registry.add_place(place)
        limits = {"customers": frozenset(customers), "regions": frozenset(regions)}
        grant = Grant(
            key_id=ids.new_id(), role=Role(role), place=place, profile=profile or SourceProfile(), rate_limit=rate_limit, **limits
        )
        store.keys.create(grant, hashlib.sha256(key.encode()).digest(), actor="test")
    finally:
        store.close()
    return key


def agent_key(state_dir: Path) -> str:
    """An agent's key in a new SQLite store."""
    state_dir.mkdir(parents=True, exist_ok=True)
    migrate(sqlite_url(state_dir))
    return make_key(sqlite_url(state_dir), "agent")
