"""A conflict resolved: the stored content goes on counting, or the second one is folded and counts in its place."""

from __future__ import annotations

from tallystick.app.jobs.rollup import LARGEST_BATCH_BYTES
from tallystick.meter.fold import fold
from tallystick.meter.planes import decode
from tallystick.model.access import Place
from tallystick.model.outcomes import Refusal
from tallystick.serve.problems import conflict, not_found
from tallystick.store.records import Clash, Conflict, NotFound
from tallystick.store.store import Store

NO_SAMPLES = (
    "the content that was sent is thinned: it holds sums, no samples, and cannot count in the place of what is stored;"
    " only counts = 'stored' is possible"
)


def resolve_conflict(store: Store, place: Place, actor: str, row: int, *, takes_sent: bool, reason: str) -> Conflict:
    """The conflict as it stands then; resolved the same way again, it does not change.

    Raises:
        Problem: there is no such conflict, it was resolved otherwise, or the hours concerned are sealed.

    """
    try:
        if not takes_sent:
            return store.conflicts.keep(place, row, actor=actor, reason=reason)
        found = store.conflicts.get(place, row)
        if found.is_thinned:
            raise conflict("conflict_id", str(row), NO_SAMPLES)
        samples = decode(found.body, found.interval_ns, LARGEST_BATCH_BYTES)
        if isinstance(samples, Refusal):
            raise conflict("conflict_id", str(row), f"the content that was kept aside cannot be read: {samples.sentence()}")
        (segments,) = fold([samples], [bool(found.boot_id)])
        return store.conflicts.replace(place, row, segments, actor=actor, reason=reason)
    except NotFound:
        raise not_found("conflict_id", str(row)) from None
    except Clash as clash:
        raise conflict("conflict_id", str(row), str(clash)) from None
