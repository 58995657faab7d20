"""`tally check`: everything that is derived is computed again from what it was derived from, and compared.

Batches and segments from raw samples while they are kept, boots from segments, usage hours, gaps and findings from segments, days
and months from hours, invoices from their frozen evidence, numbers from their series, what is kept beside resources from their
facts, the audit log from what it tells of. Hours that wait to be computed are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tallystick.app.checks import audit, boots, gaps, hours, invoices, numbers, periods, resources, samples
from tallystick.app.checks.report import Report, Wanted
from tallystick.app.checks.subjects import CheckedResource, CheckedWindow, windows
from tallystick.app.clock import clock_of
from tallystick.app.jobs.retention.archive import Archive
from tallystick.app.jobs.rollup import DiskHorizon
from tallystick.app.settings import Settings
from tallystick.model.access import Place
from tallystick.store.registry import StoredResource
from tallystick.store.store import Store, open_store

RESOURCES_AT_ONCE = 500

WINDOW_LAYERS: tuple[Callable[[CheckedWindow], None], ...] = (samples.check_window, hours.check_window, gaps.check_window)
"""Of each resource, window by window of whole hours."""
RESOURCE_LAYERS: tuple[Callable[[CheckedResource], None], ...] = (
    samples.check_resource,
    boots.check_resource,
    periods.check_resource,
    resources.check_resource,
)
"""Of each resource as a whole, from the snapshot of its windows."""
SELLER_LAYERS: tuple[Callable[[Store, Place, Wanted, Report], None], ...] = (
    invoices.check_seller,
    numbers.check_seller,
    audit.check_seller,
)
"""Of each seller: `place` is in the first of its scopes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How many things were compared, by layer, and the differences in words: `different` of them, the first 10,000 kept."""

    compared: Mapping[str, int]
    different: int
    differences: tuple[str, ...]


def run_check(settings: Settings, wanted: Wanted, report: Report) -> Checked:
    """Check the store of these settings; it may be in use meanwhile."""
    clock = clock_of(settings.clock_file)
    store = open_store(settings.url, clock)
    archive = None if settings.archive_directory is None else Archive(settings.archive_directory, store)
    try:
        return check_store(store, DiskHorizon(settings.disk_horizon), clock.now_ns(), wanted, report, archive=archive)
    finally:
        store.close()


def check_store(
    store: Store,
    horizon: DiskHorizon,
    now_ns: int,
    wanted: Wanted | None = None,
    report: Report | None = None,
    *,
    archive: Archive | None = None,
) -> Checked:
    """Compare all layers of a store, each resource and each few invoices from a snapshot of their own; memory is bounded."""
    wanted = Wanted() if wanted is None else wanted
    report = Report() if report is None else report
    places = store.registry.places()
    for place in places:
        for resource in _resources(store, place, wanted):
            with store.read() as tx:
                of = CheckedResource(
                    store=store,
                    tx=tx,
                    report=report,
                    wanted=wanted,
                    place=place,
                    resource=resource,
                    horizon=horizon,
                    now_ns=now_ns,
                    archive=archive,
                )
                _check_resource(of)
            report.count("resources")
            report.step(f"{report.compared['resources']} resources, {report.compared['hours']} hours")
    for place in {each.seller_id: each for each in reversed(places)}.values():
        for of_seller in SELLER_LAYERS:
            of_seller(store, place, wanted, report)
    return Checked(compared=dict(report.compared), different=report.different, differences=tuple(report.differences))


def _check_resource(of: CheckedResource) -> None:
    for window in windows(of):
        for of_window in WINDOW_LAYERS:
            of_window(window)
    for of_resource in RESOURCE_LAYERS:
        of_resource(of)


def _resources(store: Store, place: Place, wanted: Wanted) -> Iterator[StoredResource]:
    """The resources of a place that are to be checked, a few at a time."""
    if wanted.resource_id is not None:
        found = store.registry.resource(place, wanted.resource_id)
        yield from [] if found is None else [found]
        return
    customers = None if wanted.customer_id is None else frozenset({wanted.customer_id})
    before = None
    while some := store.registry.resources(place, customers=customers, before=before, limit=RESOURCES_AT_ONCE):
        yield from some
        before = some[-1].row
