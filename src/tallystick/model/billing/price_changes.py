"""What two versions of a price book say differently: one value for each key that changes, with a sentence for a person."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class ChangeKind(StrEnum):
    """What happens to a thing of a price book."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """One difference: of a plan (`plan_id`), or of the book itself where that is empty.

    `part` is `charge`, `fee`, `commitment`, `discount` or `reservation`, and `id` its id; empty for a key of the plan or book. `key` is the
    key that changes, as `tiers[2].price`, empty for a thing that is added or removed. `before` and `after` are as they are written
    in a price book, empty for nothing. `percent` is the change of a number that was above 0: 0.010 to 0.012 is 20.
    """

    plan_id: str
    part: str
    id: str
    key: str
    kind: ChangeKind
    before: str
    after: str
    text: str
    percent: Fraction | None = None
