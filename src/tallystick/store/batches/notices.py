"""Lifecycle notices and facts: each kept once, with what it changes marked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise

from tallystick.model.access import Place
from tallystick.model.attributes import attributes
from tallystick.model.instants import HOUR_NS, LATEST_NS, hour_start
from tallystick.model.outcomes import BatchResult, Outcome
from tallystick.model.resources import UNASSIGNED, Attributes, Fact, Origin
from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.store.batches.known import SIZED, known_by_source
from tallystick.store.batches.marks import Marks, lock_resources, mark
from tallystick.store.batches.reach import STRUCTURAL, Notice, reach_of_notice, reach_of_size
from tallystick.store.batches.told import fact_too_late, keep_told, sealed_until
from tallystick.store.engine import Tx, Values
from tallystick.store.surrogates import Surrogates

FACT_COLUMNS = "at_ns, received_at_ns, origin, customer_id, name, kind, region, labels, vcpus, memory_bytes, disk_bytes, gpus, deleted"
STORED = BatchResult(outcome=Outcome.STORED)
REPEATED = BatchResult(outcome=Outcome.REPEATED)
MOST_DISK_HOURS = 7 * 24


def write_events(tx: Tx, surrogates: Surrogates, place: Place, events: Sequence[LifecycleEvent]) -> list[BatchResult]:
    """Keep lifecycle notices; a repeated notice is one, and keeps the instant of its first reception."""
    if not events:
        return []
    scope_key = surrogates.scope(tx, place)
    keys = surrogates.resources(tx, scope_key, {event.resource_id for event in events}, events[0].received_at_ns)
    lock_resources(tx, list(keys.values()))
    marks, results = Marks(), []
    sealed = sealed_until(tx, keys.values())
    for event in events:
        key = keys[event.resource_id]
        # Without a boot id it would part what is sealed, and nobody knows the samples around it any more.
        late = not event.boot_id and event.kind.value in STRUCTURAL and event.at_ns < sealed.get(key, 0)
        stored = tx.run(
            "INSERT INTO lifecycle_event (scope_key, resource_key, boot_id, kind, at_ns, last_sent_ns, received_at_ns, step_ns, late)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(scope_key, key, event.boot_id, event.kind.value, event.at_ns, event.last_sent_ns or 0, event.received_at_ns),
                *(event.step_ns, int(late)),
            ),
        )
        results.append(STORED if stored else REPEATED)
        if stored and event.kind.value in STRUCTURAL and not late:
            for known in known_by_source(tx, scope_key, key):
                marks.add(key, *reach_of_notice(known, Notice(event.boot_id, event.kind.value, event.at_ns)))
            tx.run(
                "UPDATE resource SET event_at_ns = CASE WHEN event_at_ns > ? THEN event_at_ns ELSE ? END WHERE resource_key = ?",
                (event.at_ns, event.at_ns, key),
            )
        elif stored:
            _mark_told(tx, scope_key, key, event, marks)
    mark(tx, scope_key, marks)
    return results


def _mark_told(tx: Tx, scope_key: int, resource_key: int, event: LifecycleEvent, marks: Marks) -> None:
    """Mark what a notice that changes no usage may explain: gaps that are computed already, and the hour that it is a finding of."""
    since_ns = event.last_sent_ns or event.at_ns
    place = (scope_key, resource_key)
    for (at_ns,) in tx.rows(
        "SELECT from_ns FROM gap WHERE scope_key = ? AND resource_key = ? AND from_ns <= ? AND until_ns >= ?"
        " UNION SELECT hour_ns FROM usage_hour WHERE scope_key = ? AND resource_key = ? AND hour_ns = ?",
        (*place, event.at_ns, since_ns, *place, hour_start(event.at_ns)),
    ):
        marks.add(resource_key, at_ns, at_ns)


def write_facts(tx: Tx, surrogates: Surrogates, place: Place, facts: Sequence[Fact]) -> list[BatchResult]:
    """Keep facts; one that repeats another (all but the instant of reception) is kept once, as received the later time.

    Of those from an instant in sealed hours on, where they change nothing, the finding `fact_too_late` is kept with them.
    """
    if not facts:
        return []
    scope_key = surrogates.scope(tx, place)
    keys = surrogates.resources(tx, scope_key, {fact.resource_id for fact in facts}, facts[0].received_at_ns)
    lock_resources(tx, list(keys.values()))
    sealed = sealed_until(tx, keys.values())
    marks, results, late = Marks(), [], []
    assigned = {fact.resource_id for fact in facts if fact.customer_id is not None}
    before = {name: attributes(facts_of(tx, scope_key, {keys[name]: name}).get(keys[name], [])) for name in sorted(assigned)}
    for fact in facts:
        key = keys[fact.resource_id]
        results.append(_write_fact(tx, scope_key, key, fact, marks))
        if key in sealed and results[-1] == STORED:
            late.append(fact_too_late(fact, _content_hash(fact), sealed[key]))
    for resource_id, key in keys.items():
        after = _update_resource(tx, scope_key, key, resource_id)
        if resource_id in before:
            _mark_owners(tx, scope_key, key, before[resource_id], after, marks)
    keep_told(tx, scope_key, keys, filter(None, late), facts[0].received_at_ns)
    mark(tx, scope_key, marks)
    return results


def _write_fact(tx: Tx, scope_key: int, resource_key: int, fact: Fact, marks: Marks) -> BatchResult:
    digest = _content_hash(fact)
    place = (scope_key, resource_key, fact.at_ns)
    beside = tx.rows(
        "SELECT fact_key, origin, content_hash, received_at_ns FROM resource_fact WHERE scope_key = ? AND resource_key = ? AND at_ns = ?",
        place,
    )
    same = next((row for row in beside if row[1] == fact.origin.value and bytes(row[2]) == digest), None)
    if same is not None:
        if fact.received_at_ns > same[3]:
            tx.run("UPDATE resource_fact SET received_at_ns = ? WHERE fact_key = ?", (fact.received_at_ns, same[0]))
        if fact.is_size and len(beside) > 1:
            _mark_size(tx, scope_key, resource_key, fact, marks)
        return REPEATED
    if fact.is_size:
        # Before it is stored: whether it is the first decides how far it reaches.
        _mark_size(tx, scope_key, resource_key, fact, marks)
    tx.run(
        f"INSERT INTO resource_fact (scope_key, resource_key, content_hash, {FACT_COLUMNS}) VALUES (?, ?, ?, {', '.join('?' * 13)})",
        (
            scope_key,
            resource_key,
            digest,
            fact.at_ns,
            fact.received_at_ns,
            fact.origin.value,
            fact.customer_id,
            fact.name,
            fact.kind,
            fact.region,
            None if fact.labels is None else json.dumps(dict(fact.labels), sort_keys=True, ensure_ascii=False),
            fact.vcpus,
            fact.memory_bytes,
            fact.disk_bytes,
            fact.gpus,
            int(fact.deleted),
        ),
    )
    return STORED


def _mark_size(tx: Tx, scope_key: int, resource_key: int, fact: Fact, marks: Marks) -> None:
    has_size = tx.row(
        f"SELECT 1 FROM resource_fact WHERE scope_key = ? AND resource_key = ? AND {SIZED} LIMIT 1",
        (scope_key, resource_key),
    )
    completed_ns = hour_start(fact.received_at_ns)
    for known in known_by_source(tx, scope_key, resource_key):
        marks.add(resource_key, *reach_of_size(known, fact.at_ns, first=has_size is None, completed_ns=completed_ns))
    if has_size is None:
        # The sizes of a resource without facts are absent: from the first fact on those before it are 0, where records tell of it too.
        recorded = tx.row("SELECT MIN(from_ns) FROM usage_record WHERE scope_key = ? AND resource_key = ?", (scope_key, resource_key))
        if recorded is not None and recorded[0] is not None:
            marks.add(resource_key, min(recorded[0], fact.at_ns), fact.at_ns)


def _mark_owners(
    tx: Tx, scope_key: int, resource_key: int, before: Sequence[Attributes], after: Sequence[Attributes], marks: Marks
) -> None:
    """Mark the hours with usage in which the resource is now another customer's: their days and months are.

    Also all that wait to be computed, again, wherever they lie: a worker that began before would keep their days with the customers
    of before, in the whole of a day of which another worker has already made the part after the change.
    """
    bounds = sorted({span.from_ns for span in (*before, *after)})
    for from_ns, until_ns in pairwise([*bounds, LATEST_NS]):
        if _owner(before, from_ns) != _owner(after, from_ns):
            hours = tx.rows(
                "SELECT hour_ns FROM usage_hour WHERE scope_key = ? AND resource_key = ? AND hour_ns >= ? AND hour_ns < ?"
                " UNION SELECT hour_ns FROM dirty_hour WHERE scope_key = ? AND resource_key = ?",
                (*(scope_key, resource_key, hour_start(from_ns), until_ns), scope_key, resource_key),
            )
            for (hour_ns,) in hours:
                marks.add(resource_key, hour_ns, hour_ns)


def _owner(spans: Sequence[Attributes], at_ns: int) -> str:
    return next((span.customer_id for span in spans if span.from_ns <= at_ns < span.until_ns), UNASSIGNED)


def _content_hash(fact: Fact) -> bytes:
    content = [
        fact.customer_id,
        fact.name,
        fact.kind,
        fact.region,
        None if fact.labels is None else sorted(fact.labels.items()),
        fact.vcpus,
        fact.memory_bytes,
        fact.disk_bytes,
        fact.gpus,
        fact.deleted,
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()[:16]


def facts_of(tx: Tx, scope_key: int, resource_keys: dict[int, str]) -> dict[int, list[Fact]]:
    """All facts of resources, in order of instant, then of reception."""
    clause, value = tx.each_of("resource_key", list(resource_keys))
    rows = tx.rows(
        f"SELECT resource_key, {FACT_COLUMNS} FROM resource_fact WHERE scope_key = ? AND {clause} ORDER BY at_ns, received_at_ns, fact_key",
        (scope_key, value),
    )
    found: dict[int, list[Fact]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(_fact(resource_keys[row[0]], row[1:]))
    return found


def _fact(resource_id: str, row: Values) -> Fact:
    return Fact(
        resource_id=resource_id,
        at_ns=row[0],
        received_at_ns=row[1],
        origin=Origin(row[2]),
        customer_id=row[3],
        name=row[4],
        kind=row[5],
        region=row[6],
        labels=None if row[7] is None else json.loads(row[7]),
        vcpus=row[8],
        memory_bytes=row[9],
        disk_bytes=row[10],
        gpus=row[11],
        deleted=bool(row[12]),
    )


def _update_resource(tx: Tx, scope_key: int, resource_key: int, resource_id: str) -> tuple[Attributes, ...]:
    """Keep beside a resource what holds of it now, whose it ever was, and how long its disk is held; what holds of it, by time."""
    facts = facts_of(tx, scope_key, {resource_key: resource_id}).get(resource_key, [])
    spans = attributes(facts)
    now = spans[-1]
    disks = [fact.at_ns for fact in facts if fact.disk_bytes is not None]
    ends = [fact.at_ns for fact in facts if fact.deleted]
    is_held = bool(disks) and (not ends or max(disks) > max(ends))
    tx.run(
        "UPDATE resource SET customer_id = ?, name = ?, kind = ?, region = ?, labels = ?, disk_from_ns = ?, disk_until_ns = ?"
        " WHERE resource_key = ?",
        (
            now.customer_id,
            now.name,
            now.kind,
            now.region,
            json.dumps(dict(now.labels), sort_keys=True, ensure_ascii=False),
            min(disks, default=None),
            None if is_held or not disks else max(ends),
            resource_key,
        ),
    )
    owners = sorted({span.customer_id for span in spans} - {UNASSIGNED})
    tx.many(
        "INSERT INTO resource_customer (scope_key, customer_id, resource_key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(scope_key, owner, resource_key) for owner in owners],
    )
    return spans


def events_of(tx: Tx, scope_key: int, resource_keys: dict[int, str]) -> dict[int, list[LifecycleEvent]]:
    """All lifecycle notices of resources, in order of instant, then of reception."""
    clause, value = tx.each_of("resource_key", list(resource_keys))
    rows = tx.rows(
        "SELECT resource_key, boot_id, kind, at_ns, received_at_ns, last_sent_ns, step_ns FROM lifecycle_event"
        f" WHERE scope_key = ? AND {clause} AND late = 0 ORDER BY at_ns, received_at_ns, event_key",
        (scope_key, value),
    )
    found: dict[int, list[LifecycleEvent]] = {}
    for key, boot_id, kind, at_ns, received_at_ns, last_sent_ns, step_ns in rows:
        event = LifecycleEvent(
            resource_id=resource_keys[key],
            boot_id=boot_id,
            kind=LifecycleKind(kind),
            at_ns=at_ns,
            received_at_ns=received_at_ns,
            last_sent_ns=last_sent_ns or None,
            step_ns=step_ns,
        )
        found.setdefault(key, []).append(event)
    return found


def mark_disk_hours(tx: Tx, now_ns: int, most_resources: int) -> int:
    """Mark the hours completed by `now_ns` of resources that hold disk, up or not; how many resources were marked.

    At most `most_resources`, and of each at most as many hours as a week has: there may be more until none was marked.
    """
    completed_ns = hour_start(now_ns)
    rows = tx.rows(
        "SELECT scope_key, resource_key, disk_from_ns, disk_until_ns, disk_marked_ns FROM resource WHERE disk_from_ns < ?"
        " AND (disk_marked_ns IS NULL OR disk_marked_ns < ?)"
        " AND (disk_until_ns IS NULL OR disk_marked_ns IS NULL OR disk_until_ns > disk_marked_ns) ORDER BY scope_key, resource_key LIMIT ?",
        (completed_ns, completed_ns, most_resources),
    )
    by_scope: dict[int, Marks] = {}
    done: list[tuple[int, int]] = []
    for scope_key, resource_key, from_ns, until_ns, marked_ns in rows:
        first_ns = from_ns if marked_ns is None else max(marked_ns, from_ns)
        marked_until_ns = min(completed_ns, hour_start(first_ns) + MOST_DISK_HOURS * HOUR_NS)
        done.append((marked_until_ns, resource_key))
        last_ns = marked_until_ns - HOUR_NS if until_ns is None else min(marked_until_ns - HOUR_NS, until_ns)
        if first_ns <= last_ns + HOUR_NS - 1:
            by_scope.setdefault(scope_key, Marks()).add(resource_key, first_ns, last_ns)
    for scope_key, marks in by_scope.items():
        mark(tx, scope_key, marks)
    tx.many("UPDATE resource SET disk_marked_ns = ? WHERE resource_key = ?", done)
    return len(rows)
