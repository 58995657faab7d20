"""Repeated requests by their idempotency keys, and settings of a seller."""

from __future__ import annotations

import json

from tallystick.model.access import Place
from tallystick.store.engine import Tx
from tallystick.store.records import KeptAnswer
from tallystick.store.section import Section


class Repeats(Section):
    """Under one idempotency key of one actor a request is done once."""

    def claim(self, place: Place, actor: str, key: str, request_hash: bytes, stale_ns: int, *, tx: Tx | None = None) -> KeptAnswer | None:
        """None: the request is now the caller's to answer. Else what is kept under the key; its status is None while it is answered.

        An answer that is missing after `stale_ns` will not come: the same request may then be claimed again.
        """
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            scope_key = self._surrogates.scope(writing, place)
            claimed = writing.row(
                "INSERT INTO idempotency_key (scope_key, actor, idempotency_key, request_hash, created_at_ns) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (scope_key, actor, idempotency_key) DO UPDATE SET created_at_ns = excluded.created_at_ns"
                " WHERE idempotency_key.status IS NULL AND idempotency_key.created_at_ns < ?"
                " AND idempotency_key.request_hash = excluded.request_hash RETURNING created_at_ns",
                (scope_key, actor, key, request_hash, now_ns, now_ns - stale_ns),
            )
            if claimed is not None:
                return None
            row = writing.row(
                "SELECT request_hash, status, answer FROM idempotency_key WHERE scope_key = ? AND actor = ? AND idempotency_key = ?",
                (scope_key, actor, key),
            )
        if row is None:
            raise RuntimeError(f"idempotency key {key!r} is neither new nor kept")
        return KeptAnswer(request_hash=bytes(row[0]), status=row[1], answer=b"" if row[2] is None else bytes(row[2]))

    def keep(self, place: Place, actor: str, key: str, status: int, answer: bytes, *, tx: Tx | None = None) -> None:
        """Keep the answer of a claimed request."""
        with self._writing(tx) as writing:
            writing.run(
                "UPDATE idempotency_key SET status = ?, answer = ? WHERE scope_key = ? AND actor = ? AND idempotency_key = ?",
                (status, answer, self._surrogates.scope(writing, place), actor, key),
            )

    def release(self, place: Place, actor: str, key: str, *, tx: Tx | None = None) -> None:
        """Give up a claimed request: it did nothing, and may be sent again."""
        with self._writing(tx) as writing:
            writing.run(
                "DELETE FROM idempotency_key WHERE scope_key = ? AND actor = ? AND idempotency_key = ? AND status IS NULL",
                (self._surrogates.scope(writing, place), actor, key),
            )

    def forget(self, before_ns: int, *, tx: Tx | None = None) -> int:
        """Delete the keys made before an instant; how many."""
        with self._writing(tx) as writing:
            return writing.run("DELETE FROM idempotency_key WHERE created_at_ns < ?", (before_ns,))


class Settings(Section):
    """Settings of a seller, as JSON values by name."""

    def get(self, place: Place, name: str, *, tx: Tx | None = None) -> object:
        """The value, or None."""
        with self._reading(tx) as reading:
            row = reading.row(
                "SELECT document FROM setting WHERE seller_key = ? AND name = ?", (self._surrogates.seller(reading, place), name)
            )
        return None if row is None else json.loads(row[0])

    def put(self, place: Place, name: str, value: object, *, tx: Tx | None = None) -> None:
        """Set it."""
        with self._writing(tx) as writing:
            writing.run(
                "INSERT INTO setting (seller_key, name, document, changed_at_ns) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (seller_key, name) DO UPDATE SET document = excluded.document, changed_at_ns = excluded.changed_at_ns",
                (self._surrogates.seller(writing, place), name, json.dumps(value, ensure_ascii=False), self._clock.now_ns()),
            )
