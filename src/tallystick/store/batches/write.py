"""The hot path: many batches with their identity, segments, payload, extents and dirty marks, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tallystick.model.access import Place
from tallystick.model.outcomes import BatchResult, Outcome
from tallystick.model.samples import SampleSource, boot_name
from tallystick.model.timeline import PayloadForm, StorableBatch
from tallystick.store.batches.identities import FORMS, Candidate, insert_identities, settle_known
from tallystick.store.batches.known import cells_around, extent_of, extents_of, known_of, settle_intervals
from tallystick.store.batches.marks import Marks, lock_resources, trace_hours
from tallystick.store.batches.reach import Extent, Known, reach_of_first_sample
from tallystick.store.engine import CopyRow, Tx, integers
from tallystick.store.retention.late import put_aside, recognise_folded
from tallystick.store.surrogates import Surrogates

THINNED_STATE = 2
INSERT_SEGMENT = (
    "INSERT INTO segment (scope_key, resource_key, cell_ns, batch_key, boot_key, first_at_ns, last_at_ns, samples, interval_ns,"
    " received_at_ns, block) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_PAYLOAD = "INSERT INTO payload (batch_key, received_at_ns, form, interval_ns, body) VALUES (?, ?, ?, ?, ?)"
COPY_SEGMENT = (
    "COPY segment (scope_key, resource_key, cell_ns, batch_key, boot_key, first_at_ns, last_at_ns, samples, interval_ns,"
    " received_at_ns, block) FROM STDIN (FORMAT BINARY)"
)
SEGMENT_ROW = CopyRow("iiqqiqqiqq")
COPY_PAYLOAD = "COPY payload (batch_key, received_at_ns, form, interval_ns, body) FROM STDIN (FORMAT BINARY)"
PAYLOAD_ROW = CopyRow("qqiq")


@dataclass(slots=True)
class _Resource:
    """A resource's row while it is written: `latest_boot_key` is the boot that ends last, 0 if there is none or it is not known."""

    generation: int
    latest_boot_key: int
    event_at_ns: int | None
    has_facts: bool
    sealed_until_ns: int | None
    reordered: bool = False


@dataclass(slots=True)
class _Writing:
    """What one call gathers: states of boots and resources, marks, and what only the whole store can tell the reach of."""

    boots: dict[int, Extent]
    resources: dict[int, _Resource]
    touched: dict[int, int] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)
    first_samples: list[tuple[Candidate, str]] = field(default_factory=list)
    to_the_end: list[tuple[Candidate, int]] = field(default_factory=list)
    inside: list[tuple[Candidate, bool]] = field(default_factory=list)
    tied: set[int] = field(default_factory=set)


def write_batches(tx: Tx, surrogates: Surrogates, place: Place, batches: Sequence[StorableBatch]) -> list[BatchResult]:
    """Store batches of one place; each once, whatever is sent again, and by whatever server. The results are in their order.

    On PostgreSQL the rows of the resources are locked first, in one order: what belongs to one resource is written by one
    transaction after the other.
    """
    if not batches:
        return []
    scope_key = surrogates.scope(tx, place)
    candidates = _candidates(tx, surrogates, scope_key, batches)
    writing = _Writing({}, {})
    _load_states(tx, writing, candidates)
    results: list[BatchResult | None] = [None] * len(batches)
    if writing.marks.sealed:
        recognise_folded(tx, scope_key, candidates, writing.marks.sealed, results)
    new = insert_identities(tx, scope_key, candidates, results)
    if new:
        for candidate in new:
            results[candidate.index] = BatchResult(outcome=Outcome.STORED)
        counted = _open_parts(tx, scope_key, writing, new)
        _insert_rows(tx, scope_key, new, counted)
        for candidate in counted:
            _extend(writing, candidate)
        for boot_key in sorted(writing.tied):
            settle_intervals(tx, scope_key, writing.touched[boot_key], writing.boots[boot_key])
        _update_boots(tx, writing)
        _mark_reaches(tx, scope_key, writing)
        writing.marks.generations = {key: state.generation for key, state in writing.resources.items()}
        writing.marks.write(tx, scope_key)
        trace_hours(tx, scope_key, new)
        _update_resources(tx, writing)
    settle_known(tx, scope_key, candidates, results)
    return [result for result in results if result is not None]


