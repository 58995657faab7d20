"""What no single key of a price book can show: two ids that are one, two defaults, charges that overlap, versions that do not fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tallystick.model.billing.price_book import Charge, Commitment, Discount, Fee, Offer, Plan, PriceBook, ServiceLevel
from tallystick.model.instants import iso
from tallystick.rate.books.overlaps import overlaps
from tallystick.rate.books.reader import UNREADABLE, one_of
from tallystick.rate.models.surcharge import SurchargeCycle, in_order, surcharge_of


def conflicts_inside(book: PriceBook) -> tuple[tuple[str, str, str], ...]:
    """The mistakes of one version: (place, found, allowed)."""
    found: list[tuple[str, str, str]] = []
    found += [(f"plans[{place}].id", f"{name!r} again", "each plan id once") for place, name in _again([plan.id for plan in book.plans])]
    if not book.plans:
        found.append(("plans", "no plan", "at least one plan"))
    defaults = [place for place, plan in enumerate(book.plans) if plan.default]
    found += [(f"plans[{place}].default", "a second default plan", "at most one default plan of a seller") for place in defaults[1:]]
    if book.effective_until_ns is not None and book.effective_until_ns <= book.effective_from_ns:
        found.append(("effective_until", iso(book.effective_until_ns), f"an instant after effective_from, {iso(book.effective_from_ns)}"))
    if book.corrects is not None and book.version and book.corrects >= book.version:
        found.append(("corrects", str(book.corrects), f"a version before {book.version}"))
    if book.regions:
        found += _unknown_regions(book)
    for place, plan in enumerate(book.plans):
        found += [(f"plans[{place}]{where}", what, allowed) for where, what, allowed in _plan_conflicts(plan)]
    return tuple(found)


def conflicts_between(book: PriceBook, others: Sequence[PriceBook]) -> tuple[str, ...]:
    """Why a version cannot be active beside the seller's others that are active or superseded: one sentence each, none if it can.

    Versions of one book follow each other; one that replaces another for the same time says `corrects`. A plan keeps its
    currency and cycle, a charge its meter and unit: else it is another plan, another charge. What several versions say alike is told once.
    """
    told: dict[str, str] = {}
    for other in others:
        name = f"version {other.version} of {other.id}"
        for sentence in _between(book, other, name):
            told.setdefault(sentence.replace(name, ""), sentence)
    found = list(told.values())
    if book.corrects is not None and not any(other.id == book.id and other.version == book.corrects for other in others):
        found.append(f"corrects: {book.corrects}: there is no such version of {book.id}")
    return tuple(found)


def _between(book: PriceBook, other: PriceBook, name: str) -> list[str]:
    if other.id != book.id:
        shared = sorted({plan.id for plan in other.plans} & {plan.id for plan in book.plans})
        found = [f"plan {plan!r} is also in {name}: plan ids are unique among a seller's books" for plan in shared]
        return found + (_two_defaults(book, other, name) if _together(book, other) else [])
    found = [f"{name} exists"] if other.version == book.version else []
    if other.effective_from_ns == book.effective_from_ns and book.corrects is None and other.corrects is None:
        hint = f"a version that replaces it says `corrects: {other.version}`"
        found.append(f"{name} also takes effect at {iso(book.effective_from_ns)}: {hint}")
    return found + [sentence for plan in book.plans if (was := other.plan(plan.id)) for sentence in _changed(was, plan, name)]


def default_plan(books: Sequence[PriceBook], at_ns: int) -> str:
    """The id of the seller's default plan at an instant; empty if there is none."""
    for book_id in sorted({book.id for book in books}):
        own = [book for book in books if book.id == book_id and book.effective_from_ns <= at_ns]
        latest = max(own, key=lambda book: (book.effective_from_ns, book.version), default=None)
        if latest is not None and (latest.effective_until_ns is None or at_ns < latest.effective_until_ns):
            for plan in latest.plans:
                if plan.default:
                    return plan.id
    return ""


