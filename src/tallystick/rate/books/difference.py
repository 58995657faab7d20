"""What a version of a price book changes against another: by plan, charge and key, in words.

Both are compared as canonical documents, so that every key of the format is compared, also one that did not exist when this was
written. Things are the same by their ids, wherever they stand; what two ways of writing mean alike is no change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from tallystick.model.billing.money import decimal_text
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.billing.price_changes import ChangeKind, PriceChange
from tallystick.rate.books.document import Document, document
from tallystick.rate.books.reader import DECIMAL

PARTS = ("charges", "fees", "commitments", "discounts")
"""The lists of a plan that are told first; every other list of things with ids follows."""

ABSENT = {"free": "0", "included": "0", "factor": "1", "default": "false", "also": "false", "prorate": "true"}
"""What a key means that is not written, where it is not nothing."""

CHOICES = ("rounding", "timing", "proration", "month_hours", "counted", "method")
"""Keys that mean their default when they are not written."""

PRICES = ("price", "percent", "amount", "upfront", "recurring")
"""The keys that say what something costs: they are told first."""

MONEY = ("price", "flat", "amount", "cap", "ceiling", "fixed", "minimum", "maximum", "upfront")
"""The keys that hold amounts in the plan's currency."""

EVENTS = "events"
"""What meters of events begin with. On all others a `minimum` is one of a run, in seconds."""

LADDERS = ("tiers", "thresholds", "credits")

BOUNDS = ("up_to", "from", "below")
"""The keys by which the rungs of a ladder are told apart."""


def differences(before: PriceBook, after: PriceBook) -> tuple[PriceChange, ...]:
    """What the second book says otherwise than the first: of the book, then plan by plan, in the order of the second.

    A version number is no difference: it is the name of a version.
    """
    old, new = document(before), document(after)
    found = list(_keys("", "", "", _without(old, "version", "plans"), _without(new, "version", "plans"), ""))
    were, are = _by_id(old.get("plans", [])), _by_id(new.get("plans", []))
    for name in (*are, *(name for name in were if name not in are)):
        if name not in were:
            found.append(_whole(name, "", name, ChangeKind.ADDED, f"plan {name} is new: {_plan_words(are[name])}"))
        elif name not in are:
            found.append(_whole(name, "", name, ChangeKind.REMOVED, f"plan {name} is gone"))
        else:
            found += _plan(name, were[name], are[name])
    return tuple(found)


def _plan(name: str, old: Document, new: Document) -> Iterator[PriceChange]:
    lists = _lists(old | new)
    yield from _keys(name, "", "", _without(old, "id", *lists), _without(new, "id", *lists), new["currency"])
    for key in lists:
        part = _singular(key)
        were, are = _by_id(old.get(key, [])), _by_id(new.get(key, []))
        for identifier in (*are, *(each for each in were if each not in are)):
            if identifier not in were:
                text = f"{part} {identifier} is new: {_words(are[identifier], new['currency'])}"
                yield _whole(name, part, identifier, ChangeKind.ADDED, text)
            elif identifier not in are:
                text = f"{part} {identifier} is gone: it was {_words(were[identifier], old['currency'])}"
                yield _whole(name, part, identifier, ChangeKind.REMOVED, text)
            else:
                yield from _keys(name, part, identifier, were[identifier], are[identifier], new["currency"])


def _lists(plan: Document) -> tuple[str, ...]:
    """The keys of lists of things with ids: charges, fees, reservations, ..."""
    found = [key for key, value in plan.items() if isinstance(value, list) and "id" in value[0]]
    return (*(key for key in PARTS if key in found), *(key for key in found if key not in PARTS))


def _singular(key: str) -> str:
    return key.removesuffix("s").replace("_", " ")


def _keys(plan: str, part: str, identifier: str, old: Document, new: Document, currency: str) -> Iterator[PriceChange]:
    """The keys that differ in one thing."""
    old, new = _with_whole_ladders(old, new)
    flat_old, flat_new = dict(_flat(old)), dict(_flat(new))
    for key in (*flat_new, *(key for key in flat_old if key not in flat_new)):
        was, now = flat_old.get(key, ABSENT.get(key, "")), flat_new.get(key, ABSENT.get(key, ""))
        if was == now:
            continue
        percent = _percent(was, now)
        text = f"{_key_words(key, new)}: {was or _absent(key)} -> {now or _absent(key)}{_unit(key, new, currency) if now else ''}"
        if percent is not None:
            text += f" ({'+' if percent > 0 else ''}{decimal_text(percent, 2)} %)"
        yield PriceChange(
            plan_id=plan,
            part=part,
            id=identifier,
            key=key,
            kind=ChangeKind.CHANGED,
            before=was,
            after=now,
            percent=percent,
            text=f"{part} {identifier}: {text}" if part else text,
        )