def _candidates(tx: Tx, surrogates: Surrogates, scope_key: int, batches: Sequence[StorableBatch]) -> list[Candidate]:
    resource_keys = surrogates.resources(tx, scope_key, {batch.identity.resource_id for batch in batches}, batches[0].received_at_ns)
    lock_resources(tx, list(resource_keys.values()))
    boots = [(resource_keys[batch.identity.resource_id], _boot_of(batch)) for batch in batches]
    boot_keys = surrogates.boots(tx, scope_key, set(boots))
    spool_keys = surrogates.spools(tx, scope_key, {batch.identity.spool_id for batch in batches if batch.identity.sequence})
    return [
        Candidate(
            index,
            batch,
            boots[index][0],
            boot_keys[boots[index]],
            spool_keys[batch.identity.spool_id] if batch.identity.sequence else 0,
        )
        for index, batch in enumerate(batches)
    ]


def _boot_of(batch: StorableBatch) -> str:
    return boot_name(batch.identity.boot_id, batch.identity.source)


def _load_states(tx: Tx, writing: _Writing, candidates: Sequence[Candidate]) -> None:
    clause, keys = tx.each_of("b.boot_key", sorted({each.boot_key for each in candidates}))
    rows = tx.rows(
        "SELECT b.boot_key, b.boot_id, b.first_at_ns, b.last_at_ns, b.first_interval_ns, b.last_interval_ns, r.resource_key,"
        " r.generation, r.latest_boot_key, r.event_at_ns, r.disk_from_ns IS NOT NULL,"
        " r.sealed_until_ns"
        f" FROM boot b JOIN resource r ON r.resource_key = b.resource_key WHERE {clause}",
        (keys,),
    )
    for row in rows:
        writing.boots[row[0]] = extent_of(row[:6])
        if row[6] not in writing.resources:
            writing.resources[row[6]] = _Resource(row[7], row[8], row[9], bool(row[10]), row[11])
            if row[11] is not None:
                writing.marks.sealed[row[6]] = row[11]


def _open_parts(tx: Tx, scope_key: int, writing: _Writing, new: Sequence[Candidate]) -> Sequence[Candidate]:
    """The new batches as far as they count: what lies in sealed hours is put aside (metering.md, Retention)."""
    sealed = writing.marks.sealed
    if not sealed:
        return new
    parts = (put_aside(tx, scope_key, each, sealed[each.resource_key]) if each.resource_key in sealed else each for each in new)
    return [each for each in parts if each is not None]


def _insert_rows(tx: Tx, scope_key: int, new: Sequence[Candidate], counted: Sequence[Candidate]) -> None:
    segments = [
        (
            scope_key,
            each.resource_key,
            segment.cell_ns,
            each.batch_key,
            each.boot_key,
            segment.first_at_ns,
            segment.last_at_ns,
            segment.samples,
            segment.interval_ns,
            each.batch.received_at_ns,
            segment.block,
        )
        for each in counted
        for segment in each.batch.segments
    ]
    payloads = [
        (each.batch_key, each.batch.received_at_ns, FORMS[each.batch.payload_form], each.batch.interval_ns, each.batch.payload)
        for each in new
        if each.batch.payload_form is not PayloadForm.THINNED
    ]
    if len(payloads) < len(new):
        thinned = [each.batch_key for each in new if each.batch.payload_form is PayloadForm.THINNED]
        tx.many(f"UPDATE batch SET state = {THINNED_STATE} WHERE batch_key = ? AND state = 0", [(key,) for key in thinned])
    if tx.is_sqlite:
        tx.many(INSERT_SEGMENT, segments)
        tx.many(INSERT_PAYLOAD, payloads)
        return
    tx.copy(COPY_SEGMENT, SEGMENT_ROW, segments)
    tx.copy(COPY_PAYLOAD, PAYLOAD_ROW, payloads)


