"""Who is away is noticed here, on whatever worker looks first: within two minutes of the last sign of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.app.settings import Settings
from tallystick.meter.silence.presence import look
from tallystick.model.access import Place
from tallystick.model.silence import Absence, AbsenceKind, SeenAgent, WatchRules
from tallystick.store.store import Store

SECOND_NS = 10**9
RESOURCE_AFTER_NS = 10 * SECOND_NS
"""How far an agent may report past the last sample of a resource that it lists."""
UNSAID_AFTER_NS = 90 * SECOND_NS
"""How old the last sample of a resource may be whose agent does not say how far it reported: batches of a minute, and half of one more."""


@dataclass(slots=True)
class Watch:
    """Looks at who is there. `since_ns` is when this worker began: until the limit has passed since, it calls no agent away, since those
    of a server that was itself away have had no chance to report.
    """  # noqa: D205 (the reason is one sentence)

    store: Store
    rules: WatchRules
    since_ns: int

    def look(self, now_ns: int) -> int:
        """Look once, at all places; how many absences opened or ended."""
        return sum(self._look(place, now_ns) for place in self.store.registry.places())

    def _look(self, place: Place, now_ns: int) -> int:
        absences = self.store.absences
        since_ns = now_ns - self.rules.agent_after_ns
        with self.store.read() as tx:
            agents = absences.agents(place, since_ns, tx=tx)
            resources = absences.resources(place, tx=tx)
            known = [each.absence for each in absences.open(place, tx=tx)]
        if absences.expect(place, _listed(agents, known, since_ns), [one.resource_id for one in resources if one.ended], now_ns):
            resources = absences.resources(place)
        if now_ns - self.since_ns < self.rules.agent_after_ns:
            return 0
        return sum(absences.apply(place, look(agents, resources, known, now_ns, self.rules), now_ns))


def _listed(agents: Sequence[SeenAgent], known: Sequence[Absence], heard_since_ns: int) -> dict[str, str]:
    """Which agent lists a resource: a living one before one that is away and was not noticed yet."""
    noticed = {one.subject for one in known if one.kind is AbsenceKind.AGENT}
    found: dict[str, str] = {}
    for one in sorted(agents, key=lambda each: (each.received_at_ns >= heard_since_ns, each.received_at_ns)):
        if one.received_at_ns >= heard_since_ns or one.instance_id not in noticed:
            found.update(dict.fromkeys(one.active, one.instance_id))
    return found


def watch(store: Store, settings: Settings, now_ns: int) -> Watch:
    """A watch by the limits of the settings, which begins now."""
    rules = WatchRules(
        agent_after_ns=settings.agent_away_seconds * SECOND_NS, resource_after_ns=RESOURCE_AFTER_NS, unsaid_after_ns=UNSAID_AFTER_NS
    )
    return Watch(store=store, rules=rules, since_ns=now_ns)
