"""The usage statement: what every meter of every resource measured, billed or not (billing.md, Invoices)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from functools import reduce

from tallystick.model.billing.invoices import Statement
from tallystick.model.usage import METERS, RECORDED_METERS
from tallystick.rate.pool import SpanUsage, added
from tallystick.rate.units import METER_UNITS


def statement_of(spans: Sequence[SpanUsage]) -> tuple[Statement, ...]:
    """One row per resource and meter, in the order of resources and of `METERS`.

    What only usage records measure is stated where it was measured or has a price: an invoice of before says the same again.
    """
    by_resource: dict[str, list[SpanUsage]] = defaultdict(list)
    for each in spans:
        by_resource[each.span.resource_id].append(each)
    found = []
    for _, own in sorted(by_resource.items()):
        billed = {charge.meter for each in own if each.span.price is not None for charge in each.span.price.plan.charges}
        found += [_row(own, meter, billed=meter in billed) for meter in METERS]
    return tuple(row for row in found if row.meter not in RECORDED_METERS or row.quantity is not None or row.billed)


def _row(own: Sequence[SpanUsage], meter: str, *, billed: bool) -> Statement:
    amounts = [amount for each in own if (amount := each.amount(meter)) is not None]
    unit = METER_UNITS[meter][0]
    return Statement(
        resource_id=own[-1].span.resource_id,
        resource_name=own[-1].span.attributes.name,
        meter=meter,
        unit=unit.name,
        quantity=Fraction(sum(amounts), unit.base) if amounts else None,
        billed=billed,
        share=reduce(added, (each.share(meter) for each in own)),
    )