def _extend(writing: _Writing, candidate: Candidate) -> None:
    """Widen the extent of a boot by a new batch, and mark what it reaches, or put it aside until all is stored."""
    batch, boot, resource = candidate.batch, writing.boots[candidate.boot_key], writing.resources[candidate.resource_key]
    key = candidate.resource_key
    known_first, known_last = boot.first_at_ns, boot.last_at_ns
    writing.touched[candidate.boot_key] = key
    no_event_since = resource.event_at_ns is None or known_last is None or resource.event_at_ns < known_last
    is_latest = resource.latest_boot_key == candidate.boot_key and no_event_since
    if known_first is None or known_last is None or batch.first_at_ns <= known_first:
        alone = known_first is None and not resource.latest_boot_key and resource.event_at_ns is None and not resource.has_facts
        if alone and not resource.reordered:
            resource.latest_boot_key = candidate.boot_key
            writing.marks.add(key, batch.first_at_ns, batch.last_at_ns)
        else:
            resource.latest_boot_key, resource.reordered = 0, True
            writing.first_samples.append((candidate, batch.identity.boot_id))
    elif batch.first_at_ns > known_last:
        writing.marks.add(key, known_last, batch.last_at_ns)
        if not is_latest:
            resource.latest_boot_key, resource.reordered = 0, True
            writing.to_the_end.append((candidate, known_last))
    else:
        grows = batch.last_at_ns > known_last
        if grows and not is_latest:
            resource.latest_boot_key, resource.reordered = 0, True
        writing.inside.append((candidate, grows and not is_latest))
    if known_first == batch.first_at_ns or known_last == batch.last_at_ns:
        writing.tied.add(candidate.boot_key)
    if known_first is None or batch.first_at_ns < known_first:
        boot.first_at_ns, boot.first_interval_ns = batch.first_at_ns, batch.interval_ns
    if known_last is None or batch.last_at_ns > known_last:
        boot.last_at_ns, boot.last_interval_ns = batch.last_at_ns, batch.interval_ns


def _mark_reaches(tx: Tx, scope_key: int, writing: _Writing) -> None:
    """Mark what only neighbours in the store can tell: everything new is stored by now, and is its own neighbour too."""
    known: dict[tuple[int, SampleSource], Known] = {}

    def of(candidate: Candidate) -> Known:
        place = (candidate.resource_key, candidate.batch.identity.source)
        if place not in known:
            known[place] = known_of(tx, scope_key, *place)
        return known[place]

    for candidate, boot_id in writing.first_samples:
        writing.marks.add(candidate.resource_key, *reach_of_first_sample(of(candidate), boot_id, candidate.batch.first_at_ns))
    for candidate, from_ns in writing.to_the_end:
        writing.marks.add(candidate.resource_key, from_ns, max(from_ns, of(candidate).end_ns()))
    spans = [(each.resource_key, each.boot_key, each.batch.first_at_ns, each.batch.last_at_ns) for each, _ in writing.inside]
    for (candidate, to_the_end), (before, after) in zip(writing.inside, cells_around(tx, scope_key, spans), strict=True):
        key, batch = candidate.resource_key, candidate.batch
        from_ns = batch.first_at_ns if before is None else before
        until_ns = batch.last_at_ns if after is None else after
        event_at_ns = writing.resources[key].event_at_ns
        if to_the_end or (event_at_ns is not None and event_at_ns >= from_ns):
            until_ns = max(until_ns, of(candidate).end_ns())
        writing.marks.add(key, from_ns, until_ns)
    for key, resource in writing.resources.items():
        if resource.reordered:
            resource.latest_boot_key = max(extents_of(tx, scope_key, key), key=lambda boot: boot.last_at_ns or 0).boot_key


def _update_boots(tx: Tx, writing: _Writing) -> None:
    touched = [writing.boots[key] for key in sorted(writing.touched)]
    rows = [(each.first_at_ns, each.last_at_ns, each.first_interval_ns, each.last_interval_ns, each.boot_key) for each in touched]
    if tx.is_sqlite:
        tx.many("UPDATE boot SET first_at_ns = ?, last_at_ns = ?, first_interval_ns = ?, last_interval_ns = ? WHERE boot_key = ?", rows)
        return
    tx.run(
        "UPDATE boot SET first_at_ns = n.a, last_at_ns = n.b, first_interval_ns = n.c, last_interval_ns = n.d"
        " FROM unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::int[]) AS n (a, b, c, d, k) WHERE boot.boot_key = n.k",
        tuple(integers([row[column] for row in rows]) for column in range(5)),
    )


def _update_resources(tx: Tx, writing: _Writing) -> None:
    written = sorted(set(writing.touched.values()))
    rows = [(writing.resources[key].generation + 1, writing.resources[key].latest_boot_key, key) for key in written]
    if tx.is_sqlite:
        tx.many("UPDATE resource SET generation = ?, latest_boot_key = ? WHERE resource_key = ?", rows)
        return
    tx.run(
        "UPDATE resource SET generation = n.a, latest_boot_key = n.b"
        " FROM unnest(?::bigint[], ?::int[], ?::int[]) AS n (a, b, k) WHERE resource.resource_key = n.k",
        tuple(integers([row[column] for row in rows]) for column in range(3)),
    )
