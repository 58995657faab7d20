"""What can be reserved, as a price book says it: `reservations` of a plan."""

from __future__ import annotations

from tallystick.model.billing.money import exact_text
from tallystick.model.billing.price_book import Offer
from tallystick.rate.books.nodes import Node
from tallystick.rate.books.reader import Reader
from tallystick.rate.units import HOURLY, METER_UNITS

OFFER_KEYS = ("id", "name", "meter", "per", "months", "region", "kind", "upfront", "recurring")
METERS = tuple(meter for meter, units in METER_UNITS.items() if set(units) & set(HOURLY))
"""What is held for an hour, and can be reserved."""


def read_offer(reader: Reader, node: Node, place: str) -> Offer:
    """One offer. What costs nothing is a mistake: it would be a price of 0."""
    fields = reader.fields(node, place, OFFER_KEYS)
    identifier = fields.identifier("id")
    meter = fields.choice("meter", METERS, required=True)
    offer = Offer(
        id=identifier,
        name=fields.text("name", default=identifier),
        meter=meter,
        per=fields.choice("per", [unit.name for unit in METER_UNITS.get(meter, HOURLY) if unit in HOURLY], required=True),
        months=fields.whole("months", default=12, most=120),
        region=fields.text("region"),
        kind=fields.text("kind"),
        upfront=fields.decimal("upfront"),
        recurring=fields.decimal("recurring"),
    )
    if fields.sound and "upfront" not in fields.nodes and "recurring" not in fields.nodes:
        fields.wrong("recurring", "neither a recurring nor an upfront price", "at least one")
    return offer


def write_offer(offer: Offer) -> dict[str, object]:
    """The keys of an offer in a canonical document."""
    return {
        "id": offer.id,
        "name": offer.name,
        "meter": offer.meter,
        "per": offer.per,
        "months": offer.months,
        "region": offer.region,
        "kind": offer.kind,
        "upfront": exact_text(offer.upfront) if offer.upfront else "",
        "recurring": exact_text(offer.recurring),
    }
