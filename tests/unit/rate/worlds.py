"""Small random worlds for the laws of rating: a book of one or two versions, a contract, usage of a few resources."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from tallystick.model.billing.contracts import (
    Change,
    Contract,
    Coupon,
    Coverage,
    Customer,
    Override,
    Pause,
    Reservation,
    Run,
    Seller,
    Subscription,
)
from tallystick.model.billing.invoices import MarketPrice, Outage, OutageCause, TierFill, Usage, UsageEvent
from tallystick.model.billing.money import ROUNDINGS, Money
from tallystick.model.billing.price_book import Charge, Commitment, Cycle, Discount, Filters, Plan, PriceBook, ServiceLevel
from tallystick.model.billing.runs import OpenRun
from tallystick.model.instants import CELLS_PER_HOUR, DAY_NS, HOUR_NS, LATEST_NS, parse_iso
from tallystick.model.resources import SIZES, Attributes
from tallystick.model.usage import Filled, Gap, UsageHour
from tallystick.rate.books.rules import TIME_METERS
from tallystick.rate.models.bundle import BundleModel
from tallystick.rate.models.dynamic import DynamicModel
from tallystick.rate.models.graduated import GraduatedModel
from tallystick.rate.models.graduated_percentage import GraduatedPercentageModel
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.models.p95 import P95Model, RankMethod
from tallystick.rate.models.package import Counted, PackageModel
from tallystick.rate.models.percentage import PercentageModel
from tallystick.rate.models.registry import MODELS
from tallystick.rate.models.spot import SpotModel
from tallystick.rate.models.stairstep import StairstepModel
from tallystick.rate.models.surcharge import SurchargeModel
from tallystick.rate.models.threshold import Threshold, ThresholdModel
from tallystick.rate.models.tiers import Tier
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.models.volume import VolumeModel
from tallystick.rate.units import RATE_METER

START_NS = parse_iso("2026-06-01T00:00:00Z")
END_NS = parse_iso("2026-07-01T00:00:00Z")
RESOURCES = ("vm-a", "vm-b", "vm/c&d=e")
UNITS = {
    "cpu.used": "core-hour",
    "cpu.allocated": "vcpu-hour",
    "memory.allocated": "GiB-hour",
    "disk.allocated": "GiB-month",
    "network.io": "GiB",
    "uptime": "hour",
}
EVENTS = "events.orders"


@dataclass(frozen=True)
class World:
    """What is rated."""

    usage: Usage
    contract: Contract
    books: tuple[PriceBook, ...]
    run: Run


sizes = st.integers(1, 3 * 10**7).map(lambda value: Fraction(value, 1000))
prices = st.integers(0, 10**13).map(lambda value: Fraction(value, 10**12))
full = st.tuples(*[st.integers(0, 2**63)] * CELLS_PER_HOUR)
level = st.tuples(st.integers(30, 63).map(lambda power: 2**power // 7), st.integers(1, CELLS_PER_HOUR)).map(
    lambda drawn: (*range(drawn[0], drawn[0] + drawn[1]), *(0,) * (CELLS_PER_HOUR - drawn[1]))
)
"""Some amount in the first cells of an hour, of any order: what tiers, caps and reservations are there for."""
cells = st.integers(0, 7).flatmap(lambda kind: {0: full, 1: st.just((0,) * CELLS_PER_HOUR)}.get(kind, level))
often = st.integers(0, 3).map(bool)
"""Three times out of four: a world in which nothing is priced shows nothing."""


@st.composite
def ladders(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Up to three tiers, within the quantities that three resources use, with flat fees, packages and caps."""
    bounds = sorted(draw(st.sets(sizes, max_size=2)))
    flats = st.just(Fraction(0)) | prices
    return tuple(
        Tier(up_to=bound, price=draw(prices), flat=draw(flats), size=draw(st.none() | sizes), cap=draw(st.none() | prices))
        for bound in (*bounds, None)
    )


