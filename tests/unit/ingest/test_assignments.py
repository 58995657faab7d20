"""What a server remembers of whose a resource is: what it was told last of the latest instant."""

from __future__ import annotations

from tallystick.ingest.sources.assignments import Assignments
from tallystick.model.access import Place

AT_NS = 1_773_100_000 * 10**9
SECOND_NS = 10**9


def test_a_resource_that_comes_back_after_an_old_row_was_sent_again_is_assigned_again() -> None:
    known = Assignments()
    told = [tell(known, second, customer) for second, customer in ((0, "a"), (10, "b"), (0, "a"), (20, "a"), (30, "a"))]
    assert told == [["a"], ["b"], ["a"], ["a"], []]


def tell(known: Assignments, second: int, customer_id: str) -> list[str | None]:
    facts = known.facts(Place(), "vm-1", [(AT_NS + second * SECOND_NS, customer_id, "")], AT_NS + 60 * SECOND_NS)
    known.remember(Place(), facts)
    return [fact.customer_id for fact in facts]
