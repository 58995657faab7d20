"""What is not there, as metrics: who is away, silent, missing, in conflict. Counted in the store, so every server tells the same."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tallystick.app.clock import Clock
from tallystick.app.logs import logger
from tallystick.app.settings import Settings
from tallystick.model.silence import AbsenceCause, SilenceCounts
from tallystick.model.usage import GapCause
from tallystick.store.store import Store

KEPT_NS = 10 * 10**9
"""How long counts are believed: however often the server is scraped, they are counted six times a minute."""


class SilenceMetrics(Collector):
    """Asks the store when it is scraped. While the store does not answer there are no figures: absent is not 0."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._clock = clock
        self._away_after_ns = settings.agent_away_seconds * 10**9
        self._offset_limit_ns = settings.clock_offset_limit_ms * 10**6
        self._kept: tuple[int, SilenceCounts] | None = None

    def describe(self) -> Iterable[Metric]:
        """Their names need no store."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The figures now."""
        try:
            counts = self._counts()
        except Exception as error:  # the page is shown without them: /ready says why
            logger("metrics").error("silence is not counted", error=f"{type(error).__name__}: {error}")
            return
        yield _plain("tally_agents_alive", "Agents heard from lately.", counts.agents)
        yield _plain("tally_agents_away", "Agents that are not heard from any longer.", counts.away)
        yield _plain("tally_agents_late", "Living agents whose reports lag more than three minutes behind.", counts.late)
        yield _plain("tally_agents_clock_off", "Living agents whose clock is farther off than clock_offset_limit_ms.", counts.clocks_off)
        yield _by_cause(
            "tally_resources_silent", "Resources of which nothing comes.", counts.resources, [each.value for each in AbsenceCause]
        )
        yield _by_cause("tally_gaps_open", "Gaps that stand in the usage.", counts.gaps, [each.value for each in GapCause])
        yield _plain("tally_sequences_missing", "Numbers of batches that never came.", counts.missing)
        yield _plain("tally_conflicts_open", "Batches sent again with other content that nobody resolved.", counts.conflicts)
        yield _plain("tally_hours_waiting", "Hours that ended more than an hour ago and are not computed.", counts.hours_waiting)

    def _counts(self) -> SilenceCounts:
        asked_ns = self._clock.monotonic_ns()
        if self._kept is None or asked_ns - self._kept[0] > KEPT_NS:
            self._kept = (asked_ns, self._store.gaps.counts(self._clock.now_ns(), self._away_after_ns, self._offset_limit_ns))
        return self._kept[1]


def _plain(name: str, words: str, value: int) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _by_cause(name: str, words: str, counted: Iterable[tuple[str, int]], causes: Iterable[str]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=["cause"])
    known = dict(counted)
    for cause in causes:
        family.add_metric([cause], known.get(cause, 0))
    return family
