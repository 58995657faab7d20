"""Hours made of thinned batches are those of the samples, to the unit, wherever no sample must be opened again."""

from __future__ import annotations

from array import array
from itertools import groupby

import pytest

from tallystick.meter.hours import needs_samples, usage_hours
from tallystick.meter.samples import present
from tallystick.meter.thin import claims
from tallystick.meter.thin.host import thin
from tallystick.model.timeline import StoredSegment
from tests.laws.generated import KEPT, kept
from tests.laws.memory import Memory, Resource

LATER = 2**62


def thin_of(resource: Resource, keys: frozenset[int]) -> Resource:
    """The resource with these batches as a host would have thinned them."""
    result = Resource(resource.id)
    result.events, result.facts = resource.events, resource.facts
    result.samples = {key: samples for key, samples in resource.samples.items() if key not in keys}
    for key, group in groupby(resource.segments, key=lambda stored: stored.batch_key):
        stored = list(group)
        if key not in keys:
            result.segments += stored
            continue
        samples, one = resource.samples[key], stored[0]
        claim = thin({number: array("q", samples.values[number].tolist()) for number in present(samples.mask)}, samples.interval_ns)
        assert claims.refusal(claim, samples.interval_ns, LATER, most_samples=samples.count) is None
        for segment in claims.segments_of(claim, samples.interval_ns, bool(one.boot_id)):
            made = StoredSegment(boot_id=one.boot_id, batch_key=key, received_at_ns=one.received_at_ns, segment=segment)
            result.segments.append(made)
    return result


@pytest.mark.parametrize("scenario", sorted(path.name.removesuffix(".json.gz") for path in KEPT.glob("*.json.gz")))
def test_thinned_streams_have_the_same_hours_gaps_and_findings(scenario: str) -> None:
    stream, _ = kept(scenario)
    memory = Memory()
    memory.take(stream["samples"])
    memory.tell(stream["lifecycle"], stream["sizes"])
    compared = 0
    for resource in (one for one in memory.resources.values() if one.segments):
        from_ns, until_ns = resource.span()
        needed = needs_samples(resource.whole(), from_ns, until_ns)
        every = frozenset(resource.samples)
        for gone in (every, frozenset(sorted(every)[::2]), every - needed):
            thin_one = thin_of(resource, gone)
            kept_samples = {key: thin_one.samples[key] for key in needed - gone}
            result = usage_hours(thin_one.whole(), from_ns, until_ns, until_ns, kept_samples, gone=gone)
            if not needed & gone:
                assert result == resource.at_once()
                compared += 1
            else:
                assert result.hours, "what overlaps a batch without samples is left out of it, with a finding (metering.md, Retention)"
    assert compared
