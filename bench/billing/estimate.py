"""What one customer's live estimate costs: the preview of a running month of three resources, 720 stored hours, four charges with tiers.

Wall time of the middle one of many previews on an open store, as `POST /v1/invoices/preview` and the live table ask for it, on SQLite
and on PostgreSQL. A month that is half over has a day whose disk only its hours tell.
"""

from __future__ import annotations

import statistics
import sys
import time
from itertools import islice

from bench.billing.rating import HOURS, MONTH_NS, PLACE, filled
from bench.measure import line
from tallystick.app.answers.previews import preview
from tallystick.app.clock import RandomIds, SystemClock
from tallystick.app.serving.memory import collect_seldom
from tallystick.model.instants import HOUR_NS
from tallystick.store.store import open_store

CUSTOMERS = 10
ROUNDS = 40
HALF = HOURS // 2 - 10
"""Of half a month: its last day is not over."""
GOAL_MS = 10


def middle_ms(kind: str, hours: int) -> float:
    """Milliseconds of the middle preview, one customer after the other."""
    with filled(kind, CUSTOMERS, hours) as (url, _):
        store = open_store(url, SystemClock())
        names = [each.customer.id for each in store.registry.customers(PLACE)]
        took = []
        for number in range(ROUNDS + CUSTOMERS):
            began = time.perf_counter()
            drafts = preview(store, PLACE, names[number % CUSTOMERS], MONTH_NS + hours * HOUR_NS - 1, RandomIds())
            took.append(time.perf_counter() - began)
            if len(drafts) != 1 or len(drafts[0].lines) < 4 or drafts[0].findings:
                raise SystemExit(f"bench/billing/estimate.py: {drafts}")
        store.close()
    found = statistics.median(islice(took, CUSTOMERS, None)) * 1e3
    print(f"{kind}: {hours} h: {found:.2f} ms", file=sys.stderr)
    return found


def main() -> None:
    collect_seldom()  # as a server does
    what = f"live estimate of one customer, 3 resources x {HOURS} stored hours, 4 charges with tiers"
    line("estimate_one_ms", middle_ms("sqlite", HOURS), "ms", f"{what}, SQLite", GOAL_MS)
    line("estimate_one_postgresql_ms", middle_ms("postgresql", HOURS), "ms", f"{what}, PostgreSQL", GOAL_MS)
    what = f"the same in the middle of the month and of a day: {HALF} hours of each resource"
    line("estimate_half_month_ms", middle_ms("sqlite", HALF), "ms", f"{what}, SQLite", GOAL_MS)


if __name__ == "__main__":
    main()
