"""Whether the server can serve: the store answers, and the writer lives."""

from __future__ import annotations

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
