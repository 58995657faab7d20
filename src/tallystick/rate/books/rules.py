"""Keys of a charge that say how time counts, and of a plan that say what is credited: `increment`, `minimum`, `service_levels`."""

from __future__ import annotations

from fractions import Fraction

from tallystick.model.billing.money import exact_text
from tallystick.model.billing.price_book import ServiceLevel
from tallystick.rate.books.nodes import Node
from tallystick.rate.books.reader import Fields, Reader

RUN_KEYS = ("increment", "minimum")
SERVICE_LEVEL_KEYS = ("id", "name", "credits", "charges")
CREDIT_KEYS = ("below", "percent")
TIME_METERS = ("uptime", "cpu.allocated", "memory.allocated", "gpu.allocated")
"""What runs while time is up."""
INCREMENTS = ("1", "60", "3600")
LONGEST_SECONDS = 86400


def read_run_rules(fields: Fields, meter: str) -> tuple[int, int]:
    """`increment` and `minimum` of a run, in seconds; 0 where they are not there."""
    named = [key for key in RUN_KEYS if key in fields.nodes]
    if meter and meter not in TIME_METERS:
        for key in named:
            fields.wrong(key, f"a rule for runs on {meter}", f"no such key but with {', '.join(TIME_METERS)}")
        return 0, 0
    increment = int(fields.choice("increment", INCREMENTS, default="0"))
    return increment, fields.whole("minimum", default=0, most=LONGEST_SECONDS)


def read_service_level(reader: Reader, node: Node, place: str) -> ServiceLevel:
    """One service level. Credits are told from the highest availability down, each more than the one before."""
    fields = reader.fields(node, place, SERVICE_LEVEL_KEYS)
    identifier = fields.identifier("id")
    items = fields.items("credits", "credits", required=True)
    if not items and "credits" in fields.nodes:
        fields.wrong("credits", "an empty list", "at least one credit")
    found: list[tuple[Fraction, Fraction]] = []
    for at, item in items:
        inner = reader.fields(item, at, CREDIT_KEYS)
        below, percent = (inner.decimal(key, required=True, positive=True) for key in CREDIT_KEYS)
        for key, value in zip(CREDIT_KEYS, (below, percent), strict=True):
            if value > 100:
                inner.wrong(key, exact_text(value), "at most 100")
        if found and not (below < found[-1][0] and percent > found[-1][1]):
            before = f"below {exact_text(found[-1][0])} and percent {exact_text(found[-1][1])}"
            inner.wrong("below", f"{exact_text(below)} with {exact_text(percent)} %", f"less than the one before it, for more: {before}")
        found.append((below, percent))
    return ServiceLevel(
        id=identifier, name=fields.text("name", default=identifier), credits=tuple(found), charges=fields.words("charges", "ids of charges")
    )


def write_service_level(level: ServiceLevel) -> dict[str, object]:
    """The keys of a service level in a canonical document."""
    return {
        "id": level.id,
        "name": level.name,
        "credits": [{"below": exact_text(below), "percent": exact_text(percent)} for below, percent in level.credits],
        "charges": list(level.charges),
    }
