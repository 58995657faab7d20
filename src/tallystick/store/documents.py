"""Model values as JSON documents and back, exactly: by the types that their classes declare."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tallystick.model.billing.price_book import PriceModel
from tallystick.model.usage import MeterHours

Value = TypeVar("Value")
Reader = Callable[[Any], Any]
TYPE = "type"
FIRST_MODEL = "UnitModel"
"""The price model of documents that do not name it: there was one."""


class DamagedDocument(ValueError):  # noqa: N818 (it is a state of the world, not a fault)
    """A stored document cannot be read as what it should be; the message says which field."""


def write_document(value: object) -> str:
    """The JSON of a model value: exact rationals as `n/d`, enums as their values, mappings in order of their keys."""
    return _text(_plain(value))


class Prepared:
    """The document of a model value, all but written: of what was made of it by `replace`, only the fields that are new are left to do."""

    def __init__(self, value: object) -> None:
        self._value = value
        self._plain = {name: _plain(member) for name, member in _members(value).items()}

    def write(self, value: object) -> str:
        """The JSON of a value of the same class, as `write_document` would write it."""
        own = _members(self._value)
        return _text({name: self._plain[name] if member is own[name] else _plain(member) for name, member in _members(value).items()})


def read_document(kind: type[Value], text: str | bytes) -> Value:
    """The model value of a JSON document. A field that is missing has its default; one that is unknown is let be (server N-1).

    Raises:
        DamagedDocument: it is no such document.

    """
    try:
        found: Value = reader_of(cast("Hashable", kind))(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedDocument(f"stored {kind.__name__}: {error}") from error
    return found


def _text(plain: object) -> str:
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _members(value: object) -> dict[str, object]:
    return {field.name: getattr(value, field.name) for field in fields(cast("Any", value))}


def _plain(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, PriceModel):
        return {TYPE: type(value).__name__, **_fields_of(value)}
    if is_dataclass(value):
        return _fields_of(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in sorted(value.items())}
    if isinstance(value, frozenset):
        return [_plain(each) for each in sorted(value)]
    if isinstance(value, tuple | list | MeterHours):
        return [_plain(each) for each in value]
    raise TypeError(f"a document cannot hold {value!r}")


def _fields_of(value: Any) -> dict[str, object]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


@lru_cache(maxsize=1024)
def reader_of(kind: Any) -> Reader:
    """What reads a value of a declared type from plain JSON."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in (str, int, bool, Any, type(None), object):
        return _as_it_is
    if kind is Fraction:
        return _fraction
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind
    if kind is PriceModel:
        return lambda value: reader_of(cast("Hashable", PriceModel.known[value.get(TYPE, FIRST_MODEL)]))(value)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass_reader(kind)
    if origin in (Union, types.UnionType):
        some = [each for each in inner if each is not type(None)]
        if len(some) != 1:
            raise TypeError(f"a document cannot tell the members of {kind} apart")
        present = reader_of(some[0])
        return lambda value: None if value is None else present(value)
    if origin is Sequence or (origin is tuple and len(inner) == 2 and inner[1] is Ellipsis):
        member = reader_of(inner[0])
        return lambda value: tuple(map(member, value))
    if origin is tuple:
        members = [reader_of(each) for each in inner]
        return lambda value: tuple(member(each) for member, each in zip(members, value, strict=True))
    if origin is frozenset:
        member = reader_of(inner[0])
        return lambda value: frozenset(map(member, value))
    if origin in (dict, Mapping):
        member = reader_of(inner[1])
        return lambda value: {name: member(each) for name, each in value.items()}
    raise TypeError(f"a document cannot hold {kind}")


def _as_it_is(value: Any) -> Any:
    return value


def _fraction(value: str) -> Fraction:
    numerator, _, denominator = value.partition("/")
    return Fraction(int(numerator), int(denominator))


def _dataclass_reader(kind: type[Any]) -> Reader:
    hints = get_type_hints(kind)
    needed = [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]
    readers: dict[str, Reader] = {}

    def read(value: Mapping[str, Any]) -> Any:
        if not readers:
            readers.update((field.name, reader_of(hints[field.name])) for field in fields(kind))
        for name in needed:
            if name not in value:
                raise KeyError(f"{kind.__name__}.{name} is missing")
        return kind(**{name: reader(value[name]) for name, reader in readers.items() if name in value})

    return read
