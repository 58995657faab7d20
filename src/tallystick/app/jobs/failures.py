"""Resources whose hours cannot be computed: logged, counted, and tried again, less and less often."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.app.logs import logger
from tallystick.model.instants import iso
from tallystick.store.records import DirtyHour

MOST_ROUNDS = 256


class Failures:
    """What failed in the rounds of one worker. A resource that failed n times in a row is left alone for 2^n rounds, at most 256."""

    def __init__(self) -> None:
        self._round = 0
        self._failed: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        """How many resources failed when they were tried last."""
        return len(self._failed)

    def next_round(self) -> None:
        """Begin a round."""
        self._round += 1

    def is_due(self, resource_key: int) -> bool:
        """Whether a resource is to be tried in this round."""
        return resource_key not in self._failed or self._failed[resource_key][1] <= self._round

    def add(self, marks: Sequence[DirtyHour], error: Exception) -> None:
        """A resource failed with these hours: they stay marked."""
        key = marks[0].resource_key
        attempts = self._failed.get(key, (0, 0))[0] + 1
        self._failed[key] = (attempts, self._round + min(2**attempts, MOST_ROUNDS))
        logger("rollup").error(
            "hours cannot be computed",
            resource=marks[0].resource_id,
            scope=marks[0].place.scope_id,
            from_hour=iso(marks[0].hour_ns),
            hours=len(marks),
            attempts=attempts,
            resources_failing=len(self._failed),
            error=f"{type(error).__name__}: {error}",
            exc_info=error,
        )

    def forget(self, resource_key: int) -> None:
        """A resource was computed."""
        self._failed.pop(resource_key, None)
