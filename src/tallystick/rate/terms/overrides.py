"""What a subscription agreed otherwise than its plans say: prices, tiers, included units and discounts of named charges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from tallystick.model.billing.contracts import Override, Subscription
from tallystick.model.billing.price_book import Charge, Discount, Plan, PriceSpan
from tallystick.rate.models.graduated import GraduatedModel
from tallystick.rate.models.p95 import P95Model
from tallystick.rate.models.package import PackageModel
from tallystick.rate.models.registry import model_of
from tallystick.rate.models.stairstep import StairstepModel
from tallystick.rate.models.threshold import ThresholdModel
from tallystick.rate.models.tiers import Tier
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.models.volume import VolumeModel

DISCOUNT = "override:"
"""Before the id of a charge: the id of the discount on it, which no price book can have, as it is agreed beside it."""


def agreed(span: PriceSpan, subscription: Subscription) -> PriceSpan:
    """A price version as a subscription pays it; a charge that the version does not have is overridden where it is had."""
    if not subscription.overrides:
        return span
    plan = span.plan
    own = [each for each in subscription.overrides if any(charge.id == each.charge_id for charge in plan.charges)]
    by_charge = {each.charge_id: each for each in own}
    charges = tuple(overridden(charge, by_charge[charge.id]) if charge.id in by_charge else charge for charge in plan.charges)
    return replace(span, plan=replace(plan, charges=charges, discounts=(*plan.discounts, *_discounts(plan, own))))


def overridden(charge: Charge, override: Override) -> Charge:
    """A charge with another price, tiers or included units: one price in place of tiers, and tiers in place of one price.

    Raises:
        ValueError: its model has neither a price nor tiers of a quantity.

    """
    model = charge.model
    if override.price is not None or override.tiers:
        ladder = tuple(Tier(up_to=tier.up_to, price=tier.price, flat=tier.flat) for tier in override.tiers)
        match model:
            case UnitModel() | GraduatedModel():
                model = GraduatedModel(tiers=ladder) if ladder else UnitModel(price=override.price or Fraction(0))
            case VolumeModel() | StairstepModel():
                model = replace(model, tiers=ladder) if ladder else UnitModel(price=override.price or Fraction(0))
            case PackageModel() | ThresholdModel() | P95Model() if override.price is not None:
                model = replace(model, price=override.price)
            case _:
                raise ValueError(f"charge {charge.id!r} is priced by {model_of(model).NAME!r}, which has no such price or tiers")
    return replace(charge, model=model, included=charge.included if override.included is None else override.included)


def _discounts(plan: Plan, overrides: Sequence[Override]) -> tuple[Discount, ...]:
    names = {charge.id: charge.name for charge in plan.charges}
    return tuple(
        Discount(
            id=f"{DISCOUNT}{each.charge_id}", name=f"Discount on {names[each.charge_id]}", percent=each.discount, charges=(each.charge_id,)
        )
        for each in overrides
        if each.discount
    )
