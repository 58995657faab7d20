"""The registry: customers, resources with whose they are and were, and the agents that report."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.attributes import attributes
from tallystick.model.billing.contracts import Customer
from tallystick.model.instants import LATEST_NS
from tallystick.model.resources import UNASSIGNED, Attributes, Fact, Origin
from tallystick.model.samples import LifecycleKind
from tallystick.store.batches.notices import facts_of
from tallystick.store.documents import read_document, write_document
from tallystick.store.engine import Tx, Values
from tallystick.store.records import NotFound
from tallystick.store.section import Section, newest, one_of
from tallystick.store.service.audit import append

RESOURCE_COLUMNS = (
    "r.resource_key, r.resource_id, r.customer_id, r.name, r.kind, r.region, r.labels, r.first_seen_at_ns,"
    " (SELECT MIN(b.first_at_ns) FROM boot b WHERE b.scope_key = r.scope_key AND b.resource_key = r.resource_key),"
    " (SELECT MAX(b.last_at_ns) FROM boot b WHERE b.scope_key = r.scope_key AND b.resource_key = r.resource_key)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCustomer:
    """A customer with its row's number, by which lists go on, and the instants at which it was made and changed."""

    row: int
    customer: Customer
    created_at_ns: int
    changed_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResource:
    """A resource as the registry has it: what holds of it now. `customer_id` is empty while nobody assigned it.

    `row` is its number, by which lists go on and usage is asked for (`resource_key`).
    """

    row: int
    id: str
    customer_id: str
    name: str
    kind: str
    region: str
    labels: Mapping[str, str]
    first_seen_at_ns: int
    first_sample_at_ns: int | None
    last_sample_at_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent instance by its last heartbeat; every sample that it measured before `reported_until_ns` has been sent.

    `clock_offset_ns` is its clock minus the server's, as it measured it; None: it did not tell, as of `clock_synchronised`.
    `key_id` is the key that reported it first: it is that key's until it is released.
    """

    instance_id: str
    at_ns: int
    received_at_ns: int
    reported_until_ns: int
    active_resources: tuple[str, ...] = ()
    spool_depth: int = 0
    missed_ticks: int = 0
    clock_offset_ns: int | None = None
    clock_synchronised: bool | None = None
    thinned_batches: int = 0
    key_id: str = ""


class Registry(Section):
    """Customers, resources and agents of a place."""

    def named_since_stop(self, place: Place, resource_id: str, at_ns: int, *, tx: Tx | None = None) -> tuple[str, ...]:
        """The customers that agents named for a resource by an instant, since its last stop before that; in order of their ids."""
        with self._reading(tx) as reading:
            rows = reading.rows(
                "SELECT DISTINCT f.customer_id FROM resource r JOIN resource_fact f ON f.resource_key = r.resource_key"
                " WHERE r.scope_key = ? AND r.resource_id = ? AND f.origin = ? AND f.customer_id <> '' AND f.at_ns <= ? AND f.at_ns >="
                " COALESCE((SELECT MAX(e.at_ns) FROM lifecycle_event e WHERE e.scope_key = r.scope_key AND e.resource_key = r.resource_key"
                " AND e.kind = ? AND e.at_ns < ?), 0) ORDER BY 1",
                (self._surrogates.scope(reading, place), resource_id, Origin.AGENT.value, at_ns, LifecycleKind.STOPPED.value, at_ns),
            )
        return tuple(row[0] for row in rows)

    def create_customer(self, place: Place, customer: Customer, *, actor: str, tx: Tx | None = None) -> bool:
        """Add a customer; false, and nothing happens, if its id is taken."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            seller_key = self._surrogates.seller(writing, place)
            made = writing.run(
                "INSERT INTO customer (seller_key, customer_id, document, created_at_ns, changed_at_ns) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (seller_key, customer.id, write_document(customer), now_ns, now_ns),
            )
            if made:
                append(writing, seller_key, now_ns, actor, "customer.create", customer.id, {"name": customer.name})
        return made == 1

    def change_customer(self, place: Place, customer: Customer, *, actor: str, tx: Tx | None = None) -> None:
        """Replace a customer's document.

        Raises:
            NotFound: there is no such customer.

        """
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            seller_key = self._surrogates.seller(writing, place)
            changed = writing.run(
                "UPDATE customer SET document = ?, changed_at_ns = ? WHERE seller_key = ? AND customer_id = ?",
                (write_document(customer), now_ns, seller_key, customer.id),
            )
            if not changed:
                raise NotFound(f"customer {customer.id!r}")
            append(writing, seller_key, now_ns, actor, "customer.change", customer.id, {"name": customer.name})

    def customer(self, place: Place, customer_id: str, *, tx: Tx | None = None) -> Customer | None:
        """A customer by its id, or None."""
        found = self.customers(place, customers=frozenset({customer_id}), limit=1, tx=tx)
        return found[0].customer if found else None

    def customers(
        self,
        place: Place,
        *,
        customers: frozenset[str] | None = None,
        before: int | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> list[StoredCustomer]:
        """Customers, newest first: all, or those named; `before` goes on after the row of that number."""
        with self._reading(tx) as reading:
            named, names = one_of(reading, "customer_id", customers)
            select = f"SELECT customer_key, document, created_at_ns, changed_at_ns FROM customer WHERE seller_key = ?{named}"
            rows = newest(reading, select, (self._surrogates.seller(reading, place), *names), "customer_key", before, limit)
        return [
            StoredCustomer(row=row[0], customer=read_document(Customer, row[1]), created_at_ns=row[2], changed_at_ns=row[3]) for row in rows
        ]

    def resource(self, place: Place, resource_id: str, *, tx: Tx | None = None) -> StoredResource | None:
        """A resource by its id, or None."""
        with self._reading(tx) as reading:
            row = reading.row(
                f"SELECT {RESOURCE_COLUMNS} FROM resource r WHERE r.scope_key = ? AND r.resource_id = ?",
                (self._surrogates.scope(reading, place), resource_id),
            )
        return None if row is None else _resource(row)

    def resources(
        self,
        place: Place,
        *,
        customers: frozenset[str] | None = None,
        before: int | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> list[StoredResource]:
        """Resources, newest first: all, or those that are or ever were of the named customers; `""` are those of nobody now."""
        with self._reading(tx) as reading:
            whose = ""
            names: tuple[object, ...] = ()
            if customers is not None:
                clause, value = reading.each_of("o.customer_id", sorted(customers))
                # Not EXISTS: SQLite would look at each resource of the place.
                owned = f"r.resource_key IN (SELECT o.resource_key FROM resource_customer o WHERE o.scope_key = ? AND {clause})"
                whose = f" AND ({owned} OR r.customer_id = '')" if UNASSIGNED in customers else f" AND {owned}"
                names = (self._surrogates.scope(reading, place), value)
            select = f"SELECT {RESOURCE_COLUMNS} FROM resource r WHERE r.scope_key = ?{whose}"
            rows = newest(reading, select, (self._surrogates.scope(reading, place), *names), "r.resource_key", before, limit)
        return [_resource(row) for row in rows]

    def facts(self, place: Place, resource_id: str, *, tx: Tx | None = None) -> tuple[Fact, ...]:
        """All that was declared of a resource, in order of instant, then of reception."""
        with self._reading(tx) as reading:
            scope_key = self._surrogates.scope(reading, place)
            key = self._surrogates.found_resource(reading, scope_key, resource_id)
            return () if key is None else tuple(facts_of(reading, scope_key, {key: resource_id}).get(key, ()))

    def facts_of(self, tx: Tx, place: Place, resources: Mapping[int, str]) -> Mapping[int, Sequence[Fact]]:
        """All that was declared of some resources (their ids by number), by number, in order of instant, then of reception."""
        return facts_of(tx, self._surrogates.scope(tx, place), dict(resources))

    def attributes(
        self, place: Place, resource_keys: Sequence[int] | None = None, *, tx: Tx | None = None
    ) -> dict[str, tuple[Attributes, ...]]:
        """What holds of resources, cell by cell, by resource id: of those named by their numbers, or of all of the place."""
        with self._reading(tx) as reading:
            scope_key = self._surrogates.scope(reading, place)
            which, values = ("", ()) if resource_keys is None else _keys(reading, resource_keys)
            ids = {
                row[0]: row[1]
                for row in reading.rows(f"SELECT resource_key, resource_id FROM resource WHERE scope_key = ?{which}", (scope_key, *values))
            }
            facts = facts_of(reading, scope_key, ids)
        return {resource_id: attributes(facts.get(key, ())) for key, resource_id in ids.items()}

    def deleted(self, place: Place, resource_keys: Sequence[int], *, tx: Tx | None = None) -> dict[int, list[tuple[int, int]]]:
        """The times in which resources were declared deleted, by their numbers: until something else was declared of them, or for ever."""
        found: dict[int, list[tuple[int, int]]] = defaultdict(list)
        with self._reading(tx) as reading:
            which, values = _keys(reading, resource_keys)
            scope_key = self._surrogates.scope(reading, place)
            gone = "SELECT resource_key FROM resource_fact WHERE scope_key = ? AND deleted = 1"
            rows = reading.rows(
                f"SELECT resource_key, at_ns, deleted FROM resource_fact WHERE scope_key = ?{which} AND resource_key IN ({gone})"
                " ORDER BY resource_key, at_ns, received_at_ns",
                (scope_key, *values, scope_key),
            )
        for key, at_ns, deleted in rows:
            goes_on = found[key] and found[key][-1][1] == LATEST_NS
            if deleted and not goes_on:
                found[key].append((at_ns, LATEST_NS))
            elif not deleted and goes_on:
                found[key].append((found[key].pop()[0], at_ns))
        return found

    def knows_region(self, place: Place, region: str, *, tx: Tx | None = None) -> bool:
        """Whether any resource was ever said to be in a region."""
        with self._reading(tx) as reading:
            return bool(
                reading.rows(
                    "SELECT 1 FROM resource_fact WHERE scope_key = ? AND region = ? LIMIT 1",
                    (self._surrogates.scope(reading, place), region),
                )
            )

    def heartbeat(self, tx: Tx, place: Place, agent: Agent) -> None:
        """Keep an agent's heartbeat; what is known of it only goes forward."""
        tx.run(
            "INSERT INTO agent (scope_key, instance_id, at_ns, received_at_ns, reported_until_ns, active, spool_depth, missed_ticks,"
            " clock_offset_ns, clock_synchronised, thinned_batches, key_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope_key, instance_id) DO UPDATE SET at_ns = excluded.at_ns,"
            " received_at_ns = excluded.received_at_ns, reported_until_ns = CASE WHEN excluded.reported_until_ns > agent.reported_until_ns"
            " THEN excluded.reported_until_ns ELSE agent.reported_until_ns END, active = excluded.active,"
            " spool_depth = excluded.spool_depth, missed_ticks = excluded.missed_ticks,"
            " clock_offset_ns = excluded.clock_offset_ns, clock_synchronised = excluded.clock_synchronised,"
            " thinned_batches = excluded.thinned_batches, key_id = COALESCE(agent.key_id, excluded.key_id)"
            " WHERE excluded.at_ns >= agent.at_ns",
            (
                self._surrogates.scope(tx, place),
                agent.instance_id,
                agent.at_ns,
                agent.received_at_ns,
                agent.reported_until_ns,
                json.dumps(agent.active_resources),
                agent.spool_depth,
                agent.missed_ticks,
                agent.clock_offset_ns,
                None if agent.clock_synchronised is None else int(agent.clock_synchronised),
                agent.thinned_batches,
                agent.key_id or None,
            ),
        )

    def owner_of_agent(self, place: Place, instance_id: str, *, tx: Tx | None = None) -> str:
        """The key that reported an instance first; empty: nobody has, or it was released."""
        with self._reading(tx) as reading:
            row = reading.row(
                "SELECT key_id FROM agent WHERE scope_key = ? AND instance_id = ?", (self._surrogates.scope(reading, place), instance_id)
            )
        return "" if row is None else row[0] or ""

    def release_agent(self, place: Place, instance_id: str, *, actor: str, reason: str, tx: Tx | None = None) -> bool:
        """Let an instance be that of the key that reports it next; false, and nothing happens, if there is no such instance."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            released = writing.run(
                "UPDATE agent SET key_id = NULL WHERE scope_key = ? AND instance_id = ?",
                (self._surrogates.scope(writing, place), instance_id),
            )
            if released:
                append(writing, self._surrogates.seller(writing, place), now_ns, actor, "agent.release", instance_id, {"reason": reason})
        return released == 1

    def agents(self, place: Place, *, tx: Tx | None = None) -> list[Agent]:
        """The agents of a place, by their instance ids."""
        with self._reading(tx) as reading:
            rows = reading.rows(
                "SELECT instance_id, at_ns, received_at_ns, reported_until_ns, active, spool_depth, missed_ticks,"
                " clock_offset_ns, clock_synchronised, thinned_batches, key_id FROM agent"
                " WHERE scope_key = ? ORDER BY instance_id",
                (self._surrogates.scope(reading, place),),
            )
        return [
            Agent(
                instance_id=row[0],
                at_ns=row[1],
                received_at_ns=row[2],
                reported_until_ns=row[3],
                active_resources=tuple(json.loads(row[4])),
                spool_depth=row[5],
                missed_ticks=row[6],
                clock_offset_ns=row[7],
                clock_synchronised=None if row[8] is None else bool(row[8]),
                thinned_batches=row[9] or 0,
                key_id=row[10] or "",
            )
            for row in rows
        ]

    def places(self, *, tx: Tx | None = None) -> list[Place]:
        """Every seller and scope that there is."""
        with self._reading(tx) as reading:
            rows = reading.rows(
                "SELECT s.seller_id, c.scope_id FROM scope c JOIN seller s ON s.seller_key = c.seller_key ORDER BY c.scope_key"
            )
        return [Place(seller_id=row[0], scope_id=row[1]) for row in rows]

    def add_place(self, place: Place, *, tx: Tx | None = None) -> None:
        """Add a seller and a scope of it, as far as they are not there."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            writing.run(
                "INSERT INTO seller (seller_id, document, created_at_ns) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (place.seller_id, json.dumps({"id": place.seller_id, "name": place.seller_id}, ensure_ascii=False), now_ns),
            )
            writing.run(
                "INSERT INTO scope (seller_key, scope_id, created_at_ns) SELECT seller_key, ?, ? FROM seller WHERE seller_id = ?"
                " ON CONFLICT DO NOTHING",
                (place.scope_id, now_ns, place.seller_id),
            )


def _keys(tx: Tx, resource_keys: Sequence[int]) -> tuple[str, tuple[object, ...]]:
    clause, value = tx.each_of("resource_key", list(resource_keys))
    return f" AND {clause}", (value,)


def _resource(row: Values) -> StoredResource:
    return StoredResource(
        row=row[0],
        id=row[1],
        customer_id=row[2],
        name=row[3],
        kind=row[4],
        region=row[5],
        labels=json.loads(row[6]),
        first_seen_at_ns=row[7],
        first_sample_at_ns=row[8],
        last_sample_at_ns=row[9],
    )
