"""`graduated_percentage`: each part of an amount by the share of the tier that it lies in (billing.md, Price book).

1,500 at 2 % up to 1,000 and 1 % above are 20.00 + 5.00 = 25.00.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from tallystick.rate.books.reader import Fields
from tallystick.rate.models.graduated import GraduatedModel
from tallystick.rate.models.tiers import SHARE_KEYS, read_tiers, write_tiers


@dataclass(frozen=True, slots=True, kw_only=True)
class GraduatedPercentageModel(GraduatedModel):
    """`graduated_percentage`: a ladder whose prices are shares of the amount; a tier's `flat` is due once reached."""

    NAME: ClassVar[str] = "graduated_percentage"
    EVENTS: ClassVar[bool] = True

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`tiers`, each with `up_to`, `percent`, and perhaps `flat` and `cap`."""
        return cls(tiers=read_tiers(fields, SHARE_KEYS))

    def write(self) -> Mapping[str, object]:
        """`tiers`."""
        return {"tiers": write_tiers(self.tiers, SHARE_KEYS)}
