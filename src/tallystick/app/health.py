"""Whether the server can serve: the store answers, and the writer lives."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from tallystick.app.metrics import ServerMetrics
from tallystick.ingest.writer import GroupWriter
from tallystick.store.store import Store


class Health:
    """What `/ready` asks."""

    def __init__(self, store: Store, writer: GroupWriter) -> None:
        self._store = store
        self._writer = writer

    def not_ready(self) -> tuple[str, ...]:
        """Why the server cannot serve now, a sentence each; empty when it can."""
        reasons = []
        if not self._writer.alive:
            reasons.append("the writer of the ingest does not run")
        try:
            self._store.registry.places()
        except Exception as error:  # whatever it is, the store does not answer
            reasons.append(f"the store does not answer: {type(error).__name__}")
        return tuple(reasons)


def bare_pages(metrics: ServerMetrics, health: Health) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """`/health`, `/ready` and `/metrics` alone."""

    async def pages(scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 (ASGI)
        content, kind, status = b'{"code":"not_found"}', "application/problem+json", 404
        if scope["path"] == "/health":
            content, kind, status = b'{"status":"ok"}', "application/json", 200
        elif scope["path"] == "/ready":
            reasons = health.not_ready()
            content, kind, status = json.dumps({"reasons": reasons}).encode(), "application/json", 503 if reasons else 200
        elif scope["path"] == "/metrics":
            content, kind = metrics.exposition("")
            status = 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.body", "body": content})

    return pages
