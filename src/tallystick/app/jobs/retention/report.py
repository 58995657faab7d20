"""What is kept, since when, and what must stay: `tally retention status`, and `tally retention run`."""

from __future__ import annotations

from tallystick.app.clock import clock_of
from tallystick.app.jobs.retention.cleaning import LAST
from tallystick.app.jobs.retention.needs import Needs
from tallystick.app.jobs.retention.rules import Rules
from tallystick.app.jobs.retention.steps import CleanUp
from tallystick.app.settings import Settings
from tallystick.model.instants import iso
from tallystick.store.store import Store, open_store

Document = dict[str, object]


def read_status(settings: Settings) -> Document:
    """What is kept of each kind (rows, from when on), the files, what is refused and why, what the last clean-up did."""
    clock = clock_of(settings.clock_file)
    store = open_store(settings.url, clock)
    try:
        return status_of(store, Rules.of(settings), clock.now_ns())
    finally:
        store.close()


def status_of(store: Store, rules: Rules, now_ns: int) -> Document:
    """The same of a store that is open."""
    with store.read() as tx:
        kept = {kind: {"rows": rows, "from": None if since is None else iso(since)} for kind, rows, since in store.retention.kept(tx)}
        files, samples, size = store.archived.totals(tx=tx)
        needs = Needs(store, now_ns)
        refused: dict[str, int] = {}
        for place in store.registry.places(tx=tx):
            resources = store.registry.resources(place, tx=tx)
            held = store.retention.held(place, [each.row for each in resources], tx=tx) if resources else {}
            by_age_ns = needs.month_before(place, rules.segments_ns, tx)
            for each in resources:
                first_ns = held[each.row].first_ns
                spans = store.registry.attributes(place, [each.row], tx=tx)[each.id]
                need = needs.of_resource(place, spans, held[each.row], rules.segments_ns, tx)
                if first_ns is not None and need.why and max(need.from_ns, first_ns) < by_age_ns:
                    refused[need.why] = refused.get(need.why, 0) + 1
        last = store.settings.get(store.registry.places(tx=tx)[0], LAST, tx=tx)
    return {
        "at": iso(now_ns),
        "stored_bytes": store.maintenance.stored_bytes(),
        "kept": kept,
        "archive": {"directory": str(rules.archive) if rules.archive else None, "files": files, "samples": samples, "bytes": size},
        "refused": dict(sorted(refused.items())),
        "last": last,
    }


def run_now(settings: Settings) -> Document:
    """A whole clean-up at once."""
    clock = clock_of(settings.clock_file)
    store = open_store(settings.url, clock)
    try:
        clean_up = CleanUp(store=store, rules=Rules.of(settings), now_ns=clock.now_ns())
        for _ in clean_up.steps():
            pass
        told = clean_up.told()
        store.settings.put(store.registry.places()[0], LAST, told)
        return told
    finally:
        store.close()
