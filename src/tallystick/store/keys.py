"""API keys: only their SHA-256 is kept."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tallystick.model.access import Counters, CpuHoursUnit, Grant, Place, RateLimit, Role, SourceProfile
from tallystick.store.engine import Tx, Values
from tallystick.store.section import Section, newest
from tallystick.store.service.audit import append

COLUMNS = (
    "k.api_key_key, k.key_id, k.role, k.name, k.customers, k.regions, k.profile, k.created_at_ns, k.expires_at_ns, k.revoked_at_ns,"
    " s.seller_id, c.scope_id"
)
FROM = "FROM api_key k JOIN scope c ON c.scope_key = k.scope_key JOIN seller s ON s.seller_key = c.seller_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key: what it may do, what its source means, and since and until when."""

    row: int
    grant: Grant
    name: str
    created_at_ns: int
    expires_at_ns: int | None
    revoked_at_ns: int | None

    def holds_at(self, at_ns: int) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at_ns is None and (self.expires_at_ns is None or at_ns < self.expires_at_ns)


class Keys(Section):
    """The keys of all places."""

    def create(
        self,
        grant: Grant,
        key_hash: bytes,
        *,
        name: str = "",
        actor: str,
        expires_at_ns: int | None = None,
        tx: Tx | None = None,
    ) -> None:
        """Keep a new key by its SHA-256."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            writing.run(
                "INSERT INTO api_key (scope_key, key_id, key_hash, role, name, customers, regions, profile, created_at_ns, expires_at_ns)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._surrogates.scope(writing, grant.place),
                    grant.key_id,
                    key_hash,
                    grant.role.value,
                    name,
                    json.dumps(sorted(grant.customers)),
                    json.dumps(sorted(grant.regions)),
                    json.dumps(_told(grant), sort_keys=True),
                    now_ns,
                    expires_at_ns,
                ),
            )
            details: dict[str, Any] = {
                "role": grant.role.value,
                "name": name,
                "customers": sorted(grant.customers),
                "regions": sorted(grant.regions),
            }
            details |= {"profile": told} if (told := _told(grant)) else {}
            append(writing, self._surrogates.seller(writing, grant.place), now_ns, actor, "key.create", grant.key_id, details)

    def find_by_hash(self, key_hash: bytes, *, tx: Tx | None = None) -> StoredKey | None:
        """The key with that SHA-256, revoked or not; None: there is none."""
        with self._reading(tx) as reading:
            row = reading.row(f"SELECT {COLUMNS} {FROM} WHERE k.key_hash = ?", (key_hash,))
        return None if row is None else _key(row)

    def get(self, place: Place, key_id: str, *, tx: Tx | None = None) -> StoredKey | None:
        """A key of a place by its id, or None."""
        with self._reading(tx) as reading:
            row = reading.row(
                f"SELECT {COLUMNS} {FROM} WHERE k.scope_key = ? AND k.key_id = ?", (self._surrogates.scope(reading, place), key_id)
            )
        return None if row is None else _key(row)

    def list(self, place: Place, *, before: int | None = None, limit: int | None = None, tx: Tx | None = None) -> builtins.list[StoredKey]:
        """The keys of a place, newest first, revoked ones too."""
        with self._reading(tx) as reading:
            select = f"SELECT {COLUMNS} {FROM} WHERE k.scope_key = ?"
            rows = newest(reading, select, (self._surrogates.scope(reading, place),), "k.api_key_key", before, limit)
        return [_key(row) for row in rows]

    def revoke(self, place: Place, key_id: str, *, actor: str, tx: Tx | None = None) -> bool:
        """Revoke a key; false if there is none, or it is revoked already."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            revoked = writing.run(
                "UPDATE api_key SET revoked_at_ns = ? WHERE scope_key = ? AND key_id = ? AND revoked_at_ns IS NULL",
                (now_ns, self._surrogates.scope(writing, place), key_id),
            )
            if revoked:
                append(writing, self._surrogates.seller(writing, place), now_ns, actor, "key.revoke", key_id, {})
        return revoked == 1


def _key(row: Values) -> StoredKey:
    grant = Grant(
        key_id=row[1],
        role=Role(row[2]),
        place=Place(seller_id=row[10], scope_id=row[11]),
        customers=frozenset(json.loads(row[4])),
        regions=frozenset(json.loads(row[5])),
        profile=_profile(kept := json.loads(row[6])),
        rate_limit=RateLimit(**kept["rate_limit"]) if "rate_limit" in kept else None,
    )
    return StoredKey(
        row=row[0],
        grant=grant,
        name=row[3],
        created_at_ns=row[7],
        expires_at_ns=row[8],
        revoked_at_ns=row[9],
    )


def _told(grant: Grant) -> dict[str, Any]:
    """What a key's profile says, and its own rate, as they are kept; what is left to the settings, or to what is usual, is not there."""
    profile = grant.profile
    found: dict[str, Any] = {"counters": profile.counters, "interval_ns": profile.interval_ns}
    if profile.cpu_hours_unit is not CpuHoursUnit.CORE_HOURS:
        found["cpu_hours_unit"] = profile.cpu_hours_unit
    if profile.nobody is not None:
        found["nobody"] = sorted(profile.nobody)
    if (rate := grant.rate_limit) is not None:
        found["rate_limit"] = {"bytes_per_second": rate.bytes_per_second, "requests_per_second": rate.requests_per_second}
    return {name: value for name, value in found.items() if value is not None}


def _profile(kept: Mapping[str, Any]) -> SourceProfile:
    return SourceProfile(
        counters=Counters(kept["counters"]) if "counters" in kept else None,
        interval_ns=kept.get("interval_ns"),
        cpu_hours_unit=CpuHoursUnit(kept.get("cpu_hours_unit", CpuHoursUnit.CORE_HOURS)),
        nobody=frozenset(kept["nobody"]) if "nobody" in kept else None,
    )