@st.composite
def models(draw: st.DrawFn) -> QuantityModel:
    """Any price model of a quantity."""
    kind = draw(st.sampled_from([name for name, model in sorted(MODELS.items()) if model.METERED and not model.EVENTS and not model.RATES]))
    if kind == PackageModel.NAME:
        size = draw(st.integers(1, 10**7).map(lambda value: Fraction(value, 1000)))
        return PackageModel(price=draw(prices), size=size, counted=draw(st.sampled_from(Counted)))
    if kind == UnitModel.NAME:
        return UnitModel(price=draw(prices))
    if kind == SpotModel.NAME:
        return SpotModel(factor=Fraction(draw(st.integers(1, 30)), 10), ceiling=draw(st.none() | prices))
    if kind == StairstepModel.NAME:
        return StairstepModel(tiers=tuple(Tier(up_to=tier.up_to, flat=tier.flat) for tier in draw(ladders())))
    if kind == VolumeModel.NAME:
        return VolumeModel(tiers=tuple(replace(tier, cap=None) for tier in draw(ladders())))
    if kind == ThresholdModel.NAME:
        levels = sorted(draw(st.sets(sizes, min_size=1, max_size=2)))
        return ThresholdModel(price=draw(prices), thresholds=tuple(Threshold(level=each, multiplier=draw(prices)) for each in levels))
    if kind == BundleModel.NAME:
        size = draw(sizes)
        return BundleModel(price=draw(prices), size=size, paid=size * draw(st.integers(0, 4)) / 4)
    assert kind == GraduatedModel.NAME, f"no world has a charge with model {kind}"
    return GraduatedModel(tiers=draw(ladders()))


@st.composite
def event_models(draw: st.DrawFn) -> QuantityModel:
    """Any price model of events."""
    kind = draw(st.sampled_from(["quantity", *sorted(name for name, model in MODELS.items() if model.EVENTS)]))
    if kind == GraduatedPercentageModel.NAME:
        return GraduatedPercentageModel(tiers=tuple(replace(tier, size=None) for tier in draw(ladders())))
    if kind == DynamicModel.NAME:
        return DynamicModel(minimum=Fraction(draw(st.integers(0, 10**12)), 10**12), maximum=Fraction(5))
    if kind == PercentageModel.NAME:
        least = draw(prices)
        return PercentageModel(
            percent=Fraction(draw(st.integers(0, 100))),
            fixed=draw(prices),
            minimum=least,
            maximum=draw(st.sampled_from([None, least + 1])),
            free_events=draw(st.none() | st.integers(1, 3).map(Fraction)),
            free_amount=draw(st.none() | sizes),
        )
    return draw(models())


@st.composite
def surcharges(draw: st.DrawFn, metered: tuple[Charge, ...]) -> tuple[Charge, ...]:
    """A share of some charges, and perhaps a share of it and them."""
    some = st.lists(st.sampled_from([charge.id for charge in metered]), min_size=1, max_size=2, unique=True).map(tuple)
    percent = st.integers(0, 100).map(Fraction)
    support = Charge(id="support", name="S", meter="", per="", model=SurchargeModel(percent=draw(percent), charges=draw(some)))
    levy = Charge(id="levy", name="L", meter="", per="", model=SurchargeModel(percent=draw(percent), charges=("support", *draw(some))))
    return (levy, support)[draw(st.integers(0, 2)) :]


@st.composite
def changed(draw: st.DrawFn, charge: Charge, free: bool) -> Charge:
    """A charge at another price."""
    if not free:
        return replace(charge, model=UnitModel(price=draw(prices)))
    if isinstance(charge.model, SurchargeModel):
        return replace(charge, model=replace(charge.model, percent=Fraction(draw(st.integers(0, 100)))))
    return draw(charge_of(charge))


@st.composite
def charge_of(draw: st.DrawFn, charge: Charge) -> Charge:
    """A charge with any model that fits its meter: what has no allowances takes none."""
    rates = st.builds(P95Model, price=prices, percentile=st.integers(1, 100).map(Fraction), method=st.sampled_from(RankMethod))
    model = draw({EVENTS: event_models(), RATE_METER: rates}.get(charge.meter, models()))
    charge = replace(charge, increment_seconds=0, minimum_seconds=0, lifetime=False)
    if not model.ALLOWANCES:
        return replace(charge, model=model, free=Fraction(0), included=Fraction(0))
    rules = {"lifetime": draw(st.booleans())} if "tiers" in model.KEYS else {}
    if charge.meter in TIME_METERS:
        rules |= {
            "increment_seconds": draw(st.sampled_from([0, 0, 1, 60, 3600])),
            "minimum_seconds": draw(st.sampled_from([0, 0, 1, 600, 7200])),
        }
    return replace(charge, model=model, **rules)


@st.composite
def charges(draw: st.DrawFn, *, free: bool = True) -> tuple[Charge, ...]:
    """One charge for some meters each, grouped or not; a second one on top now and then. Without `free`: plain prices only."""
    meters = draw(st.lists(st.sampled_from(sorted(UNITS) + [EVENTS, RATE_METER] * free), min_size=1, max_size=3, unique=True))
    metered = tuple(draw(charge(meter, also, free)) for meter in meters for also in [False, True][: draw(st.integers(1, 2))])
    return (draw(surcharges(metered)) if free else ()) + metered


