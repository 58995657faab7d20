"""What a live stream has told is not told again, however many hours became others at once."""

from __future__ import annotations

from tallystick.model.instants import HOUR_NS
from tallystick.model.usage import UsageHour
from tallystick.serve.queries.answers import LiveHours, LiveQuestion
from tallystick.serve.queries.service import _Watch

MOST = 4
AT_NS = 500_000 * HOUR_NS


def test_more_hours_at_once_than_an_answer_holds_are_each_told_once() -> None:
    stored = [(AT_NS + number, f"vm-{number}") for number in range(3 * MOST)]
    watch = _Watch(LiveQuestion(customer_id="acme", resource_ids=frozenset(), after_ns=None))
    told: list[str] = []
    for _ in range(12):
        after_ns = watch.question.after_ns or 0
        some = [(at_ns, name) for at_ns, name in stored if at_ns > after_ns][:MOST]
        hours = tuple((at_ns, hour(name)) for at_ns, name in some)
        told += [each.resource_id for each in watch.fresh(LiveHours(at_ns=AT_NS, hours=hours, is_full=len(some) == MOST))]
    assert told == [name for _, name in stored]


def hour(name: str) -> UsageHour:
    return UsageHour(resource_id=name, hour_ns=AT_NS, cells={}, estimated={}, samples=1, memory_peak_bytes=None, runs=())