def _plan_conflicts(plan: Plan) -> list[tuple[str, str, str]]:
    parts: dict[str, Sequence[Fee | Charge | Commitment | Discount | Offer | ServiceLevel]] = {
        "fees": plan.fees,
        "charges": plan.charges,
        "commitments": plan.commitments,
        "discounts": plan.discounts,
        "reservations": plan.reservations,
        "service_levels": plan.service_levels,
    }
    names = [f".{key}[{place}]" for key, some in parts.items() for place in range(len(some))]
    ids = [each.id for some in parts.values() for each in some]
    found = [(f"{names[place]}.id", f"{name!r} again", "each id once in a plan") for place, name in _again(ids)]
    if not plan.fees and not plan.charges:
        found.append((".charges", "neither a charge nor a fee", "at least one"))
    for later, earlier, further in overlaps(plan.charges):
        those = ", ".join(repr(plan.charges[place].id) for place in earlier) + (f" and {further} others" if further else "")
        what = f"{plan.charges[later].id!r}, which overlaps {those} on {plan.charges[later].meter}"
        found.append((f".charges[{later}]", what, "filters that exclude each other, or `also: true` to charge both"))
    found += _surcharges(plan)
    charges = {charge.id: None for charge in plan.charges}
    found += _unknown("commitments", plan.commitments, charges)
    found += _unknown("service_levels", plan.service_levels, charges)
    found += _unknown("discounts", plan.discounts, charges | {commitment.id: None for commitment in plan.commitments})
    return found


def _unknown_regions(book: PriceBook) -> list[tuple[str, str, str]]:
    """Prices for a region that the book does not list: nothing would ever match them."""
    found = []
    for number, plan in enumerate(book.plans):
        places = [(f"charges[{place}].filters.region", charge.filters.region) for place, charge in enumerate(plan.charges)]
        places += [(f"reservations[{place}].region", (offer.region,)) for place, offer in enumerate(plan.reservations) if offer.region]
        found += [
            (f"plans[{number}].{place}", repr(name), one_of(name, book.regions))
            for place, names in places
            for name in names
            if name not in book.regions and name != UNREADABLE
        ]
    return found


def _surcharges(plan: Plan) -> list[tuple[str, str, str]]:
    """Surcharges that name a charge that the plan does not have, or each other."""
    known, found = {charge.id: None for charge in plan.charges}, []
    for place, charge in enumerate(plan.charges):
        model = surcharge_of(charge)
        names = model.charges if model is not None else ()
        found += [(f".charges[{place}].of", repr(name), one_of(name, known)) for name in names if name not in known and name != UNREADABLE]
    try:
        in_order(plan.charges)
    except SurchargeCycle as cycle:
        place = next(place for place, charge in enumerate(plan.charges) if charge.id in cycle.names)
        found.append((f".charges[{place}].of", str(cycle), "surcharges of which none is, through others, a share of itself"))
    return found


def _unknown(key: str, some: Sequence[Commitment | Discount | ServiceLevel], known: Collection[str]) -> list[tuple[str, str, str]]:
    """What names a charge that the plan does not have."""
    wrong = [(place, name) for place, each in enumerate(some) for name in each.charges if name not in known and name != UNREADABLE]
    return [(f".{key}[{place}].charges", repr(name), one_of(name, known)) for place, name in wrong]


def contradict(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether no resource can have both sets of labels."""
    return any(other.get(name, value) != value for name, value in one.items())


def _again(ids: Sequence[str]) -> list[tuple[int, str]]:
    first = {name: place for place, name in reversed(tuple(enumerate(ids)))}
    return [(place, name) for place, name in enumerate(ids) if place > first[name] and name != UNREADABLE]


def _together(one: PriceBook, other: PriceBook) -> bool:
    ends = [book.effective_until_ns for book in (one, other)]
    latest_start = max(one.effective_from_ns, other.effective_from_ns)
    return all(end is None or end > latest_start for end in ends)


def _two_defaults(book: PriceBook, other: PriceBook, name: str) -> list[str]:
    ours = [plan.id for plan in book.plans if plan.default]
    theirs = [plan.id for plan in other.plans if plan.default]
    return [f"plan {ours[0]!r} is a default, but {theirs[0]!r} of {name} already is: a seller has one"] if ours and theirs else []


def _changed(was: Plan, now: Plan, name: str) -> list[str]:
    found = []
    if was.currency != now.currency:
        found.append(f"plan {now.id!r} changes its currency from {was.currency} in {name} to {now.currency}: that is another plan")
    if was.cycle != now.cycle:
        found.append(f"plan {now.id!r} changes its cycle from that of {name}: that is another plan")
    units = {charge.id: (charge.meter, charge.per) for charge in was.charges}
    for charge in now.charges:
        before = units.get(charge.id, (charge.meter, charge.per))
        if before != (charge.meter, charge.per):
            found.append(f"charge {charge.id!r} of plan {now.id!r} was {before[0]} per {before[1]} in {name}: that is another charge")
    return found
