"""The collector service of a billing service: rows of many resources, as counters or as amounts of a window (wire.md 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from tallystick.ingest import notices
from tallystick.ingest.callers import caller, stored
from tallystick.ingest.codecs import TABLE
from tallystick.ingest.sources.assignments import Assignments, Told
from tallystick.ingest.sources.profiles import RowProfile, owner_refusal
from tallystick.ingest.sources.readings import FIELDS, Ints, Readings, Stream, read, read_table, streams
from tallystick.ingest.sources.replies import MOST_PROBLEMS, QUARANTINED, Problem, Tally
from tallystick.ingest.sources.windows import PER_WINDOW, Window, as_one, findings, windows
from tallystick.ingest.sources.wire_columns import MOST_ROWS, TOO_MANY_ROWS
from tallystick.ingest.submission import Clock, Intake, Quarantined, Receipt, SentBatch, Submission
from tallystick.model.access import Grant, Place
from tallystick.model.outcomes import Outcome, Refusal
from tallystick.model.resources import Fact
from tallystick.model.samples import BatchIdentity, SampleSource
from tallystick.proto.billing.collector.v1 import collector_pb2 as wire

ROW_BYTES = 128
"""About what a row takes while it waits: to ask each for its size would cost a tenth of reading it."""
MOST_WINDOWS = 10_000
MOST_RESOURCES = 10_000
"""Of one request: a second of the store's time where they are new, for which all others wait."""
MOST_FACTS = 10_000
"""Assignments of one request: each is written by itself while all others wait."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sorted:
    """A request taken apart: what is sent to the store, and what is already known of its rows."""

    readings: Readings
    streams: Sequence[Stream]
    windows: Sequence[Window]
    aside: Sequence[Quarantined]
    tally: Tally


class CollectorService:
    """`billing.collector.v1.BillingCollectorService`."""

    def __init__(self, intake: Intake, clock: Clock, profile: RowProfile) -> None:
        self._intake = intake
        self._clock = clock
        self._profile = profile
        self._assignments = Assignments()

    async def send_metrics(self, request: wire.SendMetricsRequest, ctx: RequestContext[Any, Any], /) -> wire.SendMetricsResponse:
        """Store one row; one that cannot be stored is an error."""
        if not request.HasField("metrics"):
            raise ConnectError(Code.INVALID_ARGUMENT, "metrics: no metrics provided")
        tally = await self._take(read([request.metrics]), ctx)
        return wire.SendMetricsResponse(success=True, message=tally.message(), repeated=bool(tally.repeated))

    async def send_metrics_batch(
        self, request: wire.SendMetricsBatchRequest, ctx: RequestContext[Any, Any], /
    ) -> wire.SendMetricsBatchResponse:
        """Store rows of any resources; those that cannot be are set aside or refused, and named."""
        table = TABLE.get()
        count = len(request.metrics) if table is None else table.starts.size
        if not count:
            raise ConnectError(Code.INVALID_ARGUMENT, "metrics: no metrics provided")
        if count > MOST_ROWS:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, TOO_MANY_ROWS)
        return (await self._take(read(request.metrics) if table is None else read_table(table), ctx)).reply()

    async def _take(self, readings: Readings, ctx: RequestContext[Any, Any]) -> Tally:
        """Store rows and tell what became of them, once all is durable.

        Raises:
            ConnectError: nothing of them can be stored, or they are too many at once.

        """
        grant, received_at_ns = caller(), self._clock.now_ns()
        profile = self._profile.under(grant.profile)
        if len(readings.whose) > MOST_RESOURCES:
            said = f"metrics: {len(readings.whose)} resources, at most {MOST_RESOURCES} in a request: send them in parts"
            raise ConnectError(Code.RESOURCE_EXHAUSTED, said)
        parts = _sort(readings, grant, profile, received_at_ns)
        facts = self._facts(grant.place, profile, parts, received_at_ns)
        for name, count, most in (("rows with a window", len(parts.windows), MOST_WINDOWS), ("assignments", len(facts), MOST_FACTS)):
            if count > most:
                raise ConnectError(Code.RESOURCE_EXHAUSTED, f"metrics: {count} {name}, at most {most} in a request: send them in parts")
        submission = Submission(
            grant=grant,
            received_at_ns=received_at_ns,
            batches=[_batch(each, profile) for each in parts.streams],
            facts=facts,
            records=[record for window in parts.windows for record in window.records],
            quarantined=parts.aside,
            findings=findings(parts.windows),
            size_bytes=int(readings.owners.size) * ROW_BYTES,
        )
        receipt = await stored(self._intake, submission, ctx)
        tally = _counted(parts, receipt)
        kept = (fact for fact, result in zip(facts, receipt.facts, strict=True) if result.outcome is not Outcome.REFUSED)
        self._assignments.remember(grant.place, kept)
        tally.check()
        return tally

    def _facts(self, place: Place, profile: RowProfile, parts: _Sorted, received_at_ns: int) -> list[Fact]:
        """Whose the resources are and where they run, where that is not what was heard last."""
        whose = parts.readings.whose
        told: dict[str, list[Told]] = {}
        for each in parts.streams:
            owners = parts.readings.owners[each.rows]
            changes = [0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1).tolist()]
            at_ns = parts.readings.at_ns[each.rows[changes]].tolist()
            told[each.vm_id] = [
                _told(at, whose[owner].customer_id, whose[owner].region, profile)
                for at, owner in zip(at_ns, owners[changes].tolist(), strict=True)
            ]
        for window in parts.windows:
            one = whose[int(parts.readings.owners[window.row])]
            told.setdefault(one.vm_id, []).append(_told(window.from_ns, one.customer_id, one.region, profile))
        return [fact for vm_id, each in told.items() for fact in self._assignments.facts(place, vm_id, sorted(each), received_at_ns)]


def _told(at_ns: int, customer_id: str, region: str, profile: RowProfile) -> Told:
    return (at_ns, profile.customer(customer_id), region)


def _batch(stream: Stream, profile: RowProfile) -> SentBatch:
    return SentBatch(
        identity=BatchIdentity(resource_id=stream.vm_id, boot_id="", spool_id="", sequence=0, source=SampleSource.ROWS),
        interval_ns=profile.interval_ns,
        samples=int(stream.rows.size),
        columns=stream.columns,
        differences=profile.differences,
    )


def _sort(readings: Readings, grant: Grant, profile: RowProfile, received_at_ns: int) -> _Sorted:
    """Take a request apart: rows that are refused, readings by resource, windows, and what cannot be."""
    tally = Tally()
    refusals = [
        notices.id_refusal("vm_id", each.vm_id, needed=True) or owner_refusal(grant, profile.customer(each.customer_id), each.region)
        for each in readings.whose
    ]
    allowed = np.array([each is None for each in refusals], np.bool_)[readings.owners]
    for row in _first(np.flatnonzero(~allowed), tally):
        refusal = refusals[int(readings.owners[row])]
        if refusal is not None:
            tally.problems.append(_refused(row, readings, refusal))
    tally.refused += int((~allowed).sum())
    sound = (readings.at_ns > 0) & (readings.values >= 0).all(axis=1)
    plain = allowed & ~readings.windowed
    aside = [_aside(readings, row) for row in np.flatnonzero(plain & ~sound).tolist()]
    found, bad = windows(readings, np.flatnonzero(allowed & readings.windowed).tolist(), received_at_ns)
    aside += bad
    tally.quarantined += len(aside)
    tally.problems += [
        Problem(index=each.index, vm_id=each.resource_id, code=QUARANTINED, field=each.field, value=each.value)
        for each in aside[:MOST_PROBLEMS]
    ]
    tally.problems += [window.mismatch for window in found if window.mismatch is not None][:MOST_PROBLEMS]
    return _Sorted(readings=readings, streams=streams(readings, plain & sound), windows=found, aside=aside, tally=tally)


def _first(rows: Ints, tally: Tally) -> list[int]:
    return [int(row) for row in rows[: MOST_PROBLEMS - len(tally.problems)]]


def _refused(row: int, readings: Readings, refusal: Refusal) -> Problem:
    vm_id = readings.whose[int(readings.owners[row])].vm_id
    return Problem(index=row, vm_id=vm_id[:60], code=refusal.code.value, field=refusal.field, value=refusal.value)


def _aside(readings: Readings, row: int) -> Quarantined:
    """Why a reading cannot be: its instant, or the first value beyond what a column holds."""
    vm_id = readings.whose[int(readings.owners[row])].vm_id
    if readings.at_ns[row] <= 0:
        stamp = readings.row(row).timestamp
        return Quarantined(resource_id=vm_id, index=row, field="timestamp", value=f"{stamp.seconds} s and {stamp.nanos} ns")
    column = int(np.flatnonzero(readings.values[row] < 0)[0])
    return Quarantined(resource_id=vm_id, index=row, field=FIELDS[column], value=str(getattr(readings.row(row), FIELDS[column])))


def _counted(parts: _Sorted, receipt: Receipt) -> Tally:
    """The rows by what became of them."""
    tally = parts.tally
    for stream, result in zip(parts.streams, receipt.batches, strict=True):
        at = 0 if result.refusal is None or result.refusal.index is None else result.refusal.index
        tally.add(result, stream.copies, int(stream.rows[at]), stream.vm_id)
    results = iter(receipt.records)
    for window in parts.windows:
        of_row = [next(results) for _ in range(PER_WINDOW)]
        tally.add(as_one(of_row), 1, window.row, parts.readings.whose[int(parts.readings.owners[window.row])].vm_id)
    return tally
