"""A served store for the ingest tests: the process, an agent's key, and what one asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.app.clock import SystemClock
from tallystick.model.access import Place, SourceProfile
from tallystick.store.store import open_store
from tests.keys import make_key
from tests.servers import Reply, ServerProcess

SEND = "/tallystick.v1.IngestService/Send"
SECOND_NS = 10**9
AT_NS = 1_772_000_000 * SECOND_NS


@dataclass(frozen=True)
class Served:
    server: ServerProcess
    url: str
    agent: str

    def key(
        self,
        role: str,
        *,
        scope: str = "default",
        customers: Sequence[str] = (),
        regions: Sequence[str] = (),
        profile: SourceProfile | None = None,
    ) -> str:
        return make_key(self.url, role, scope=scope, customers=customers, regions=regions, profile=profile)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What the store holds, by its SQL."""
        store = open_store(self.url, SystemClock())
        try:
            with store.read() as tx:
                return [tuple(row) for row in tx.rows(statement, tuple(values))]
        finally:
            store.close()

    def send(self, request: object, key: str | None = None) -> Reply:
        """A native request as JSON."""
        return self.server.rpc(SEND, request, key or self.agent)

    def customer_of(self, resource_id: str) -> str:
        store = open_store(self.url, SystemClock())
        try:
            found = store.registry.resource(Place(), resource_id)
            assert found is not None
            return found.customer_id
        finally:
            store.close()
