"""The price models by the name that a price book calls them: the next one is a file beside `unit.py` and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tallystick.model.billing.price_book import Model, UnitModel
from tallystick.rate.books.reader import Fields
from tallystick.rate.models import unit
from tallystick.rate.slices import Position, Priced, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRule:
    """What a price model can do: read its keys of a charge, write them, and price a slice."""

    name: str
    kind: type[Model]
    keys: tuple[str, ...]
    read: Callable[[Fields], Model]
    write: Callable[[Model], Mapping[str, str]]
    price: Callable[[Model, Slice, Position], tuple[Priced, ...]]


MODELS: Mapping[str, ModelRule] = {
    unit.NAME: ModelRule(name=unit.NAME, kind=UnitModel, keys=unit.KEYS, read=unit.read, write=unit.write, price=unit.price),
}
"""Every member of the union `Model` has one entry: a test holds the two equal."""


def rule_of(model: Model) -> ModelRule:
    """The rule of a model. A model without one is an error, never priced as another."""
    for rule in MODELS.values():
        if type(model) is rule.kind:
            return rule
    raise TypeError(f"no price model is registered for {type(model).__name__}")
