"""The targets of `make fuzz`, bounded: what they begin with, what broke them once, and what Hypothesis makes of both."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, close, seeds

CORPUS = Path(__file__).with_name("corpus")
SEEDS = seeds()
EXAMPLES = 120
MOST_GROWTH_MIB = 100


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    close()


def pieces(name: str) -> st.SearchStrategy[bytes]:
    """Mutations of the seeds: cut, put together, with bytes changed, put in, repeated; and any bytes."""
    seed = st.sampled_from(SEEDS[name])

    @st.composite
    def mutated(draw: st.DrawFn) -> bytes:
        found = bytearray(draw(seed))
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(found)))
            match draw(st.sampled_from(["flip", "cut", "put", "splice", "repeat", "large"])):
                case "flip" if found:
                    found[at % len(found)] ^= draw(st.integers(1, 255))
                case "cut":
                    del found[at : at + draw(st.integers(1, 40))]
                case "put":
                    found[at:at] = draw(st.binary(max_size=12))
                case "splice":
                    found[at:] = draw(seed)[draw(st.integers(0, 60)) :]
                case "repeat":
                    found[at:at] = found[at : at + 30] * draw(st.integers(1, 20))
                case "large":
                    found[at : at + 10] = draw(
                        st.sampled_from([b"\xff" * 9 + b"\x01", b"\x80" * 9 + b"\x01", b"\xff" * 8 + b"\x7f", b"\x00" * 8])
                    )
        return bytes(found)

    return st.one_of(mutated(), mutated(), st.binary(max_size=300))


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_what_broke_it_once(name: str) -> None:
    for content in [*SEEDS[name], *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]:
        TARGETS[name](content)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations(name: str) -> None:
    @settings(max_examples=EXAMPLES, database=None)
    @given(pieces(name))
    def run(content: bytes) -> None:
        TARGETS[name](content)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MOST_GROWTH_MIB
