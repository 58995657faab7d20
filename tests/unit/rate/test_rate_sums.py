"""Rating from what hours add up to is rating from the hours, and they are read only where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.invoice import codec
from tallystick.model.billing.invoices import Usage
from tallystick.model.billing.price_book import Charge
from tallystick.model.instants import CELL_NS, HOUR_NS
from tallystick.model.usage import HourSums, MeterHours, UsageHour
from tallystick.rate.models.unit import UnitModel
from tests.unit.rate.test_rate_laws import EXAMPLES, rated
from tests.unit.rate.worlds import END_NS, START_NS, World, slots_that_nobody_measured, worlds


def summed(usage: Usage, held: bool) -> Usage:
    """The usage with each resource's hours of the period as sums, where every hour that is up measured what any measured."""
    hours, sums = [], []
    for name in sorted({hour.resource_id for hour in usage.hours}):
        own = [hour for hour in usage.hours if hour.resource_id == name and START_NS <= hour.hour_ns < END_NS]
        found = _sums(name, own, held)
        hours += own if found is None else []
        sums += [] if found is None else [found]
    return replace(usage, hours=tuple(hours), sums=tuple(sums))


def _sums(name: str, own: Sequence[UsageHour], held: bool) -> HourSums | None:
    meters = {meter for hour in own for meter in hour.cells}
    totals = {meter: sum(hour.total(meter) or 0 for hour in own) for meter in meters}
    up = [hour for hour in own if hour.total("uptime")]
    if not up or any(hour.cells.keys() != meters for hour in up):
        return None
    disk = sum(CELL_NS for hour in own for cell in hour.cells.get("disk.allocated", ()) if cell)
    return HourSums(
        resource_id=name,
        from_ns=START_NS,
        until_ns=END_NS,
        totals=totals,
        estimated={"uptime": sum(hour.estimated_total("uptime") for hour in own)},
        held_ns=disk if held else None,
        hours=lambda: own,
    )


@EXAMPLES
@given(worlds(), st.booleans())
def test_sums_say_what_hours_say(world: World, held: bool) -> None:
    assert rated(world, summed(world.usage, held)) == rated(world)


def test_hours_that_changed_since_they_were_summed_are_not_shown() -> None:
    cells = ((START_NS, (1,) * 12),)
    assert MeterHours(12, lambda: cells) == cells
    assert codec.encode(MeterHours(12, lambda: cells)) == codec.encode(cells)
    with pytest.raises(ValueError, match="changed since"):
        len(MeterHours(13, lambda: cells))


def test_hours_stay_closed_where_sums_are_enough() -> None:
    def never() -> Sequence[UsageHour]:
        raise AssertionError("the hours were read")

    sums = HourSums(
        resource_id="vm",
        from_ns=START_NS,
        until_ns=END_NS,
        totals={"uptime": 720 * HOUR_NS, "cpu.used": 720 * HOUR_NS},
        estimated={},
        held_ns=0,
        hours=never,
    )
    rates = slots_that_nobody_measured()
    cpu = Charge(id="cpu", name="C", meter="cpu.used", per="core-hour", model=UnitModel(price=Fraction(1, 100)))
    book = replace(rates.books[0], plans=(replace(rates.books[0].plans[0], charges=(cpu,)),))
    world = replace(
        rates, usage=Usage(hours=(), sums=(replace(sums, resource_id="vm-b"),), attributes=rates.usage.attributes), books=(book,)
    )
    (line,) = rated(world).lines
    assert (line.amount.text, line.quantity) == ("7.20", 720)
    with pytest.raises(AssertionError, match="were read"):
        len(line.derivation.parts[0].hours)
