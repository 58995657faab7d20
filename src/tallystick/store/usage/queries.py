"""Usage of one customer, found by whose it was: no other resource of the place is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.instants import DAY_NS
from tallystick.store.engine import Tx, Values
from tallystick.store.usage import integrals

OWNED = "FROM resource_customer o JOIN {0} ON {1}.scope_key = o.scope_key AND {1}.resource_key = o.resource_key"
LONGEST_NS = 33 * DAY_NS
"""No local day or month is longer."""
WHOSE = "WHERE o.scope_key = ? AND o.customer_id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A resource that is or was a customer's, with the first hour in which it had usage, also where it is deleted by now.

    Hours before `hours_until_ns` were deleted; None: none were.
    """

    place: Place
    customer_id: str
    key: int
    resource_id: str
    first_ns: int | None
    hours_until_ns: int | None


def strange_to(tx: Tx, scope_key: int, table: str, customer_id: str, zone: str, span: tuple[int, int]) -> bool:
    """Whether a day or month of a customer reaches into a span that is of another zone, or beyond the span."""
    row = tx.row(
        f"SELECT 1 {OWNED.format(f'{table} u', 'u')} {WHOSE} AND u.customer_id = o.customer_id AND u.start_ns >= ? AND u.start_ns < ?"
        " AND u.end_ns > ? AND (u.zone <> ? OR u.start_ns < ? OR u.end_ns > ?) LIMIT 1",
        (scope_key, customer_id, span[0] - LONGEST_NS, span[1], span[0], zone, *span),
    )
    return row is not None


def sums_of(tx: Tx, scope_key: int, table: str, customer_id: str, zone: str, span: tuple[int, int]) -> Sequence[Values]:
    """By resource the sums of a customer's days or months of a zone in a span: number, id, samples, peak, runs, unknown, exact sums."""
    return tx.rows(
        "SELECT u.resource_key, MIN(r.resource_id), SUM(u.samples), MAX(u.memory_peak_bytes), SUM(u.runs), SUM(u.unknown_ns),"
        f" {integrals.summed(tx)} {OWNED.format(f'{table} u', 'u')} JOIN resource r ON r.resource_key = u.resource_key {WHOSE}"
        " AND u.customer_id = o.customer_id AND u.zone = ? AND u.start_ns >= ? AND u.start_ns < ?"
        " GROUP BY u.resource_key ORDER BY u.resource_key",
        (scope_key, customer_id, zone, *span),
    )


def waiting_of(tx: Tx, scope_key: int, customer_id: str, from_ns: int, until_ns: int) -> int:
    """How many hours of resources that are or were a customer's wait to be computed."""
    row = tx.row(
        f"SELECT COUNT(*) {OWNED.format('dirty_hour d', 'd')} {WHOSE} AND d.hour_ns >= ? AND d.hour_ns < ?",
        (scope_key, customer_id, from_ns, until_ns),
    )
    return int(row[0]) if row else 0


def resources_of(tx: Tx, scope_key: int, customer_id: str) -> dict[int, str]:
    """The resources that are or were a customer's: their ids by number."""
    rows = tx.rows(
        f"SELECT r.resource_key, r.resource_id {OWNED.format('resource r', 'r')} {WHOSE} ORDER BY r.resource_key", (scope_key, customer_id)
    )
    return {row[0]: row[1] for row in rows}


def owned_by(tx: Tx, seller_key: int, customers: Sequence[str]) -> Sequence[Values]:
    """What `Owned` holds, of the resources in every scope of a seller that are or were some customers'."""
    clause, value = tx.each_of("o.customer_id", list(customers))
    first = "(SELECT MIN(h.hour_ns) FROM usage_hour h WHERE h.scope_key = r.scope_key AND h.resource_key = r.resource_key)"
    return tx.rows(
        f"SELECT c.scope_id, o.customer_id, r.resource_key, r.resource_id, COALESCE(r.first_hour_ns, {first}), r.hours_until_ns"
        f" {OWNED.format('resource r', 'r')} JOIN scope c ON c.scope_key = o.scope_key WHERE c.seller_key = ? AND {clause}"
        " ORDER BY o.scope_key, r.resource_key",
        (seller_key, value),
    )


def changed_since(
    tx: Tx, scope_key: int, resource_keys: Sequence[int], from_ns: int, computed_after_ns: int, limit: int
) -> Sequence[Values]:
    """Hours from `from_ns` on that were computed after an instant, in the order in which they were: number, id, hour, block, samples,
    peak, instant.
    """  # noqa: D205 (the reason is one sentence)
    clause, value = tx.each_of("h.resource_key", list(resource_keys))
    return tx.rows(
        "SELECT h.resource_key, r.resource_id, h.hour_ns, h.cells, h.samples, h.memory_peak_bytes, h.computed_at_ns FROM usage_hour h"
        f" JOIN resource r ON r.resource_key = h.resource_key WHERE h.scope_key = ? AND {clause} AND h.hour_ns >= ?"
        f" AND h.computed_at_ns > ? ORDER BY h.computed_at_ns, h.resource_key, h.hour_ns LIMIT {limit:d}",
        (scope_key, value, from_ns, computed_after_ns),
    )