@st.composite
def charge(draw: st.DrawFn, meter: str, also: bool, free: bool) -> Charge:
    """A charge of a meter."""
    found = Charge(
        id=f"{meter}{'-also' if also else ''}",
        name=meter,
        meter=meter,
        per="Mbit/s" if meter == RATE_METER else UNITS.get(meter, "unit"),
        model=UnitModel(price=draw(prices)),
        filters=Filters(region=("eu",)) if also else Filters(),
        group_by=tuple(draw(st.lists(st.sampled_from(["region", "resource", "labels.team"]), max_size=2, unique=True))),
        free=draw(st.integers(0, 3).map(Fraction)) if free else Fraction(0),
        included=draw(st.integers(0, 3).map(Fraction)) if free else Fraction(0),
        cap=draw(st.none() | prices) if free else None,
        prorate=draw(st.booleans()),
        also=also,
    )
    return draw(charge_of(found)) if free else found


@st.composite
def worlds(draw: st.DrawFn, *, free: bool = True, versions: int = 2) -> World:
    """A month of a few resources, of two customers, on a plan of one or two versions."""
    first = draw(charges(free=free))
    currency, rounding = draw(st.sampled_from(["USD", "JPY", "KWD"])), draw(st.sampled_from(ROUNDINGS))
    plan = Plan(id="p", name="P", currency=currency, charges=first, rounding=rounding, **draw(reductions(first)) if free else {})
    other = replace(plan, id="q", charges=tuple(draw(changed(charge, free)) for charge in first))
    books = [PriceBook(id="b", version=1, effective_from_ns=0, plans=(plan, other))]
    if draw(st.integers(1, versions)) == 2:
        dearer = tuple(draw(changed(charge, free)) for charge in first)
        later = replace(plan, charges=dearer)
        begin = draw(st.integers(START_NS - DAY_NS, END_NS))
        books.append(PriceBook(id="b", version=2, effective_from_ns=begin, plans=(later, other)))
    contract = draw(contracts(plan.currency, coupons=free))
    if draw(st.booleans()):
        agreed = draw(agreements(first if free else ()))
        contract = replace(contract, subscriptions=(contract.subscriptions[0], replace(contract.subscriptions[1], **agreed)))
    return World(usage=draw(usages()), contract=contract, books=tuple(books), run=run_of(plan.currency))


instants = st.integers(START_NS - DAY_NS, END_NS + DAY_NS) | st.integers(0, 30).map(lambda day: START_NS + day * DAY_NS)


@st.composite
def agreements(draw: st.DrawFn, charges: tuple[Charge, ...]) -> dict[str, Any]:
    """Changes of plan, a pause, and where there are charges a trial, an override and a minimum of the subscription's own."""
    changes = draw(st.lists(st.builds(Change, at_ns=instants, plan_id=st.sampled_from("pq"), made_ns=instants), max_size=3))
    begin, end = sorted(draw(st.tuples(instants, instants)))
    pause = Pause(from_ns=begin, until_ns=draw(st.sampled_from([end, end, None])), made_ns=begin)
    found: dict[str, Any] = {"changes": tuple(changes), "pauses": draw(st.sampled_from([(), (), (pause,)]))}
    if charges and draw(st.booleans()):
        found["trial_end_ns"] = draw(instants)
    if charges and draw(st.booleans()):
        some = draw(st.sampled_from(charges))
        found["overrides"] = (Override(charge_id=some.id, included=Fraction(1), discount=Fraction(draw(st.integers(0, 100)))),)
        found["commitments"] = (Commitment(id="own", name="O", minimum=draw(prices), charges=(some.id,)),)
    return found


def run_of(currency: str) -> Run:
    """June of both subscriptions."""
    return Run(
        customer_id="c",
        cycle=Cycle(),
        anchor_ns=0,
        period_start_ns=START_NS,
        period_end_ns=END_NS,
        closing_ns=END_NS,
        currency=currency,
        subscription_ids=("s", "t"),
    )


