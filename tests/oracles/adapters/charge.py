"""Charge: the price of a quantity, or of events, under one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tallystick.model.billing.money import Rounding, round_minor
from tallystick.model.billing.price_book import PriceModel
from tallystick.rate.models.graduated import GraduatedModel
from tallystick.rate.models.graduated_percentage import GraduatedPercentageModel
from tallystick.rate.models.package import Counted, PackageModel
from tallystick.rate.models.percentage import PercentageModel
from tallystick.rate.models.stairstep import StairstepModel
from tallystick.rate.models.threshold import Threshold, ThresholdModel
from tallystick.rate.models.tiers import Tier, package_tiers, share_tier
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.models.volume import VolumeModel
from tallystick.rate.quotes.capacity import CapacityTier, capacity_tier
from tallystick.rate.quotes.quote import Quote, each_alone, mean_price, quoted
from tallystick.rate.units import Conversion, converted
from tests.oracles.values import UNNAMED_CURRENCY, cents, number, number_or_zero, numbers, optional, whole_or_zero

TOPIC = "charge"

Fields = Mapping[str, Any]

COUNTED = {"up": Counted.UP, "down": Counted.DOWN}
ROUNDINGS = {"none": None, "half_up": Rounding.HALF_UP, "ceiling": Rounding.CEILING, "floor": Rounding.FLOOR}


def tier(written: Fields) -> Tier:
    """A tier of units."""
    return Tier(
        up_to=optional(written.get("up_to")),
        price=number_or_zero(written.get("unit_amount")),
        flat=number_or_zero(written.get("flat_amount")),
        cap=optional(written.get("cap_amount")),
    )


def tiers(params: Fields) -> tuple[Tier, ...]:
    """A ladder of units."""
    return tuple(map(tier, params["tiers"]))


def block_tiers(params: Fields) -> tuple[Tier, ...]:
    """A ladder of packages."""
    return package_tiers(
        [(number(each["block_size"]), optional(each["max_blocks"]), number(each["block_amount"])) for each in params["tiers"]]
    )


def unit(params: Fields) -> PriceModel:
    """A price for each unit."""
    return UnitModel(price=number(params["unit_amount"]))


def package(params: Fields) -> PriceModel:
    """A price for each package."""
    counted = COUNTED[params.get("round") or "up"]
    return PackageModel(price=number(params["package_amount"]), size=number(params["package_size"]), counted=counted)


def graduated(params: Fields) -> PriceModel:
    """Each part at the price of its tier."""
    return GraduatedModel(tiers=tiers(params))


def volume(params: Fields) -> PriceModel:
    """All at the price of the tier reached."""
    return VolumeModel(tiers=tiers(params))


def stairstep(params: Fields) -> PriceModel:
    """One price for a range."""
    return StairstepModel(tiers=tuple(Tier(up_to=optional(each["up_to"]), flat=number(each["amount"])) for each in params["steps"]))


def threshold(params: Fields) -> PriceModel:
    """A price and what it is multiplied by."""
    levels = (Threshold(level=number(each["level"]), multiplier=number(each["multiplier"])) for each in params["thresholds"])
    return ThresholdModel(price=number(params["unit_amount"]), thresholds=tuple(levels))


def graduated_percentage(params: Fields) -> PriceModel:
    """Each part by the share of its tier."""
    found = [
        share_tier(optional(each["up_to"]), number(each["rate_percent"]), number_or_zero(each.get("flat_amount")))
        for each in params["tiers"]
    ]
    return GraduatedPercentageModel(tiers=tuple(found))


MODELS: Mapping[str, Callable[[Fields], PriceModel]] = {
    "standard": unit,
    "package": package,
    "graduated": graduated,
    "volume": volume,
    "stairstep": stairstep,
    "graduated_percentage": graduated_percentage,
}
"""Models that a case names."""


def priced(model: Callable[[Fields], PriceModel]) -> Callable[[Fields, Fields], Fields]:
    """The adapter of a model: what units cost, and what lies in each tier."""

    def adapter(inputs: Fields, policy: Fields) -> Fields:
        return answer(quote(model(inputs["params"]), inputs))

    return adapter


def quote(model: PriceModel, inputs: Fields) -> Quote:
    """Units after what was billed before, what is free, and the most that they cost."""
    params = inputs["params"]
    before, free = number_or_zero(inputs.get("units_before")), number_or_zero(params.get("free_units"))
    return quoted(model, number(inputs["units"]), before=before, free=free, cap=optional(params.get("cap_amount")))


def answer(found: Quote) -> Fields:
    """A quote as cases have it."""
    tiers_touched = [{"units": part.quantity, "amount": part.amount} for part in found.parts]
    return {"amount": found.amount, "packages": found.quantity, "tiers": tiers_touched}


def block_tiers_all(inputs: Fields, policy: Fields) -> Fields:
    """Packages, each at the price of its tier."""
    return answer(quote(GraduatedModel(tiers=block_tiers(inputs["params"])), inputs))


def block_tiers_top(inputs: Fields, policy: Fields) -> Fields:
    """Packages, all at the price of the tier reached."""
    return answer(quote(VolumeModel(tiers=block_tiers(inputs["params"])), inputs))


def bucketed(inputs: Fields, policy: Fields) -> Fields:
    """Each bucket alone."""
    params = inputs["params"]
    return {"amount": each_alone(MODELS[params["model"]](params), numbers(inputs["bucket_values"]))}


def capacity_tiers(inputs: Fields, policy: Fields) -> Fields:
    """The tier that several peaks need."""
    found = [
        CapacityTier(amount=number(each["amount"]), limits={name: optional(limit) for name, limit in each["limits"].items()})
        for each in inputs["params"]["tiers"]
    ]
    return {"amount": capacity_tier(found, {name: number(peak) for name, peak in inputs["peaks"].items()}).amount}


def dynamic_multiplier(inputs: Fields, policy: Fields) -> Fields:
    """Units times a price, to cents."""
    found = quoted(UnitModel(price=number(inputs["params"]["multiplier"])), number(inputs["units"]))
    return {"amount": round_minor(found.amount, UNNAMED_CURRENCY)}


def dynamic_sum(inputs: Fields, policy: Fields) -> Fields:
    """What events brought, and what a unit cost."""
    amount = cents(inputs["params"]["precise_total_cents"])
    return {"amount": amount, "unit_amount": mean_price(amount, number(inputs["units"]))}


def percentage(inputs: Fields, policy: Fields) -> Fields:
    """A share of each event."""
    params = inputs["params"]
    model = PercentageModel(
        percent=number(params["rate_percent"]),
        fixed=number_or_zero(params.get("fixed_per_event")),
        minimum=number_or_zero(params.get("min_per_event")),
        maximum=optional(params.get("max_per_event")),
        free_events=optional(params.get("free_events")),
        free_amount=optional(params.get("free_amount")),
    )
    return {"amount": model.total(numbers(inputs["events"]))}


def unit_conversion(inputs: Fields, policy: Fields) -> Fields:
    """Metered units as billed units, and what they cost where a model is told."""
    params = inputs["params"]
    rounding, digits = ROUNDINGS[params.get("round") or "none"], whole_or_zero(params.get("precision"))
    billed = converted(number(inputs["units"]), Conversion(params["operation"]), number(params["factor"]), rounding, digits)
    if "model" not in params:
        return {"billed_units": billed}
    return {"billed_units": billed, "amount": quoted(MODELS[params["model"]](params), billed).amount}


KINDS = {
    "block_tiers_all": block_tiers_all,
    "block_tiers_top": block_tiers_top,
    "bucketed": bucketed,
    "capacity_tiers": capacity_tiers,
    "dynamic_multiplier": dynamic_multiplier,
    "dynamic_sum": dynamic_sum,
    "graduated": priced(graduated),
    "graduated_capped_tier": priced(graduated),
    "graduated_incremental": priced(graduated),
    "graduated_percentage": priced(graduated_percentage),
    "graduated_percentage_incremental": priced(graduated_percentage),
    "metered_cap": priced(unit),
    "package": priced(package),
    "package_incremental": priced(package),
    "percentage": percentage,
    "stairstep": priced(stairstep),
    "standard": priced(unit),
    "threshold_multiplier": priced(threshold),
    "unit_conversion": unit_conversion,
    "unit_conversion_rated": unit_conversion,
    "volume": priced(volume),
}
