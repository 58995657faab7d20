"""What holds of a resource, cell by cell: cases by hand, and what must hold of any facts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.model.attributes import attributes
from tallystick.model.instants import CELL_NS, LATEST_NS
from tallystick.model.resources import SIZES, Fact, Origin

C = CELL_NS
A, P = Origin.AGENT, Origin.PERSON


def owned(at_ns: int, customer: str | None, origin: Origin = A, received: int = 0) -> Fact:
    return Fact(resource_id="vm", at_ns=at_ns, received_at_ns=received, origin=origin, customer_id=customer)


CUSTOMERS = [
    ("nobody said anything", [], [(0, "")]),
    ("the first assignment holds from the beginning", [owned(7 * C + 1, "a")], [(0, "a")]),
    ("another takes effect at the next cell", [owned(C, "a"), owned(7 * C + 1, "b")], [(0, "a"), (8 * C, "b")]),
    ("at a boundary it takes effect there", [owned(C, "a"), owned(7 * C, "b")], [(0, "a"), (7 * C, "b")]),
    ("the same customer again is no change", [owned(C, "a"), owned(3 * C, "a")], [(0, "a")]),
    ("of two at one instant the one received later", [owned(C, "a", received=2), owned(C, "b", received=1)], [(0, "a")]),
    (
        "one that is replaced within its cell never holds",
        [owned(C, "a"), owned(7 * C + 1, "b"), owned(7 * C + 2, "c")],
        [(0, "a"), (8 * C, "c")],
    ),
    ("one that is taken back within its cell is no change", [owned(C, "a"), owned(7 * C + 1, "b"), owned(7 * C + 2, "a")], [(0, "a")]),
    ("what an agent does not know is no assignment", [owned(C, "a"), owned(3 * C, "")], [(0, "a")]),
    ("nobody at first", [owned(C, ""), owned(3 * C, "a")], [(0, "a")]),
    ("a person beats the agents after", [owned(C, "a"), owned(3 * C, "b", P), owned(5 * C, "a")], [(0, "a"), (3 * C, "b")]),
    ("and at the same instant", [owned(C, "b", P), owned(C, "a", received=9)], [(0, "b")]),
    ("the next person goes on", [owned(C, "b", P), owned(5 * C, "c", P)], [(0, "b"), (5 * C, "c")]),
    ("a person may assign to nobody", [owned(C, "a", P), owned(5 * C, "", P)], [(0, "a"), (5 * C, "")]),
    ("what is told late counts from its instant", [owned(5 * C, "b"), owned(2 * C, "a", received=9)], [(0, "a"), (5 * C, "b")]),
]


@pytest.mark.parametrize(("what", "facts", "expected"), CUSTOMERS, ids=[case[0] for case in CUSTOMERS])
def test_whose_it_is(what: str, facts: list[Fact], expected: list[tuple[int, str]]) -> None:
    assert [(span.from_ns, span.customer_id) for span in attributes(facts)] == expected


def test_other_attributes_hold_from_the_cell_that_holds_their_instant() -> None:
    first = Fact(resource_id="vm", at_ns=C + 5, received_at_ns=0, region="eu", name="web", labels={"a": "b"})
    second = Fact(resource_id="vm", at_ns=4 * C + 5, received_at_ns=0, region="us", kind="vm", deleted=True)
    spans = attributes([second, first])
    assert [(span.from_ns, span.region, span.name, span.kind, span.labels) for span in spans] == [
        (0, "", "", "", {}),
        (C, "eu", "web", "", {"a": "b"}),
        (4 * C, "eu", "web", "vm", {"a": "b"}),
        (5 * C, "us", "web", "vm", {"a": "b"}),
    ]


def test_sizes_are_those_that_anybody_gave() -> None:
    facts = [
        Fact(resource_id="vm", at_ns=2 * C + 1, received_at_ns=0, vcpus=0),
        Fact(resource_id="vm", at_ns=4 * C, received_at_ns=0, disk_bytes=5, vcpus=2),
        Fact(resource_id="vm", at_ns=6 * C, received_at_ns=0, deleted=True),
    ]
    assert [(span.from_ns, span.sizes) for span in attributes(facts)] == [(0, ()), (2 * C, ("vcpus",)), (4 * C, ("vcpus", "disk_bytes"))]


FACTS = st.lists(
    st.builds(
        Fact,
        resource_id=st.just("vm"),
        at_ns=st.integers(1, 6 * C),
        received_at_ns=st.integers(0, 9),
        origin=st.sampled_from(Origin),
        customer_id=st.none() | st.sampled_from(["", "a", "b"]),
        name=st.none() | st.sampled_from(["", "x"]),
        region=st.none() | st.sampled_from(["eu", "us"]),
        **{size: st.none() | st.integers(0, 2) for size in SIZES},
    ),
    max_size=6,
    unique_by=lambda fact: (fact.at_ns, fact.received_at_ns),
)


@given(FACTS, st.randoms())
def test_spans_cover_all_time_in_whole_cells_in_whatever_order(facts: list[Fact], random: object) -> None:
    spans = attributes(facts)
    assert spans[0].from_ns == 0
    assert spans[-1].until_ns == LATEST_NS
    for one, next_one in pairwise(spans):
        assert one.until_ns == next_one.from_ns
        assert one.until_ns % C == 0
    shuffled = list(facts)
    random.shuffle(shuffled)
    assert attributes(shuffled) == spans
