"""Usage hours: computed again from segments, cell by cell; and the totals in their columns are those of their cells."""

from __future__ import annotations

from tallystick.app.checks.subjects import CheckedWindow
from tallystick.app.jobs.rollup import DiskHorizon
from tallystick.model.instants import HOUR_NS, iso
from tallystick.model.usage import UsageHour
from tallystick.store.checking.usage import HourRow

DISK = {"disk.allocated"}


def check_window(window: CheckedWindow) -> None:
    """Each hour of the window: stored and computed again, or neither; those that wait to be computed are left out."""
    of = window.of
    stored = of.store.stored_usage.hours(of.place, of.key, of.id, window.from_ns, window.until_ns, of.tx)
    for there in stored.values():
        _check_columns(window, there)
    if window.again is None:
        return
    again = {hour.hour_ns: hour for hour in window.again.hours}
    marked_until_ns = of.store.stored_usage.disk_marked_until_ns(of.key, of.tx) if of.horizon is DiskHorizon.CLOCK else window.until_ns
    for hour_ns in range(window.from_ns, window.until_ns, HOUR_NS):
        if hour_ns in window.waiting:
            continue
        of.report.count("hours")
        row, new = stored.get(hour_ns), again.get(hour_ns)
        if row is None and new is not None and hour_ns >= marked_until_ns and set(new.cells) <= DISK:
            continue  # a disk that goes on: the clock marks this hour when it is over
        _compare(window, hour_ns, row, new)


def _check_columns(window: CheckedWindow, row: HourRow) -> None:
    if row.hour is None:
        return
    totals = {meter: sum(cells) for meter, cells in row.hour.cells.items()}
    estimated = {meter: sum(cells) for meter, cells in row.hour.estimated.items()}
    found = [
        f"{meter}{part} column {columns.get(meter)}, cells {cells.get(meter)}"
        for part, columns, cells in (("", row.totals, totals), (" estimated", row.estimated, estimated))
        for meter in sorted(columns.keys() | cells.keys())
        if columns.get(meter) != cells.get(meter)
    ]
    if row.runs != len(row.hour.runs):
        found.append(f"runs column {row.runs}, instants {len(row.hour.runs)}")
    if found:
        window.of.report.differ(f"hour {window.of.id} {iso(row.hour_ns)}: {'; '.join(found)}")


def _compare(window: CheckedWindow, hour_ns: int, row: HourRow | None, again: UsageHour | None) -> None:
    place = f"hour {window.of.id} {iso(hour_ns)}"
    if row is not None and row.hour is None:
        window.of.report.differ(f"{place}: its cells cannot be read: {row.damage}")
        return
    stored = None if row is None else row.hour
    if stored is None or again is None:
        if stored is not again:
            found = f"{'stored' if stored else 'not stored'}, computed again {'something' if again else 'nothing'}"
            window.of.report.differ(f"{place}: {found}, and does not wait to be computed")
        return
    if stored == again:
        return
    meters = [
        f"{meter}: stored {stored.total(meter)}, computed again {again.total(meter)}"
        for meter in sorted({*stored.cells, *again.cells})
        if stored.cells.get(meter) != again.cells.get(meter)
    ]
    window.of.report.differ(f"{place}: {'; '.join(meters) or 'estimated parts, samples, peak or runs differ'}")
