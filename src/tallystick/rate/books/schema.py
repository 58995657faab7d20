"""The keys of a price book, level by level, and what each may hold (docs/price-book.md)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from tallystick.model.billing.money import MINOR_DIGITS, ROUNDINGS, Rounding, exact_text
from tallystick.model.billing.price_book import Charge, Commitment, Cycle, Discount, Fee, FeeTiming, Filters, Plan, PriceBook, Proration
from tallystick.rate.books.nodes import MappingNode, Node, ScalarNode, shown
from tallystick.rate.books.offers import read_offer
from tallystick.rate.books.reader import Fields, Reader
from tallystick.rate.books.rules import RUN_KEYS, read_run_rules, read_service_level
from tallystick.rate.models.registry import MODELS
from tallystick.rate.units import EVENT_METER, METER_UNITS, RATE_METER, unit_of, units_of

BOOK_KEYS = ("book", "version", "effective_from", "effective_until", "corrects", "regions", "plans")
PLAN_KEYS = (
    *("id", "name", "currency", "cycle", "default", "rounding", "fees", "charges", "commitments", "discounts"),
    *("reservations", "service_levels"),
)
COMMITMENT_KEYS = ("id", "name", "minimum", "maximum", "charges", "prorate")
DISCOUNT_KEYS = ("id", "name", "percent", "charges")
FEE_KEYS = ("id", "name", "amount", "timing", "proration")
CHARGE_KEYS = (
    *("id", "name", "meter", "per", "model", "filters", "group_by", "free", "included", "cap", "prorate", "month_hours", "also"),
    *RUN_KEYS,
)
ALLOWANCE_KEYS = ("free", "included", *RUN_KEYS)
LIFETIME_KEY = "lifetime"
BARE_KEYS = ("id", "name", "model")
FILTER_KEYS = ("region", "kind", "labels")
CYCLE_KEYS = ("unit", "count", "anniversary")

CYCLES: Mapping[str, Cycle] = {
    "hourly": Cycle(unit="hour"),
    "daily": Cycle(unit="day"),
    "weekly": Cycle(unit="week"),
    "monthly": Cycle(unit="month"),
    "quarterly": Cycle(unit="month", count=3),
    "yearly": Cycle(unit="year"),
}
CYCLE_UNITS = ("hour", "day", "week", "month", "year")
REAL_MONTH = "real"


def read_book(reader: Reader, node: Node) -> PriceBook:
    """One version of a price book; it is only to be used when the reader found no mistake."""
    fields = reader.fields(node, "", BOOK_KEYS)
    plans = tuple(_read_plan(reader, item, place) for place, item in fields.items("plans", "plans", required=True))
    start = fields.instant("effective_from", required=True)
    return PriceBook(
        id=fields.identifier("book"),
        version=fields.whole("version", default=0),
        effective_from_ns=start or 0,
        effective_until_ns=fields.instant("effective_until"),
        corrects=fields.whole("corrects", default=0) or None,
        regions=fields.words("regions", "the regions that there are"),
        plans=plans,
    )


def _read_plan(reader: Reader, node: Node, place: str) -> Plan:
    fields = reader.fields(node, place, PLAN_KEYS)
    identifier = fields.identifier("id")
    currency = fields.text("currency", required=True, default="USD", allowed="an ISO 4217 currency such as EUR")
    if currency not in MINOR_DIGITS and "currency" in fields.nodes:
        fields.wrong("currency", repr(currency), "an ISO 4217 currency such as EUR")
    return Plan(
        id=identifier,
        name=fields.text("name", default=identifier),
        currency=currency,
        cycle=_read_cycle(fields),
        default=fields.flag("default", default=False),
        rounding=Rounding(fields.choice("rounding", ROUNDINGS, default=Rounding.HALF_UP)),
        fees=tuple(_read_fee(reader, item, at) for at, item in fields.items("fees", "fees")),
        charges=tuple(_read_charge(reader, item, at) for at, item in fields.items("charges", "charges")),
        commitments=tuple(_read_commitment(reader, item, at) for at, item in fields.items("commitments", "commitments")),
        discounts=tuple(_read_discount(reader, item, at) for at, item in fields.items("discounts", "discounts")),
        reservations=tuple(read_offer(reader, item, at) for at, item in fields.items("reservations", "reservations")),
        service_levels=tuple(read_service_level(reader, item, at) for at, item in fields.items("service_levels", "service levels")),
    )


def _read_cycle(fields: Fields) -> Cycle:
    node = fields.nodes.get("cycle")
    if node is None:
        return Cycle()
    if isinstance(node, ScalarNode) and node.value in CYCLES:
        return CYCLES[node.value]
    if not isinstance(node, MappingNode):
        fields.wrong("cycle", shown(node), ", ".join(CYCLES) + ", or a mapping with the keys " + ", ".join(CYCLE_KEYS))
        return Cycle()
    inner = fields.reader.fields(node, fields.at("cycle"), CYCLE_KEYS)
    cycle = Cycle(
        unit=inner.choice("unit", CYCLE_UNITS, required=True, default="month"),
        count=inner.whole("count", default=1, most=120),
        anniversary=inner.flag("anniversary", default=False),
    )
    if cycle.count != 1 and cycle.unit != "month":
        inner.wrong("count", f"{cycle.count} of {cycle.unit}", "1, or more of unit month")
    if cycle.anniversary and cycle.unit in ("hour", "day"):
        inner.wrong("anniversary", f"true for unit {cycle.unit}", "false: hours and days are those of the calendar")
    return cycle


def _read_fee(reader: Reader, node: Node, place: str) -> Fee:
    fields = reader.fields(node, place, FEE_KEYS)
    identifier = fields.identifier("id")
    return Fee(
        id=identifier,
        name=fields.text("name", default=identifier),
        amount=fields.decimal("amount", required=True),
        timing=FeeTiming(fields.choice("timing", list(FeeTiming), default=FeeTiming.ARREARS)),
        proration=Proration(fields.choice("proration", list(Proration), default=Proration.EXACT)),
    )


def _read_commitment(reader: Reader, node: Node, place: str) -> Commitment:
    fields = reader.fields(node, place, COMMITMENT_KEYS)
    identifier = fields.identifier("id")
    minimum, maximum = (fields.decimal(key) if key in fields.nodes else None for key in ("minimum", "maximum"))
    if fields.sound and minimum is None and maximum is None:
        fields.wrong("minimum", "neither a minimum nor a maximum", "at least one")
    if minimum is not None and maximum is not None and maximum < minimum:
        fields.wrong("maximum", exact_text(maximum), f"at least the minimum, {exact_text(minimum)}")
    return Commitment(
        id=identifier,
        name=fields.text("name", default=identifier),
        minimum=minimum,
        maximum=maximum,
        charges=fields.words("charges", "ids of charges"),
        prorate=fields.flag("prorate", default=True),
    )


def _read_discount(reader: Reader, node: Node, place: str) -> Discount:
    fields = reader.fields(node, place, DISCOUNT_KEYS)
    identifier = fields.identifier("id")
    percent = fields.decimal("percent", required=True)
    if percent > 100:
        fields.wrong("percent", exact_text(percent), "at most 100")
    return Discount(
        id=identifier,
        name=fields.text("name", default=identifier),
        percent=percent,
        charges=fields.words("charges", "ids of charges or commitments"),
    )


def _read_charge(reader: Reader, node: Node, place: str) -> Charge:
    kind = _model_name(node)
    rule = MODELS.get(kind, MODELS["unit"])
    known = [key for key in CHARGE_KEYS if rule.ALLOWANCES or key not in ALLOWANCE_KEYS] if rule.METERED else BARE_KEYS
    further = (LIFETIME_KEY,) if "tiers" in rule.KEYS else ()
    fields = reader.fields(node, place, (*known, *rule.KEYS, *further))
    identifier = fields.identifier("id")
    fields.choice("model", MODELS, default=rule.NAME)
    if not rule.METERED:
        return Charge(id=identifier, name=fields.text("name", default=identifier), meter="", per="", model=rule.read(fields))
    meter = _read_meter(fields)
    if rule.EVENTS and meter and not EVENT_METER.fullmatch(meter):
        fields.wrong("meter", repr(meter), f"a meter of events with model {rule.NAME}, such as events.payments")
    if meter and rule.RATES is not (meter == RATE_METER):
        fields.wrong("meter", repr(meter), f"{RATE_METER} with model p95, and only with it")
    per = _read_unit(fields, meter)
    increment, minimum = read_run_rules(fields, meter) if rule.ALLOWANCES else (0, 0)
    return Charge(
        id=identifier,
        name=fields.text("name", default=identifier),
        meter=meter,
        per=per,
        model=rule.read(fields),
        filters=_read_filters(fields),
        group_by=_read_groups(fields),
        free=fields.decimal("free"),
        included=fields.decimal("included"),
        cap=fields.decimal("cap") if "cap" in fields.nodes else None,
        prorate=fields.flag("prorate", default=True),
        month_hours=_read_month(fields, meter, per),
        also=fields.flag("also", default=False),
        increment_seconds=increment,
        minimum_seconds=minimum,
        lifetime=bool(further) and fields.flag(LIFETIME_KEY, default=False),
    )


def _read_filters(fields: Fields) -> Filters:
    node = fields.nodes.get("filters")
    if node is None:
        return Filters()
    inner = fields.reader.fields(node, fields.at("filters"), FILTER_KEYS)
    return Filters(region=inner.words("region", "regions"), kind=inner.words("kind", "kinds"), labels=inner.labels("labels"))


def _model_name(node: Node) -> str:
    """The model of a charge before its other keys are read: they depend on it."""
    named = node.get("model") if isinstance(node, MappingNode) else None
    return named.value if isinstance(named, ScalarNode) else "unit"


def _read_meter(fields: Fields) -> str:
    node = fields.nodes.get("meter")
    if isinstance(node, ScalarNode) and EVENT_METER.fullmatch(node.value):
        return node.value
    return fields.choice("meter", METER_UNITS, required=True, beside=", or events.<name> for events")


def _read_unit(fields: Fields, meter: str) -> str:
    if not meter:
        return fields.text("per", required=True, default="?")
    return fields.choice("per", [unit.name for unit in units_of(meter)], required=True)


def _read_groups(fields: Fields) -> tuple[str, ...]:
    groups = fields.words("group_by", "region, resource or labels.<name>")
    for group in groups:
        if group not in ("region", "resource") and not (group.startswith("labels.") and len(group) > len("labels.")):
            fields.wrong("group_by", repr(group), "region, resource or labels.<name>")
    return groups


def _read_month(fields: Fields, meter: str, per: str) -> Fraction | None:
    node = fields.nodes.get("month_hours")
    if node is None or (isinstance(node, ScalarNode) and node.value == REAL_MONTH):
        return None
    if meter and per and not unit_of(meter, per).monthly:
        fields.wrong("month_hours", shown(node), f"no such key with per: {per}, only with a unit per month")
        return None
    hours = fields.decimal("month_hours", positive=True)
    return hours or Fraction(1)