@st.composite
def reductions(draw: st.DrawFn, charges: tuple[Charge, ...]) -> dict[str, tuple[Commitment | Discount | ServiceLevel, ...]]:
    """Commitments, discounts and service levels of some of the charges."""
    ids = [charge.id for charge in charges]
    some = st.lists(st.sampled_from(ids), max_size=2, unique=True).map(tuple)
    least, most = sorted(draw(st.tuples(prices, prices)))
    commitment = Commitment(id="agreed", name="A", minimum=draw(st.sampled_from([None, least])), maximum=most, charges=draw(some))
    discounts = [Discount(id=f"off-{place}", name="O", percent=Fraction(draw(st.integers(0, 100))), charges=draw(some)) for place in (1, 2)]
    level = ServiceLevel(id="level", name="L", credits=((Fraction(99), Fraction(10)), (Fraction(95), Fraction(50))), charges=draw(some))
    return {
        "commitments": (commitment,) if draw(st.booleans()) else (),
        "discounts": tuple(discounts[: draw(st.integers(0, 2))]),
        "service_levels": (level,) if draw(st.booleans()) else (),
    }


@st.composite
def coupons_of(draw: st.DrawFn, currency: str) -> tuple[Coupon, ...]:
    """A share and an amount."""
    share = Coupon(id="share", name="S", percent=Fraction(draw(st.integers(0, 100))))
    amount = Coupon(id="amount", name="A", amount=Money(minor=draw(st.integers(0, 10**6)), currency=currency))
    return tuple(draw(st.lists(st.sampled_from([share, amount]), max_size=2, unique=True)))


@st.composite
def contracts(draw: st.DrawFn, currency: str, *, coupons: bool = True) -> Contract:
    """One subscription of everything, and one of a named resource, from some instant on."""
    redeemed = draw(coupons_of(currency)) if coupons else ()
    subscriptions = (
        Subscription(
            id="s", customer_id="c", plan_id="p", start_ns=draw(st.just(START_NS) | st.integers(START_NS - DAY_NS, START_NS + 20 * DAY_NS))
        ),
        Subscription(id="t", customer_id="c", plan_id="p", start_ns=START_NS, covers=Coverage(resources=("vm-b",)), coupons=redeemed),
    )
    zone = draw(st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]))
    customer = Customer(id="c", name="C", currency=currency, time_zone=zone)
    reserved = draw(st.lists(reservations(), max_size=2, unique_by=lambda each: each.id)) if coupons else []
    return Contract(seller=Seller(id="seller", name="S"), customer=customer, subscriptions=subscriptions, reservations=tuple(reserved))


