"""A price book as one canonical document: the same JSON for equal books, and the digest of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from tallystick.model.billing.money import Rounding, exact_text
from tallystick.model.billing.price_book import Charge, Commitment, Cycle, Discount, Fee, FeeTiming, Filters, Plan, PriceBook, Proration
from tallystick.model.instants import iso
from tallystick.rate.books.offers import write_offer
from tallystick.rate.books.rules import write_service_level
from tallystick.rate.books.schema import CYCLES
from tallystick.rate.models.registry import model_of

Document = dict[str, Any]


def document(book: PriceBook) -> Document:
    """The keys of a book as it could have been written, in the order of the format, without those that say the default."""
    return _written(
        {
            "book": book.id,
            "version": book.version,
            "effective_from": iso(book.effective_from_ns),
            "effective_until": "" if book.effective_until_ns is None else iso(book.effective_until_ns),
            "corrects": book.corrects,
            "regions": list(book.regions),
            "plans": [_plan(plan) for plan in book.plans],
        }
    )


def to_json(book: PriceBook) -> str:
    """The document as JSON text, which `load_book` reads."""
    return json.dumps(document(book), indent=2, ensure_ascii=False)


def digest_of(book: PriceBook) -> str:
    """The SHA-256 of the canonical document without its version number, in hex: a book under another number is the same book."""
    text = json.dumps(document(replace(book, version=0)), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _plan(plan: Plan) -> Document:
    return _written(
        {
            "id": plan.id,
            "name": plan.name,
            "currency": plan.currency,
            "cycle": _cycle(plan.cycle),
            "default": plan.default,
            "rounding": "" if plan.rounding is Rounding.HALF_UP else plan.rounding.value,
            "fees": [_fee(fee) for fee in plan.fees],
            "charges": [_charge(charge) for charge in plan.charges],
            "commitments": [_commitment(each) for each in plan.commitments],
            "discounts": [_discount(each) for each in plan.discounts],
            "reservations": [_written(write_offer(each)) for each in plan.reservations],
            "service_levels": [_written(write_service_level(each)) for each in plan.service_levels],
        }
    )


def _cycle(cycle: Cycle) -> str | Document:
    for name, known in CYCLES.items():
        if cycle == known:
            return name
    return _written({"unit": cycle.unit, "count": cycle.count, "anniversary": cycle.anniversary})


def _fee(fee: Fee) -> Document:
    return _written(
        {
            "id": fee.id,
            "name": fee.name,
            "amount": exact_text(fee.amount),
            "timing": "" if fee.timing is FeeTiming.ARREARS else fee.timing.value,
            "proration": "" if fee.proration is Proration.EXACT else fee.proration.value,
        }
    )


def _commitment(each: Commitment) -> Document:
    return _written(
        {
            "id": each.id,
            "name": each.name,
            "minimum": "" if each.minimum is None else exact_text(each.minimum),
            "maximum": "" if each.maximum is None else exact_text(each.maximum),
            "charges": list(each.charges),
            "prorate": None if each.prorate else "false",
        }
    )


def _discount(each: Discount) -> Document:
    return _written({"id": each.id, "name": each.name, "percent": exact_text(each.percent), "charges": list(each.charges)})


def _charge(charge: Charge) -> Document:
    model = model_of(charge.model)
    return _written(
        {
            "id": charge.id,
            "name": charge.name,
            "meter": charge.meter,
            "per": charge.per,
            "model": model.NAME,
            **model.write(),
            "filters": _filters(charge.filters),
            "group_by": list(charge.group_by),
            "free": exact_text(charge.free) if charge.free else "",
            "included": exact_text(charge.included) if charge.included else "",
            "cap": "" if charge.cap is None else exact_text(charge.cap),
            "prorate": None if charge.prorate else "false",
            "month_hours": "" if charge.month_hours is None else exact_text(charge.month_hours),
            "also": charge.also,
            "increment": charge.increment_seconds,
            **({"minimum": charge.minimum_seconds} if charge.minimum_seconds else {}),
            "lifetime": charge.lifetime,
        }
    )


def _filters(filters: Filters) -> Document:
    return _written({"region": list(filters.region), "kind": list(filters.kind), "labels": dict(sorted(filters.labels.items()))})


def _written(keys: Mapping[str, object]) -> Document:
    """Only what says something: a price of "0" stays, what is empty, false or None is the default."""
    return {name: value for name, value in keys.items() if value}
