"""What is still held of the usage behind a line, and when the finer was deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.billing.invoices import UsagePart
from tallystick.model.instants import CELL_NS, iso
from tallystick.store.registry import StoredResource
from tallystick.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPart:
    """A part of a line: its resource in the registry (None: it is not there), and the cells that it has usage in."""

    part: UsagePart
    cells: tuple[int, ...]
    place: Place
    resource: StoredResource | None

    @property
    def name(self) -> str:
        """Its resource as the bill names it."""
        return self.part.resource_id


def held_notes(store: Store, parts: Sequence[HeldPart]) -> tuple[str, ...]:
    """For each resource of which something was deleted: the finest level that is held of all of it, and since when the finer is gone."""
    return tuple(note for part in parts if part.resource is not None and part.cells for note in _notes(store, part, part.resource))


def _notes(store: Store, part: HeldPart, resource: StoredResource) -> Iterator[str]:
    first_ns, end_ns = min(part.cells), max(part.cells) + CELL_NS
    with store.read() as tx:
        segments_at_ns = store.retention.deleted_at(part.place, "segment", resource.row, first_ns, tx=tx)
        samples_at_ns = store.retention.deleted_at(part.place, "payload", resource.row, first_ns, tx=tx)
        hours_at_ns = store.retention.deleted_at(part.place, "hour", resource.row, first_ns, tx=tx)
    if segments_at_ns is not None:
        where = "frozen with the invoice" if hours_at_ns is not None else "of the usage hours"
        yield f"{part.name}: held are its five-minute cells, {where}; its segments were deleted {iso(segments_at_ns)}"
    elif samples_at_ns is not None:
        yield f"{part.name}: held are its segments; raw samples of {iso(first_ns)} to {iso(end_ns)} are deleted since {iso(samples_at_ns)}"
