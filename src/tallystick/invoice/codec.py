"""Invoices and their evidence as JSON and back, without loss: money as strings, rationals as `n/d`, instants as ISO 8601.

Written from the types themselves, so that a new field cannot be forgotten. A field `x_ns` that is an instant is `x` in
JSON; durations keep their name and are integers. Twelve cells are one string of integers with spaces, exact at any size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tallystick.model.billing.invoices import Invoice
from tallystick.model.billing.money import Money, fraction_text, parse_fraction, parse_money
from tallystick.model.billing.price_book import PriceModel
from tallystick.model.instants import iso, parse_iso
from tallystick.model.usage import MeterHours

DURATIONS = frozenset({"measured_ns", "estimated_ns", "unknown_ns", "grace_ns", "grace_limit_ns", "up_ns"})
HOUR_AND_CELLS = tuple[int, tuple[int, ...]]
SEQUENCES = (tuple, Sequence)
CELLS = tuple[int, ...]
TYPE = "type"
NEWER = (
    *("reservations", "service_levels", "increment_seconds", "minimum_seconds", "lifetime"),
    *("open_runs", "tier_fills", "outages"),
)
ADDED = frozenset({"fixed", "events", "market", "sums", *NEWER})
"""Fields that came after the first invoices were frozen: not written while they say their default, so that old hashes hold."""
FORMER = {"prorate_free": "prorate"}
"""Fields that were frozen under another name."""

Json = Any


def to_json(invoice: Invoice) -> str:
    """An invoice as JSON text, whole: derivations with every cell included."""
    return json.dumps(encode(invoice), ensure_ascii=False, indent=1)


def from_json(text: str) -> Invoice:
    """The invoice of a JSON text.

    Raises:
        ValueError: it is no JSON, or no invoice; the message names the field.

    """
    found = decode(Invoice, json.loads(text))
    if not isinstance(found, Invoice):
        raise TypeError("an invoice decodes to an invoice")
    return found


def encode(value: object) -> Json:
    """A value of the model as plain JSON values."""
    match value:
        case None | bool() | int():
            return value
        case Enum():
            return value.value
        case str():
            return value
        case Fraction():
            return fraction_text(value)
        case Money():
            return {"amount": value.text, "currency": value.currency}
        case tuple():
            return _encode_tuple(value)
        case MeterHours():
            return _encode_tuple(value.opened())
        case Mapping():
            return {str(key): encode(value[key]) for key in sorted(value)}
    if is_dataclass(value) and not isinstance(value, type):
        kind = {TYPE: type(value).__name__} if isinstance(value, PriceModel) else {}
        told = [each for each in fields(value) if each.name not in ADDED or getattr(value, each.name) != each.default]
        return {**kind, **{_key(each.name): _encode_field(each.name, getattr(value, each.name)) for each in told}}
    raise TypeError(f"{type(value).__name__} has no place in an invoice")


def decode(kind: Any, value: Json, place: str = "") -> object:  # noqa: ANN401  (a type, a union or a generic alias: no type says that)
    """A value of that type from plain JSON values.

    Raises:
        ValueError: it is none; the message names the place.

    """
    origin, arguments = get_origin(kind), get_args(kind)
    try:
        if origin in (Union, UnionType):
            return _decode_union(arguments, value, place)
        if origin in SEQUENCES:
            return _decode_tuple(kind, (*arguments, ...) if origin is Sequence else arguments, value, place)
        if origin is not None and issubclass(origin, Mapping):
            return {str(key): decode(arguments[1], item, f"{place}.{key}") for key, item in value.items()}
        return _decode_plain(kind, value, place)
    except (AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"{place or 'document'}: {str(value)[:60]!r} is no {getattr(kind, '__name__', kind)}: {error}") from None


def _encode_tuple(value: tuple[object, ...]) -> Json:
    if value and all(type(item) is int for item in value):
        return " ".join(map(str, value))
    if len(value) == 2 and type(value[0]) is int and isinstance(value[1], tuple):
        return [iso(value[0]), encode(value[1])]
    return [encode(item) for item in value]


def _encode_field(name: str, value: object) -> Json:
    return iso(value) if _is_instant(name) and isinstance(value, int) else encode(value)


def _is_instant(name: str) -> bool:
    return name.endswith("_ns") and name not in DURATIONS


def _key(name: str) -> str:
    return name.removesuffix("_ns") if _is_instant(name) else name


def _decode_tuple(kind: Any, arguments: tuple[Any, ...], value: Json, place: str) -> object:  # noqa: ANN401  (see decode)
    if kind == CELLS:
        # No integers are an empty list, as any empty tuple is.
        return tuple(int(part) for part in value.split()) if value else ()
    if kind == HOUR_AND_CELLS:
        return parse_iso(value[0]), decode(CELLS, value[1], place)
    if arguments[-1] is Ellipsis:
        return tuple(decode(arguments[0], item, f"{place}[{number}]") for number, item in enumerate(value))
    return tuple(decode(each, item, f"{place}[{number}]") for number, (each, item) in enumerate(zip(arguments, value, strict=True)))


def _decode_union(arguments: tuple[Any, ...], value: Json, place: str) -> object:
    if value is None and NoneType in arguments:
        return None
    kinds = [each for each in arguments if each is not NoneType]
    if len(kinds) > 1:
        kinds = [each for each in kinds if each.__name__ == value[TYPE]]
    if not kinds:
        raise ValueError(f"{place}.{TYPE}: {value[TYPE]!r} is unknown")
    return decode(kinds[0], value, place)


def _decode_plain(kind: Any, value: Json, place: str) -> object:  # noqa: ANN401  (see decode)
    if kind is Money:
        return parse_money(value["amount"], value["currency"])
    if kind is Fraction and type(value) is str:
        return parse_fraction(value)
    if kind is PriceModel:
        return _decode_dataclass(PriceModel.known[value[TYPE]], value, place)
    if is_dataclass(kind):
        return _decode_dataclass(kind, value, place)
    if issubclass(kind, Enum):
        return kind(value)
    if type(value) is not kind:
        raise TypeError(f"it is of type {type(value).__name__}")
    return value


def _decode_dataclass(kind: Any, value: Json, place: str) -> object:  # noqa: ANN401  (see decode)
    hints = _hints(kind)
    value = {FORMER.get(key, key): item for key, item in value.items()}
    unknown = value.keys() - {_key(name) for name in hints} - {TYPE}
    if unknown:
        raise ValueError(f"{place}.{min(unknown)}: an unknown field")
    arguments = {}
    for name, each in hints.items():
        if _key(name) not in value and name in _optional(kind):
            # What was frozen before the field existed has its default.
            continue
        found = value[_key(name)]
        at = f"{place}.{_key(name)}" if place else _key(name)
        arguments[name] = parse_iso(found) if _is_instant(name) and found is not None else decode(each, found, at)
    return kind(**arguments)


@lru_cache(maxsize=256)
def _optional(kind: Any) -> frozenset[str]:  # noqa: ANN401  (see decode)
    return frozenset(each.name for each in fields(kind) if each.default is not MISSING or each.default_factory is not MISSING)


@lru_cache(maxsize=256)
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401  (see decode)
    return {each.name: get_type_hints(kind)[each.name] for each in fields(kind)}
