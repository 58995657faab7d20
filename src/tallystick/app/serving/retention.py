"""What waits for a person because it came too late, and what the last clean-up did, as metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tallystick.app.jobs.retention.cleaning import LAST
from tallystick.app.logs import logger
from tallystick.model.instants import SECOND_NS, parse_iso
from tallystick.store.store import Store


class RetentionMetrics(Collector):
    """Asks the store when it is scraped. While the store does not answer there are no figures: absent is not 0."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> Iterable[Metric]:
        """Their names need no store."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The figures now."""
        try:
            waiting = self._store.too_late.count_open()
            last = cast("dict[str, Any] | None", self._store.settings.get(self._store.registry.places()[0], LAST))
        except Exception as error:  # the page is shown without them: /ready says why
            logger("metrics").error("retention is not told", error=f"{type(error).__name__}: {error}")
            return
        yield GaugeMetricFamily(
            "tally_too_late_open", "Batches that came when their hours were sealed and wait for a person.", value=waiting
        )
        if last is not None:
            at_seconds = parse_iso(last["at"]) // SECOND_NS
            yield GaugeMetricFamily("tally_cleanup_timestamp_seconds", "When the last clean-up was made.", value=at_seconds)
            deleted = GaugeMetricFamily("tally_cleanup_deleted", "What the last clean-up deleted.", labels=["kind"])
            for kind, rows in sorted(last["deleted"].items()):
                deleted.add_metric([kind], rows)
            yield deleted
            refused = sum(last["refused"].values())
            yield GaugeMetricFamily("tally_cleanup_refused", "What the last clean-up left, as something needs it.", value=refused)
