"""The language of the text cases: prices + usage -> lines, as an accountant reads them (README.txt)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from tallystick.model.billing.contracts import (
    AgreedTier,
    Change,
    Contract,
    Coupon,
    Coverage,
    Customer,
    Override,
    Pause,
    Reservation,
    Seller,
    Subscription,
)
from tallystick.model.billing.invoices import MarketPrice, Outage, OutageCause, Usage, UsageEvent
from tallystick.model.billing.money import parse_money, rounded
from tallystick.model.billing.price_book import Commitment, PriceBook
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, HOUR_NS, LATEST_NS, hour_start, parse_iso
from tallystick.model.resources import SIZES, Attributes
from tallystick.model.usage import UsageHour
from tallystick.rate import books as books_folder
from tallystick.rate.load import load_book

CASES = Path(__file__).parent
EXAMPLES = Path(books_folder.__file__).parent / "examples"
LEVELS = {"vcpu": 1, "core": 1, "gpu": 1, "GiB": 2**30, "GB": 10**9, "up": 1}
TOTALS = {"GiB": 2**30, "GB": 10**9, "million": 10**6, "bytes": 1, "core-seconds": 10**9, "GiB-hours": 2**30 * HOUR_NS}
TOKEN = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]+)?)|(.))")


@dataclass
class Expected:
    """One invoice of a case: what it closes, its lines as written, total and findings."""

    closes: str
    lines: list[str] = field(default_factory=list)
    total: str = ""
    parked: list[str] = field(default_factory=list)


@dataclass
class Case:
    """A case file: its title, sections of text, and the invoices expected of it."""

    name: str
    title: str
    settings: dict[str, str]
    prices: list[str]
    rows: dict[str, list[str]]
    invoices: list[Expected]
    why: list[str] = field(default_factory=list)


def all_cases() -> list[Case]:
    """Every case file, by name."""
    return [read(path.stem, path.read_text()) for path in sorted(CASES.glob("*.txt")) if path.stem != "README"]


def read(name: str, text: str) -> Case:
    """A case from its text."""
    head, *sections = re.split(r"^== ", text, flags=re.MULTILINE)
    title, *lines = [line.strip() for line in head.strip().splitlines() if not line.startswith("#")]
    case = Case(name=name, title=title, settings={}, prices=[], rows=defaultdict(list), invoices=[])
    for line in filter(None, lines):
        key, value = line.split(":", 1)
        case.settings[key] = value.strip()
    for section in sections:
        heading, body = section.split("\n", 1)
        if heading == "prices":
            case.prices.append(body)
        elif heading.startswith("example "):
            case.prices.append((EXAMPLES / f"{heading.removeprefix('example ').strip()}.yaml").read_text())
        elif heading == "why":
            case.why += _rows(body)
        elif heading.startswith("invoice"):
            case.invoices.append(_expected(heading, _rows(body)))
        else:
            case.rows[heading] += _rows(body)
    return case


def _rows(body: str) -> list[str]:
    return [line.split("#")[0].strip() for line in body.splitlines() if line.split("#")[0].strip()]


def _expected(heading: str, rows: list[str]) -> Expected:
    expected = Expected(closes=heading.removeprefix("invoice").strip())
    for row in rows:
        if row.startswith("total"):
            expected.total = row.removeprefix("total").strip()
        elif row.startswith("parked:"):
            expected.parked.append(row.removeprefix("parked:").strip())
        else:
            expected.lines.append(row)
    return expected


def books(case: Case) -> tuple[PriceBook, ...]:
    """The price-book versions of a case."""
    found = []
    for text in case.prices:
        book, mistakes = load_book(text, case.name)
        assert book is not None, [mistake.sentence() for mistake in mistakes]
        found.append(book)
    return tuple(found)


def contract(case: Case) -> Contract:
    """The seller, customer and subscriptions of a case: `id plan from .. until`, then `covers vm1 vm2` or `covers team=a`."""
    subscriptions = []
    for row in case.rows["subscriptions"]:
        terms, _, covers = row.partition(" covers ")
        name, plan, start, _, end, *anchor = terms.split()
        words = covers.split()
        labels = dict(word.split("=") for word in words if "=" in word)
        agreed = [row.split()[1:] for row in case.rows["agreed"] if row.split()[0] == name]
        subscriptions.append(
            Subscription(
                id=name,
                customer_id="c",
                plan_id=plan,
                start_ns=parse_iso(start),
                end_ns=None if end == "-" else parse_iso(end),
                anchor_ns=parse_iso(anchor[1]) if anchor else None,
                covers=Coverage(resources=tuple(word for word in words if "=" not in word), labels=labels),
                coupons=tuple(_coupon(row) for row in case.rows["coupons"] if row.split()[0] == name),
                **_agreed(agreed),
            )
        )
    customer = Customer(id="c", name="Customer", currency=case.settings.get("currency", "USD"), time_zone=case.settings.get("zone", "UTC"))
    return Contract(
        seller=Seller(id="seller", name="Seller"),
        customer=customer,
        subscriptions=tuple(subscriptions),
        reservations=tuple(map(_reservation, case.rows["reservations"])),
    )


def _reservation(row: str) -> Reservation:
    """`r1 s 8 cpu.allocated vcpu-hour eu m4 at 0.006 from .. until`, then perhaps `upfront 100.00`; a region or kind `-` is none."""
    name, subscription, quantity, meter, per, region, kind, _, recurring, start, _, end, *upfront = row.split()
    return Reservation(
        id=name,
        name=name,
        subscription_id=subscription,
        meter=meter,
        per=per,
        quantity=Fraction(quantity),
        start_ns=parse_iso(start),
        end_ns=parse_iso(end),
        region=region.strip("-"),
        kind=kind.strip("-"),
        upfront=Fraction(upfront[1]) if upfront else Fraction(0),
        recurring=Fraction(recurring),
    )


def _agreed(rows: list[list[str]]) -> dict[str, Any]:
    """What became otherwise, or is beside the plan: the rows of `== agreed` without the subscription that they are of."""
    found: dict[str, Any] = {"changes": (), "pauses": (), "commitments": ()}
    overrides: dict[str, Override] = {}
    for kind, *words in rows:
        *plain, made = words if len(words) > 2 and words[-2] == "made" else (*words, "", "")
        plain = [word for word in plain if word not in ("made", "..", "until", "")]
        at_ns = parse_iso(made or plain[-1]) if kind in ("change", "pause", "cancelled") else 0
        if kind == "change":
            found["changes"] += (Change(plan_id=plain[0], at_ns=parse_iso(plain[1]), made_ns=at_ns),)
        elif kind == "pause":
            begin, end = map(parse_iso, plain)
            found["pauses"] += (Pause(from_ns=begin, until_ns=end, made_ns=begin, resumed_ns=end),)
        elif kind == "cancelled":
            found["cancelled_ns"] = at_ns
        elif kind == "trial":
            found["trial_end_ns"] = parse_iso(plain[0])
        elif kind == "minimum":
            found["commitments"] += (Commitment(id=plain[0], name=plain[0], minimum=Fraction(plain[1]), charges=tuple(plain[2:])),)
        else:
            override = overrides.get(plain[0], Override(charge_id=plain[0]))
            value: Any = tuple(map(_tier, plain[1:])) if kind == "tiers" else Fraction(plain[1])
            overrides[plain[0]] = replace(override, **{kind: value})
    return {**found, "overrides": tuple(overrides.values())}


def _tier(word: str) -> AgreedTier:
    """`100:0.02`, the last `-:0.01`."""
    up_to, price = word.split(":")
    return AgreedTier(up_to=None if up_to == "-" else Fraction(up_to), price=Fraction(price))


def _coupon(row: str) -> Coupon:
    """`s welcome 10 % from .. until`, or `s welcome 20.00 EUR from .. -`, then the charges that it is for."""
    _, name, amount, unit, start, _, end, *charges = row.split()
    return Coupon(
        id=name,
        name=name,
        percent=Fraction(amount) if unit == "%" else None,
        amount=None if unit == "%" else parse_money(amount, unit),
        charges=tuple(charges),
        from_ns=parse_iso(start),
        until_ns=None if end == "-" else parse_iso(end),
    )


def usage(case: Case) -> Usage:
    """Usage hours and attributes of the rows of a case."""
    cells: dict[tuple[str, int], dict[str, list[int]]] = defaultdict(dict)
    for row in case.rows["usage"]:
        resource, meter, amount, unit, start, _, end = row.split()
        first, past = parse_iso(start), parse_iso(end)
        level = not amount.startswith("+")
        value = Fraction(amount.lstrip("+")) * (LEVELS if level else TOTALS)[unit]
        for cell in range(first - first % CELL_NS, past, CELL_NS):
            begin, until = max(cell, first), min(cell + CELL_NS, past)
            if level:
                share = value * (until - begin)
            else:
                share = Fraction(value * (until - first) // (past - first) - value * (begin - first) // (past - first))
            assert share.denominator == 1, row
            own = cells[resource, hour_start(cell)].setdefault(meter, [0] * CELLS_PER_HOUR)
            own[(cell - hour_start(cell)) // CELL_NS] += int(share)
    runs: dict[tuple[str, int], list[int]] = defaultdict(list)
    for row in case.rows["runs"]:
        resource, *instants = row.split()
        for at_ns in map(parse_iso, instants):
            runs[resource, hour_start(at_ns)].append(at_ns)
    hours = [
        UsageHour(
            resource_id=resource,
            hour_ns=hour,
            runs=tuple(sorted(runs[resource, hour])),
            cells={meter: tuple(values) for meter, values in found.items()},
            estimated={},
            samples=0,
            memory_peak_bytes=None,
        )
        for (resource, hour), found in cells.items()
    ]
    events = tuple(map(_event, case.rows["events"]))
    market = tuple(price for row in case.rows["market"] for price in _market(row))
    used = {hour.resource_id for hour in hours} | {event.resource_id for event in events}
    return Usage(
        hours=tuple(hours),
        attributes=_attributes(case, used),
        events=events,
        market=market,
        outages=tuple(map(_outage, case.rows["outages"])),
    )


def _outage(row: str) -> Outage:
    """`vm1 declared from .. until`, then perhaps what it was declared as."""
    resource, cause, start, _, end, *name = row.split()
    return Outage(
        resource_id=resource, from_ns=parse_iso(start), until_ns=parse_iso(end), cause=OutageCause(cause), outage_id="".join(name)
    )


def _market(row: str) -> Iterable[MarketPrice]:
    """`eu vm 0.05 <instant> .. <instant>`: the price of each hour of a region and kind (`-` for none) that begins then."""
    region, kind, price, start, _, end = row.split()
    for hour_ns in range(parse_iso(start), parse_iso(end), HOUR_NS):
        yield MarketPrice(region=region.strip("-"), kind=kind.strip("-"), hour_ns=hour_ns, price=Fraction(price))


def _event(row: str) -> UsageEvent:
    """`vm1 events.payments 12.50 <instant>`, then perhaps `price 3.00`."""
    resource, meter, amount, at, *price = row.split()
    return UsageEvent(
        resource_id=resource,
        meter=meter,
        at_ns=parse_iso(at),
        amount=Fraction(amount),
        price=Fraction(price[1]) if price else None,
    )


def _attributes(case: Case, used: set[str]) -> dict[str, tuple[Attributes, ...]]:
    """Rows `vm1 region=eu kind=vm team=a from=...`: what they do not name is empty; every size was given unless `sizes=`."""
    found: dict[str, list[Attributes]] = defaultdict(list)
    for row in case.rows["resources"]:
        resource, *words = row.split()
        values = dict(word.split("=") for word in words)
        start = parse_iso(values.pop("from")) if "from" in values else 0
        sizes = tuple(filter(None, values.pop("sizes").split(","))) if "sizes" in values else SIZES
        if found[resource]:
            found[resource].append(_ended(found[resource].pop(), start))
        found[resource].append(
            Attributes(
                from_ns=start,
                until_ns=LATEST_NS,
                customer_id=values.pop("customer", "c"),
                region=values.pop("region", ""),
                kind=values.pop("kind", ""),
                labels=values,
                sizes=sizes,
            )
        )
    for resource in used - found.keys():
        found[resource].append(Attributes(from_ns=0, until_ns=LATEST_NS, customer_id="c", sizes=SIZES))
    return {resource: tuple(timeline) for resource, timeline in found.items()}


def _ended(last: Attributes, at_ns: int) -> Attributes:
    return Attributes(
        from_ns=last.from_ns,
        until_ns=at_ns,
        customer_id=last.customer_id,
        region=last.region,
        kind=last.kind,
        labels=last.labels,
        sizes=last.sizes,
    )


def value_of(text: str) -> Fraction:
    """A calculation such as `2 x (720 - 12) / 3`, exactly."""
    tokens = [number or sign for number, sign in TOKEN.findall(text.replace(",", ""))]
    tokens = [token for token in tokens if token.strip()]
    value = _sum(tokens)
    assert not tokens, f"{text!r} goes on with {tokens}"
    return value


def is_true(text: str) -> bool:
    """Whether a row of `why` holds: `hours: 31 x 24 - 1 = 743`, or `cents: 743 x 0.0105 ~ 7.80`, rounded to what is written."""
    first, *others = re.split(r" (=|~) ", text.rpartition(": ")[-1])
    value = value_of(first)
    for sign, other in zip(others[::2], others[1::2], strict=True):
        said = value_of(other)
        decimals = len(other.partition(".")[2])
        if said != (value if sign == "=" else rounded(value, decimals)):
            return False
        value = said
    return bool(others)


def _sum(tokens: list[str]) -> Fraction:
    value = _product(tokens)
    while tokens and tokens[0] in "+-":
        value += _product(tokens) if tokens.pop(0) == "+" else -_product(tokens)
    return value


def _product(tokens: list[str]) -> Fraction:
    value = _term(tokens)
    while tokens and tokens[0] in "x/":
        value = value * _term(tokens) if tokens.pop(0) == "x" else value / _term(tokens)
    return value


def _term(tokens: list[str]) -> Fraction:
    token = tokens.pop(0)
    if token != "(":
        return Fraction(token)
    value = _sum(tokens)
    assert tokens.pop(0) == ")"
    return value
