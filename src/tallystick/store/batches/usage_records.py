"""Usage records into the store, each once for ever, and out of it around a window of time (metering.md, usage record)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tallystick.model.access import Place
from tallystick.model.instants import HOUR_NS
from tallystick.model.outcomes import BatchResult, Outcome, outcomes
from tallystick.model.records import RegisteredRecord, UsageRecord
from tallystick.store.batches.marks import Marks, lock_resources, mark
from tallystick.store.batches.told import keep_told, record_too_late, sealed_until
from tallystick.store.engine import Tx, Values
from tallystick.store.surrogates import Surrogates

Identity = tuple[str, str, str]
"""What makes it one record, inside a scope: source, id, meter."""

COLUMNS = "source, record_id, meter, resource_key, from_ns, until_ns, amount, content_hash, received_at_ns, peak"
INSERT = f"INSERT INTO usage_record (scope_key, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_ARRAYS = (
    f"INSERT INTO usage_record (scope_key, {COLUMNS}) SELECT ?::int, n.* FROM unnest(?::text[], ?::text[], ?::text[], ?::int[],"
    " ?::bigint[], ?::bigint[], ?::text[], ?::bytea[], ?::bigint[], ?::bigint[]) AS n"
    " ON CONFLICT DO NOTHING RETURNING source, record_id, meter"
)
SHORT = "r.from_ns > ? AND r.from_ns < ? AND r.until_ns - r.from_ns <= 3600000000000 AND (r.until_ns > ? OR r.from_ns >= ?)"
LONG = "r.until_ns > ? AND r.from_ns < ? AND r.until_ns - r.from_ns > 3600000000000"
"""The length is written out: only so does the partial index serve."""


def write_records(tx: Tx, surrogates: Surrogates, place: Place, records: Sequence[UsageRecord]) -> list[BatchResult]:
    """Store records of one place, mark the hours that they touch; the results (stored, repeated, conflict) are in their order.

    Of two in one call with one identity the first is stored. A conflict tells both content hashes; what is stored stays.
    Of what lies in sealed hours, where nothing is counted any more, the finding `record_too_late` is kept with it.
    """
    if not records:
        return []
    scope_key = surrogates.scope(tx, place)
    received_at_ns = records[0].received_at_ns
    keys = surrogates.resources(tx, scope_key, {record.resource_id for record in records}, received_at_ns)
    lock_resources(tx, list(keys.values()))
    surrogates.record_sources(tx, scope_key, {record.source for record in records}, received_at_ns)
    first: dict[Identity, UsageRecord] = {}
    for record in records:
        first.setdefault(_identity(record), record)
    known = _insert(tx, scope_key, first, keys)
    sealed = sealed_until(tx, keys.values())
    results = outcomes([(_identity(record), record.content_hash) for record in records], known)
    marks, late = Marks(), []
    for record, result in zip(records, results, strict=True):
        if result.outcome is not Outcome.STORED:
            continue
        marks.add(keys[record.resource_id], record.from_ns, max(record.from_ns, record.until_ns - 1))
        late.append(record_too_late(record, sealed.get(keys[record.resource_id], 0)))
    keep_told(tx, scope_key, keys, filter(None, late), received_at_ns)
    mark(tx, scope_key, marks)
    return results


def _identity(record: UsageRecord) -> Identity:
    return (record.source, record.record_id, record.meter)


def _insert(tx: Tx, scope_key: int, records: Mapping[Identity, UsageRecord], keys: Mapping[str, int]) -> dict[Identity, bytes]:
    """Store the records that are new; the content hashes of those that are not, by identity."""
    rows = {identity: _row(records[identity], keys[records[identity].resource_id]) for identity in sorted(records)}
    if tx.is_sqlite:  # one writer: what is not there now is new
        known = _stored(tx, scope_key, list(rows))
        tx.many(INSERT, [(scope_key, *row) for identity, row in rows.items() if identity not in known])
        return known
    columns = list(zip(*rows.values(), strict=True))
    new = {(row[0], row[1], row[2]) for row in tx.rows(INSERT_ARRAYS, (scope_key, *map(list, columns)))}
    return _stored(tx, scope_key, [identity for identity in rows if identity not in new])


def _row(record: UsageRecord, resource_key: int) -> Values:
    return (
        *_identity(record),
        resource_key,
        record.from_ns,
        record.until_ns,
        str(record.amount),
        record.content_hash,
        record.received_at_ns,
        record.peak,
    )


def _stored(tx: Tx, scope_key: int, identities: Sequence[Identity]) -> dict[Identity, bytes]:
    """The content hashes of those records that are stored."""
    if not identities:
        return {}
    if tx.is_sqlite:
        source = "(SELECT json_extract(value, '$[0]') AS s, json_extract(value, '$[1]') AS i, json_extract(value, '$[2]') AS m"
        source += " FROM json_each(?)) AS p"
        values: Values = (json.dumps(identities),)
    else:
        source = "unnest(?::text[], ?::text[], ?::text[]) AS p (s, i, m)"
        values = tuple([identity[place] for identity in identities] for place in range(3))
    rows = tx.rows(
        f"SELECT r.source, r.record_id, r.meter, r.content_hash FROM {source} CROSS JOIN usage_record r"
        " WHERE r.scope_key = ? AND r.source = p.s AND r.record_id = p.i AND r.meter = p.m",
        (*values, scope_key),
    )
    return {(row[0], row[1], row[2]): bytes(row[3]) for row in rows}


def records_of(tx: Tx, scope_key: int, resource_keys: Mapping[int, str], from_ns: int, until_ns: int) -> dict[int, list[RegisteredRecord]]:
    """The records of resources that touch [from_ns, until_ns), by resource number, in order of their beginning.

    Those of at most an hour began at most an hour before; of the longer ones, which are few, an index has the ends.
    """
    clause, value = tx.each_of("r.resource_key", list(resource_keys))
    select = f"SELECT r.resource_key, o.source_key, {', '.join('r.' + name for name in _READ)} FROM usage_record r"
    select += " JOIN record_source o ON o.scope_key = r.scope_key AND o.source = r.source"
    rows = tx.rows(
        f"{select} WHERE r.scope_key = ? AND {clause} AND {SHORT} UNION ALL {select} WHERE r.scope_key = ? AND {clause} AND {LONG}",
        (scope_key, value, from_ns - HOUR_NS - 1, until_ns, from_ns, from_ns, scope_key, value, from_ns, until_ns),
    )
    found: dict[int, list[RegisteredRecord]] = {}
    for row in sorted(rows, key=lambda row: (row[6], row[3], row[4], row[5])):
        found.setdefault(row[0], []).append(_registered(resource_keys[row[0]], row))
    return found


_READ = ("record_key", "source", "record_id", "meter", "from_ns", "until_ns", "amount", "content_hash", "received_at_ns", "peak")


def _registered(resource_id: str, row: Values) -> RegisteredRecord:
    record = UsageRecord(
        resource_id=resource_id,
        source=row[3],
        record_id=row[4],
        meter=row[5],
        from_ns=row[6],
        until_ns=row[7],
        amount=int(row[8]),
        content_hash=bytes(row[9]),
        received_at_ns=row[10],
        peak=row[11],
    )
    return RegisteredRecord(record=record, source_number=row[1])
