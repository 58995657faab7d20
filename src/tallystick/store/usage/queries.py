"""Usage of one customer, found by whose it was: no other resource of the place is looked at."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.store.engine import Tx, Values
from tallystick.store.usage import integrals

PERIOD_COLUMNS = (
    "u.resource_key, r.resource_id, u.start_ns, u.end_ns, u.zone, u.customer_id, u.date, u.samples, u.memory_peak_bytes,"
    " u.runs, u.unknown_ns"
)
OWNED = "FROM resource_customer o JOIN {0} ON {1}.scope_key = o.scope_key AND {1}.resource_key = o.resource_key"
WHOSE = "WHERE o.scope_key = ? AND o.customer_id = ?"


def periods_of(tx: Tx, scope_key: int, table: str, customer_id: str, from_ns: int, until_ns: int, end_after_ns: int) -> Sequence[Values]:
    """Rows of days or months of a customer that begin in [from_ns, until_ns) and end after an instant."""
    exact = ", ".join(f"u.{name}" for name in integrals.columns(tx))
    return tx.rows(
        f"SELECT {PERIOD_COLUMNS}, {exact} {OWNED.format(f'{table} u', 'u')} JOIN resource r ON r.resource_key = u.resource_key"
        f" {WHOSE} AND u.customer_id = o.customer_id AND u.start_ns >= ? AND u.start_ns < ? AND u.end_ns > ?"
        " ORDER BY u.resource_key, u.start_ns",
        (scope_key, customer_id, from_ns, until_ns, end_after_ns),
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
