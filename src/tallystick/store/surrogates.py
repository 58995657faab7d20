"""The small numbers that stand for sellers, scopes, resources, boots and spools in the rows of usage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from tallystick.model.access import Place
from tallystick.store.engine import Tx, Values

MOST_REMEMBERED = 400_000


class UnknownPlace(LookupError):  # noqa: N818 (it is an answer, not a fault)
    """There is no such seller, or no such scope of it; the message names it."""


class Surrogates:
    """Finds the numbers, and makes those that are missing. What was committed is remembered: numbers never change."""

    def __init__(self) -> None:
        self._scopes: dict[Place, tuple[int, int]] = {}
        self._resources: dict[tuple[int, str], int] = {}
        self._boots: dict[tuple[int, str], int] = {}
        self._spools: dict[tuple[int, str], int] = {}
        self._record_sources: dict[tuple[int, str], int] = {}

    def seller(self, tx: Tx, place: Place) -> int:
        """The number of the place's seller."""
        return self._place(tx, place)[0]

    def scope(self, tx: Tx, place: Place) -> int:
        """The number of the place's scope.

        Raises:
            UnknownPlace: there is no such place.

        """
        return self._place(tx, place)[1]

    def _place(self, tx: Tx, place: Place) -> tuple[int, int]:
        found = self._scopes.get(place)
        if found is None:
            row = tx.row(
                "SELECT s.seller_key, c.scope_key FROM seller s JOIN scope c ON c.seller_key = s.seller_key"
                " WHERE s.seller_id = ? AND c.scope_id = ?",
                (place.seller_id, place.scope_id),
            )
            if row is None:
                raise UnknownPlace(f"seller {place.seller_id!r} has no scope {place.scope_id!r}")
            found = remembered = (row[0], row[1])
            if tx.writing:
                tx.after_commit(lambda: self._scopes.__setitem__(place, remembered))
            else:  # what a reader sees is committed
                self._scopes[place] = found
        return found

    def found_resource(self, tx: Tx, scope_key: int, resource_id: str) -> int | None:
        """The number of a resource that may be unknown."""
        known = self._resources.get((scope_key, resource_id))
        if known is not None:
            return known
        row = tx.row("SELECT resource_key FROM resource WHERE scope_key = ? AND resource_id = ?", (scope_key, resource_id))
        return None if row is None else int(row[0])

    def resources(self, tx: Tx, scope_key: int, resource_ids: Collection[str], received_at_ns: int) -> Mapping[str, int]:
        """The numbers of resources; those that are new appear in the registry, unassigned."""
        return _resolved(
            tx,
            self._resources,
            scope_key,
            resource_ids,
            lambda: tx.each_of("resource_id", sorted(resource_ids)),
            "SELECT resource_id, resource_key FROM resource WHERE scope_key = ?",
            "INSERT INTO resource (scope_key, resource_id, first_seen_at_ns, generation) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING",
            lambda each: (scope_key, each, received_at_ns),
        )

    def boots(self, tx: Tx, scope_key: int, wanted: Collection[tuple[int, str]]) -> Mapping[tuple[int, str], int]:
        """The numbers of boots, by the number of their resource and their id: two statements for all that are not remembered."""
        found = {each: self._boots[each] for each in wanted if each in self._boots}
        missing = sorted(set(wanted) - found.keys())
        if not missing:
            return found
        of_resource, resource_keys = tx.each_of("resource_key", sorted({key for key, _ in missing}))
        of_boot, boot_ids = tx.each_of("boot_id", sorted({boot_id for _, boot_id in missing}))
        query = f"SELECT resource_key, boot_id, boot_key FROM boot WHERE scope_key = ? AND {of_resource} AND {of_boot}"

        def stored() -> dict[tuple[int, str], int]:
            return {(row[0], row[1]): row[2] for row in tx.rows(query, (scope_key, resource_keys, boot_ids))}

        known = stored()
        new = [each for each in missing if each not in known]
        if new:
            insert = "INSERT INTO boot (scope_key, resource_key, boot_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            tx.many(insert, [(scope_key, *each) for each in new])
            known = stored()
        tx.after_commit(lambda: _remember(self._boots, known))
        return {**found, **{each: known[each] for each in missing}}

    def spools(self, tx: Tx, scope_key: int, spool_ids: Collection[str]) -> Mapping[str, int]:
        """The numbers of spools."""
        return _resolved(
            tx,
            self._spools,
            scope_key,
            spool_ids,
            lambda: tx.each_of("spool_id", sorted(spool_ids)),
            "SELECT spool_id, spool_key FROM spool WHERE scope_key = ?",
            "INSERT INTO spool (scope_key, spool_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
            lambda each: (scope_key, each),
        )

    def record_sources(self, tx: Tx, scope_key: int, sources: Collection[str], received_at_ns: int) -> Mapping[str, int]:
        """The numbers of the sources of usage records: of two the one registered first, for ever, has the smaller."""
        return _resolved(
            tx,
            self._record_sources,
            scope_key,
            sources,
            lambda: tx.each_of("source", sorted(sources)),
            "SELECT source, source_key FROM record_source WHERE scope_key = ?",
            "INSERT INTO record_source (scope_key, source, registered_at_ns) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            lambda each: (scope_key, each, received_at_ns),
        )


def _resolved(
    tx: Tx,
    remembered: dict[tuple[int, str], int],
    parent: int,
    ids: Collection[str],
    condition: Callable[[], tuple[str, Any]],
    select: str,
    insert: str,
    row_of: Callable[[str], Values],
) -> Mapping[str, int]:
    """Numbers by id: those remembered, then those stored, then new ones."""
    found: dict[str, int] = {}
    for each in ids:
        known = remembered.get((parent, each))
        if known is None:
            break
        found[each] = known
    else:
        return found
    clause, values = condition()
    query = f"{select} AND {clause}"
    found = dict(cast("Sequence[tuple[str, int]]", tx.rows(query, (parent, values))))
    missing = sorted(set(ids) - found.keys())
    if missing:
        tx.many(insert, [row_of(each) for each in missing])
        found = dict(cast("Sequence[tuple[str, int]]", tx.rows(query, (parent, values))))
    tx.after_commit(lambda: _remember(remembered, {(parent, name): key for name, key in found.items()}))
    return found


def _remember(remembered: dict[Any, int], found: Mapping[Any, int]) -> None:
    if len(remembered) > MOST_REMEMBERED:
        remembered.clear()
    remembered.update(found)
