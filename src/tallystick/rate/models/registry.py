"""The price models by the name that a price book calls them: the next one is a file beside `unit.py` and a word here."""

from __future__ import annotations

from collections.abc import Mapping

from tallystick.model.billing.price_book import PriceModel
from tallystick.rate.models.bundle import BundleModel
from tallystick.rate.models.dynamic import DynamicModel
from tallystick.rate.models.graduated import GraduatedModel
from tallystick.rate.models.graduated_percentage import GraduatedPercentageModel
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.models.p95 import P95Model
from tallystick.rate.models.package import PackageModel
from tallystick.rate.models.percentage import PercentageModel
from tallystick.rate.models.spot import SpotModel
from tallystick.rate.models.stairstep import StairstepModel
from tallystick.rate.models.surcharge import SurchargeModel
from tallystick.rate.models.threshold import ThresholdModel
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.models.volume import VolumeModel

MODELS: Mapping[str, type[QuantityModel]] = {
    each.NAME: each
    for each in (
        UnitModel,
        PackageModel,
        BundleModel,
        GraduatedModel,
        GraduatedPercentageModel,
        VolumeModel,
        StairstepModel,
        ThresholdModel,
        PercentageModel,
        DynamicModel,
        SurchargeModel,
        SpotModel,
        P95Model,
    )
}


def model_of(model: PriceModel) -> QuantityModel:
    """The model of a charge as what prices it. One that no file here is of is an error, never priced as another.

    Raises:
        TypeError: it is no model of `MODELS`.

    """
    if isinstance(model, QuantityModel) and MODELS.get(model.NAME) is type(model):
        return model
    raise TypeError(f"no price model is registered for {type(model).__name__}")
