"""Thinned batches: the host's fold, which has no NumPy, against the server's; and what a claim is refused for."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.meter.content import content_hash
from tallystick.meter.fold import fold
from tallystick.meter.samples import Samples, present
from tallystick.meter.thin import claims
from tallystick.meter.thin.host import FallenPair, SilentPair, Thinned, ThinnedSegment, thin
from tallystick.model.instants import CELL_NS, SECOND_NS
from tallystick.model.samples import LARGEST

S = SECOND_NS
WIDTH = 9
LATER = 2**62
COUNTS = st.one_of(st.just(0), st.integers(0, 50), st.integers(0, LARGEST))
STEPS = st.one_of(st.just(0), st.integers(0, 50), st.integers(-50, 50), st.integers(-(2**63), 2**63))
SPANS = st.one_of(st.just(S), st.integers(1, 3 * S), st.just(10 * S), st.integers(10 * S, 12 * S), st.integers(1, 2 * CELL_NS))


@st.composite
def batches(draw: st.DrawFn) -> Samples:
    """Valid samples across cells, with silences, restarts and columns that are absent."""
    count = draw(st.integers(1, 25))
    values = np.zeros((WIDTH, count), np.int64)
    at = draw(st.integers(1, 3 * CELL_NS))
    for place in range(count):
        values[0, place] = at
        at += draw(SPANS)
    mask = draw(st.sampled_from((511, 511, 0b111, 1, 3, 0b101, 0b110000011)))
    for column in present(mask)[1:]:
        value = draw(COUNTS)
        for place in range(count):
            values[column, place] = value
            value = min(max(value + draw(STEPS), 0), LARGEST)
    return Samples(values=values, mask=mask, interval_ns=S)


def columns_of(batch: Samples) -> dict[int, array[int]]:
    return {number: array("q", batch.values[number].tolist()) for number in present(batch.mask)}


@settings(max_examples=150)
@given(batches(), st.booleans())
def test_a_host_thins_to_what_the_server_folds_block_by_block(batch: Samples, known: bool) -> None:
    claim = thin(columns_of(batch), batch.interval_ns)
    assert claim.samples == batch.count
    assert claim.content_hash == content_hash(batch)
    assert claims.refusal(claim, batch.interval_ns, LATER, most_samples=batch.count) is None
    assert claims.segments_of(claim, batch.interval_ns, known) == fold([batch], [known])[0]


@settings(max_examples=100)
@given(batches(), st.integers(0, 8), st.sampled_from((-(2**64), -1, 1, 2**63)), st.data())
def test_a_claim_with_one_number_wrong_never_makes_a_segment_that_cannot_be(
    batch: Samples, which: int, by: int, draws: st.DataObject
) -> None:
    """Refused, or something that other valid samples would fold into: rises never below 0, areas never above peak x time."""
    claim = thin(columns_of(batch), batch.interval_ns)
    index = draws.draw(st.integers(0, len(claim.segments) - 1))
    one = claim.segments[index]
    changed: dict[str, Any] = [
        {"first_at_ns": one.first_at_ns + by},
        {"last_at_ns": one.last_at_ns + by},
        {"samples": one.samples + by},
        {"first": tuple(value + by for value in one.first)},
        {"last": tuple(value + by for value in one.last)},
        {"peak": one.peak + by},
        {"held": one.held + by},
        {"gaps": tuple(replace(gap, until_ns=gap.until_ns + by) for gap in one.gaps)},
        {"falls": tuple(replace(fall, after=tuple(value + by for value in fall.after)) for fall in one.falls)},
    ][which]
    wrong = replace(claim, segments=(*claim.segments[:index], replace(one, **changed), *claim.segments[index + 1 :]))
    if claims.refusal(wrong, batch.interval_ns, LATER, most_samples=LARGEST) is not None:
        return
    for segment, said in zip(claims.segments_of(wrong, batch.interval_ns, True), wrong.segments, strict=True):
        assert segment.cell_ns <= segment.first_at_ns <= segment.last_at_ns < segment.cell_ns + CELL_NS
        assert 0 <= said.held <= said.peak * (said.last_at_ns - said.first_at_ns)
        assert all(0 <= value <= LARGEST for value in (*said.first, *said.last, said.peak))


SOUND = ThinnedSegment(
    first_at_ns=S,
    last_at_ns=40 * S,
    samples=5,
    first=(4, 10),
    last=(6, 3),
    peak=9,
    held=4 * S,
    gaps=(SilentPair(from_ns=2 * S, until_ns=38 * S, memory_from=4, memory_until=9),),
    falls=(FallenPair(at_ns=39 * S, counters=1, before=(20,), after=(1,)),),
)
GAP, FALL = SOUND.gaps[0], SOUND.falls[0]


def claim_of(*segments: ThinnedSegment, presence: int = 0b111, digest: bytes = bytes(32)) -> Thinned:
    return Thinned(content_hash=digest, presence=presence, segments=segments)


def test_a_sound_claim_is_taken() -> None:
    assert claims.refusal(claim_of(SOUND), S, 40 * S - 300 * S, most_samples=5) is None


@pytest.mark.parametrize(
    ("field", "value", "changed"),
    [
        ("first_at", "0", {"first_at_ns": 0}),
        ("last_at", str(301 * S), {"last_at_ns": 301 * S}),
        ("last_at", "5", {"last_at_ns": 5}),
        ("samples", "0", {"samples": 0}),
        ("samples", "1", {"samples": 1}),
        ("samples", str(2**40), {"samples": 2**40}),
        ("first", "3 values, not 2", {"first": (4, 10, 1)}),
        ("last", "-1", {"last": (6, -1)}),
        ("last", "cpu_time_nanos 0", {"last": (6, 0)}),
        ("gaps", f"{2 * S} to {12 * S}", {"gaps": (replace(GAP, until_ns=12 * S),)}),
        ("gaps", f"{2 * S} to {41 * S}", {"gaps": (replace(GAP, until_ns=41 * S),)}),
        ("gaps", f"{2 * S} to {38 * S}", {"gaps": (GAP, GAP)}),
        ("gaps", f"memory 10 at {38 * S}", {"gaps": (replace(GAP, memory_until=10),)}),
        ("gaps", f"memory 5 at {S}", {"gaps": (replace(GAP, from_ns=S, memory_from=5),)}),
        ("gaps", f"{39 * S} ns in 3 steps", {"gaps": (), "samples": 4}),
        ("falls", f"counters 0x2 at {39 * S}", {"falls": (replace(FALL, counters=2),)}),
        ("falls", f"counters 0x1 at {20 * S}", {"falls": (replace(FALL, at_ns=20 * S),)}),
        ("falls", "1 values before and 2 after, not 1", {"falls": (replace(FALL, after=(1, 2)),)}),
        ("falls", f"cpu_time_nanos 9 to 1 at {39 * S}", {"falls": (replace(FALL, before=(9,)),)}),
        ("falls", f"cpu_time_nanos 20 to 20 at {39 * S}", {"falls": (replace(FALL, after=(20,)),)}),
        ("falls", f"cpu_time_nanos 20 to 1 at {40 * S}", {"falls": (replace(FALL, at_ns=40 * S),)}),
        ("last", "cpu_time_nanos 3", {"falls": ()}),
        ("memory_peak", "-1", {"peak": -1, "gaps": (), "first_at_ns": 31 * S, "held": 0}),
        ("memory_peak", "8", {"peak": 8, "gaps": (), "first_at_ns": 31 * S, "first": (9, 10)}),
        ("memory_held", str(9 * 3 * S + 1), {"held": 9 * 3 * S + 1}),
        ("memory_held", "-1", {"held": -1}),
    ],
)
def test_a_claim_that_no_samples_could_fold_into_is_refused_by_field_and_value(field: str, value: str, changed: dict[str, Any]) -> None:
    found = claims.refusal(claim_of(replace(SOUND, **changed)), S, LATER, most_samples=2**50)
    assert found is not None
    assert (found.code.value, found.field, found.index, found.value) == ("out_of_range", f"thinned.segments.{field}", 0, value)


def test_a_claim_as_a_whole_is_refused_by_field_and_value() -> None:
    later = replace(SOUND, first_at_ns=SOUND.first_at_ns + 1)
    for claim, code, field, value in (
        (claim_of(SOUND, digest=b"12"), "out_of_range", "thinned.content_hash", "2 bytes, not 32"),
        (claim_of(SOUND, presence=0b110), "out_of_range", "thinned.presence", "0x6"),
        (claim_of(SOUND, presence=0b1000000111), "out_of_range", "thinned.presence", "0x207"),
        (claim_of(), "wrong_length", "thinned.segments", "0"),
        (claim_of(SOUND, later), "out_of_range", "thinned.segments.first_at", str(later.first_at_ns)),
        (claim_of(replace(SOUND, first=(10,), last=(3,)), presence=0b101), "out_of_range", "thinned.segments.memory_peak", "9"),
    ):
        found = claims.refusal(claim, S, LATER, most_samples=100)
        assert found is not None
        assert (found.code.value, found.field, found.value) == (code, field, value)
    found = claims.refusal(claim_of(SOUND), S, LATER, most_samples=4)
    assert found is not None
    assert (found.code.value, found.value) == ("too_large", "5 samples")
    found = claims.refusal(claim_of(SOUND), S, 40 * S - 300 * S - 1, most_samples=5)
    assert found is not None
    assert (found.code.value, found.field, found.index) == ("future", "thinned.segments.last_at", 0)