def _key_words(key: str, thing: Document) -> str:
    """`tiers[2].price` is the price of tier 2, with the bound that tells it apart; other keys are their own words."""
    found = re.fullmatch(r"(tier|threshold|credit)s\[(\d+)\]\.(\w+)", key)
    if found is None:
        return key.removeprefix("filters.")
    rung = thing[f"{found[1]}s"][int(found[2]) - 1]
    return f"{found[3]} of {found[1]} {found[2]} ({_bound_of(rung)})"


def _absent(key: str) -> str:
    return "any" if key.startswith("filters.") else "the default" if key in CHOICES else "nothing"


def _unit(key: str, thing: Document, currency: str) -> str:
    """What a price or an amount is in."""
    last = key.rpartition(".")[2]
    if last in ("price", "recurring") and "per" in thing:
        return f" {currency} per {thing['per']}"
    if last in ("minimum", "increment") and str(thing.get("meter", EVENTS)).partition(".")[0] != EVENTS:
        return " s"
    return f" {currency}" if last in MONEY else ""


def _with_whole_ladders(old: Document, new: Document) -> tuple[Document, Document]:
    """Both, with a ladder in one piece where its rungs are not the same: then no rung is told to have changed its price."""
    found: list[Document] = [dict(old), dict(new)]
    for key in LADDERS:
        if _bounds(old.get(key)) != _bounds(new.get(key)):
            for each in found:
                if key in each:
                    each[key] = "; ".join(map(_rung_words, each[key]))
    return found[0], found[1]


def _bounds(ladder: Sequence[Document] | None) -> list[str]:
    return [_bound_of(rung) for rung in ladder or ()]


def _bound_of(rung: Document) -> str:
    return next((f"{key} {rung[key]}" for key in BOUNDS if key in rung), "above")


def _flat(value: Document, above: str = "") -> Iterator[tuple[str, str]]:
    """Each written value by its place: `filters.region`, `tiers[2].price`."""
    for key, each in value.items():
        place = f"{above}{key}"
        if isinstance(each, dict):
            yield from _flat(each, f"{place}.")
        elif isinstance(each, list) and isinstance(each[0], dict):
            for number, rung in enumerate(each, start=1):
                yield from _flat(rung, f"{place}[{number}].")
        elif isinstance(each, list):
            yield place, ", ".join(each)
        else:
            yield place, str(each).lower() if isinstance(each, bool) else str(each)


def _percent(was: str, now: str) -> Fraction | None:
    if not (DECIMAL.fullmatch(was) and DECIMAL.fullmatch(now)) or Fraction(was) <= 0:
        return None
    return (Fraction(now) / Fraction(was) - 1) * 100


def _whole(plan: str, part: str, identifier: str, kind: ChangeKind, text: str) -> PriceChange:
    return PriceChange(plan_id=plan, part=part, id=identifier if part else "", key="", kind=kind, before="", after="", text=text)


def _plan_words(plan: Document) -> str:
    """`USD monthly, 4 charges, 1 fee`."""
    cycle = plan["cycle"] if isinstance(plan["cycle"], str) else " ".join(f"{key} {value}" for key, value in plan["cycle"].items())
    counts = [f"{len(plan[key])} {_singular(key) if len(plan[key]) == 1 else key.replace('_', ' ')}" for key in _lists(plan)]
    return ", ".join((f"{plan['currency']} {cycle}", *counts))


def _words(part: Document, currency: str) -> str:
    """A charge, fee, commitment or discount in a few words: `cpu.allocated, price 0.01 USD per vcpu-hour, region eu`."""
    told = dict(_flat(_without(part, "id", "name", "meter", "per", "model", *LADDERS)))
    first = [key for key in PRICES if key in told]
    words = [str(part[key]) for key in ("meter", "model") if part.get(key, "unit") != "unit"]
    words += [f"{key.removeprefix('filters.')} {told[key]}{_unit(key, part, currency)}" for key in (*first, *_without(told, *first))]
    words += ["; ".join(map(_rung_words, part[key])) for key in LADDERS if key in part]
    return ", ".join(words)


def _rung_words(rung: Document) -> str:
    """`up_to 100: price 0.10`; `above: price 0.05 + flat 10` for the last, which has no bound."""
    return f"{_bound_of(rung)}: " + " + ".join(f"{key} {value}" for key, value in rung.items() if key not in BOUNDS)


def _by_id(some: Sequence[Document]) -> dict[str, Document]:
    return {each["id"]: each for each in some}


def _without(value: Document, *keys: str) -> Document:
    return {key: each for key, each in value.items() if key not in keys}
