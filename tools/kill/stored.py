"""What the database holds, by plain SQL: whether a request is committed, and every batch with its payload at the end."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from tools.kill.ledger import Identity, named

BATCHES = """
    SELECT resource.resource_id, boot.boot_id, spool.spool_id, batch.sequence, payload.form, payload.interval_ns, payload.body
    FROM batch JOIN boot USING (boot_key) JOIN resource USING (resource_key) JOIN spool USING (spool_key)
         LEFT JOIN payload USING (batch_key)
"""
ONE = """
    SELECT COUNT(*) FROM batch JOIN boot USING (boot_key) JOIN resource USING (resource_key) JOIN spool USING (spool_key)
    WHERE resource.resource_id = ? AND boot.boot_id = ? AND spool.spool_id = ? AND batch.sequence = ?
"""
PLANES = 1


class Database:
    """A store by its URL. Each look has a connection of its own that only reads: nothing is recovered, moved or kept open by it."""

    def __init__(self, url: str) -> None:
        self.url = url

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        if self.url.startswith("sqlite:///"):
            connection: Any = sqlite3.connect(f"file:{self.url.removeprefix('sqlite:///')}?mode=ro", uri=True)
        else:
            connection = psycopg.connect(self.url, connect_timeout=10, autocommit=True)
        try:
            yield connection
        finally:
            connection.close()

    def _sql(self, text: str) -> str:
        return text if self.url.startswith("sqlite:") else text.replace("?", "%s")

    def holds(self, batches: Sequence[Identity]) -> bool:
        """Whether all of these batches are committed."""
        with self._reading() as connection:
            return all(connection.execute(self._sql(ONE), identity).fetchone()[0] for identity in batches)

    def batches(self) -> list[tuple[Identity, str, int, bytes]]:
        """Every batch that is stored: identity, digest, interval, planes.

        Raises:
            ValueError: its samples are not there as they were sent.

        """
        found = []
        with self._reading() as connection:
            for resource_id, boot_id, spool_id, sequence, form, interval_ns, body in connection.execute(BATCHES).fetchall():
                identity = (resource_id, boot_id, spool_id, sequence)
                if form != PLANES:
                    raise ValueError(f"{named(identity)} has a payload of form {form}: this reads planes")
                planes = bytes(body)
                found.append((identity, hashlib.sha256(planes).hexdigest(), interval_ns, planes))
        return found

    def conflicts(self) -> int:
        """How many second contents were kept aside."""
        with self._reading() as connection:
            return int(connection.execute("SELECT COUNT(*) FROM conflict").fetchone()[0])