@st.composite
def reservations(draw: st.DrawFn) -> Reservation:
    """Something held for some hours, in a region that machines are in, for a part of the month or all of it."""
    meter, per = draw(
        st.sampled_from([("cpu.used", "core-hour"), ("cpu.allocated", "vcpu-hour"), ("disk.allocated", "GB-hour"), ("uptime", "hour")])
    )
    start_ns = START_NS + draw(st.integers(-1, 15 * 24)) * HOUR_NS + draw(st.sampled_from([0, 1, HOUR_NS // 3]))
    return Reservation(
        id=draw(st.sampled_from(["r1", "r2"])),
        name="R",
        subscription_id=draw(st.sampled_from(["s", "t"])),
        meter=meter,
        per=per,
        quantity=Fraction(draw(st.integers(1, 10**7)), 1000),
        start_ns=start_ns,
        end_ns=start_ns + draw(st.integers(1, 40 * 24)) * HOUR_NS // 2,
        region=draw(st.sampled_from(["eu", "us"])),
        upfront=draw(prices),
        recurring=draw(prices),
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """A few hours of a few resources, with gaps, and attributes that change inside the month."""
    hours, attributes, gaps, events = [], {}, [], []
    for resource in draw(st.lists(st.sampled_from(RESOURCES), min_size=2, unique=True)):
        for number in draw(st.lists(st.integers(0, 24 * 30 + 2), min_size=1, max_size=4, unique=True)):
            meters = ["uptime", "network.rx", "network.tx", *(meter for meter in sorted(UNITS)[:-2] if draw(often))]
            found = {meter: draw(cells) for meter in meters}
            hour = START_NS + (number - 1) * HOUR_NS
            hours.append(
                UsageHour(
                    resource_id=resource,
                    hour_ns=hour,
                    cells=found,
                    estimated={"uptime": found["uptime"]} if draw(st.booleans()) else {},
                    samples=3,
                    memory_peak_bytes=None,
                    runs=tuple(sorted(hour + at_ns for at_ns in draw(st.lists(st.integers(0, HOUR_NS - 1), max_size=2)))),
                )
            )
            for _ in range(draw(st.integers(0, 2))):
                at_ns, amount = hour + draw(st.integers(0, HOUR_NS - 1)), Fraction(draw(st.integers(0, 10**6)), draw(st.integers(1, 9)))
                events.append(UsageEvent(resource_id=resource, meter=EVENTS, at_ns=at_ns, amount=amount, price=draw(st.none() | prices)))
            if draw(st.booleans()):
                gaps.append(Gap(resource_id=resource, from_ns=hour + 1, until_ns=hour + HOUR_NS, filled=draw(st.sampled_from(Filled))))
        attributes[resource] = draw(timelines())
    opened = [OpenRun(resource_id=name, up_ns=draw(st.integers(0, 10 * HOUR_NS))) for name in attributes if draw(st.booleans())]
    return Usage(
        hours=tuple(hours),
        attributes=attributes,
        gaps=tuple(gaps),
        events=tuple(events),
        market=MARKET,
        open_runs=tuple(opened),
        tier_fills=tuple(TierFill(subscription_id="t", charge_id=meter, group=(), quantity=draw(sizes)) for meter in (EVENTS, "uptime")),
        outages=tuple(draw(st.lists(outages(), max_size=2))),
    )


@st.composite
def outages(draw: st.DrawFn) -> Outage:
    """A resource that was not available for some hours, for any cause."""
    start_ns = START_NS + draw(st.integers(-10, 24 * 30)) * HOUR_NS + 1
    return Outage(
        resource_id=draw(st.sampled_from(RESOURCES)),
        from_ns=start_ns,
        until_ns=start_ns + draw(st.integers(1, 40)) * HOUR_NS,
        cause=draw(st.sampled_from(OutageCause)),
        outage_id=draw(st.sampled_from(("", "a", "b"))),
    )


MARKET = tuple(
    MarketPrice(region="eu", kind="", hour_ns=hour_ns, price=Fraction(hour_ns // HOUR_NS % 7, 100))
    for hour_ns in range(START_NS - HOUR_NS, END_NS + HOUR_NS, HOUR_NS)
    if hour_ns // HOUR_NS % 5
)
"""The prices of one region, but for some hours; elsewhere none is known."""


@st.composite
def timelines(draw: st.DrawFn) -> tuple[Attributes, ...]:
    """One or two stretches, perhaps of another customer, region, team or set of sizes."""
    at = draw(st.integers(START_NS, END_NS))
    bounds = [0, at, LATEST_NS] if draw(st.booleans()) else [0, LATEST_NS]
    return tuple(
        Attributes(
            from_ns=begin,
            until_ns=end,
            customer_id=draw(st.sampled_from(["c"] * 8 + ["other", ""])),
            region=draw(st.sampled_from(["eu", "us", ""])),
            labels=draw(st.sampled_from([{}, {"team": "a"}, {"team": "b/[ ]"}])),
            sizes=draw(st.sampled_from([*[SIZES] * 4, ("vcpus",), None])),
        )
        for begin, end in pairwise(bounds)
    )


def slots_that_nobody_measured() -> World:
    """A rate over an hour that is up in its first cell, and receives a byte in its last, which nobody measured."""
    line = Charge(id="line", name="L", meter=RATE_METER, per="Mbit/s", model=P95Model(price=Fraction(1)))
    plan = Plan(id="p", name="P", currency="USD", charges=(line,))
    nothing = (0,) * (CELLS_PER_HOUR - 1)
    hour = UsageHour(
        resource_id="vm-b",
        hour_ns=START_NS + 15 * DAY_NS,
        cells={"uptime": (1, *nothing), "network.rx": (*nothing, 1)},
        estimated={},
        samples=3,
        memory_peak_bytes=None,
    )
    gap = Gap(resource_id="vm-b", from_ns=START_NS + 20 * DAY_NS, until_ns=START_NS + 20 * DAY_NS + HOUR_NS, filled=Filled.UNKNOWN)
    held = Attributes(from_ns=0, until_ns=LATEST_NS, customer_id="c", sizes=SIZES)
    all_of_it = Subscription(id="s", customer_id="c", plan_id="p", start_ns=START_NS)
    named = replace(all_of_it, id="t", covers=Coverage(resources=("vm-b",)))
    return World(
        usage=Usage(hours=(hour,), attributes={"vm-b": (held,)}, gaps=(gap,)),
        contract=Contract(seller=Seller(id="seller", name="S"), customer=Customer(id="c", name="C"), subscriptions=(all_of_it, named)),
        books=(PriceBook(id="b", version=1, effective_from_ns=0, plans=(plan,)),),
        run=run_of("USD"),
    )
