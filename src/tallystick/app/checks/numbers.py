"""Number series: the numbers of each series and year are 1, 2, 3 ... without a gap, up to the last that was given."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.app.checks.report import Report, Wanted
from tallystick.invoice.numbers import number_text
from tallystick.model.access import Place
from tallystick.store.engine import Tx
from tallystick.store.store import Store

NUMBERS_AT_ONCE = 10_000
MOST_SHOWN = 20


def check_seller(store: Store, place: Place, wanted: Wanted, report: Report) -> None:
    """All series of a seller, from one snapshot; they are one thing, and checked only where nothing limits what is."""
    if not wanted.is_everything:
        return
    with store.read() as tx:
        last = store.stored_money.last_numbers(place, tx)
        for series, year in sorted(last.keys() | store.stored_money.used_series(place, tx)):
            report.count("series")
            for sentence in _differences(store, place, series, year, last.get((series, year), 0), tx):
                report.differ(sentence)


def _differences(store: Store, place: Place, series: str, year: int, last: int, tx: Tx) -> Iterator[str]:
    expected, shown = 1, 0
    after = 0
    while numbers := store.stored_money.numbers(place, series, year, after, NUMBERS_AT_ONCE, tx):
        after = numbers[-1]
        for number in numbers:
            while expected < number:
                shown += 1
                if shown <= MOST_SHOWN:
                    yield f"number {number_text(series, year, expected)} is missing"
                expected = expected + 1 if shown < MOST_SHOWN else number
            expected = number + 1
    if expected - 1 != last:
        yield f"series {series} {year}: {last} numbers were given, the last invoice has {expected - 1}"
