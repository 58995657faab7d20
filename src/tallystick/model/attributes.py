"""What is declared of a resource into what holds of it, cell by cell: whose it is, and what charges filter by (metering.md, fact)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tallystick.model.instants import LATEST_NS, cell_end, cell_start
from tallystick.model.resources import SIZES, UNASSIGNED, Attributes, Fact, Origin

Value = TypeVar("Value")
Changes = list[tuple[int, Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timelines:
    """Per attribute the cells from which each of its values holds, in order of time."""

    customer: Changes[str]
    name: Changes[str]
    kind: Changes[str]
    region: Changes[str]
    labels: Changes[Mapping[str, str]]
    sizes: Changes[tuple[str, ...]]

    def boundaries(self) -> list[int]:
        """Every cell at which something changes, and the beginning of time."""
        changes = (self.customer, self.name, self.kind, self.region, self.labels, self.sizes)
        return sorted({0, *(at_ns for each in changes for at_ns, _ in each)})


def attributes(facts: Iterable[Fact]) -> tuple[Attributes, ...]:
    """What holds of one resource, in spans of whole cells that cover all time from 0 to the latest instant.

    - The first assignment to a customer holds from the beginning, so from the first sample.
    - From the first assignment made by a person on, only persons assign; at one instant a person beats an agent. A person
      may assign to nobody (`UNASSIGNED`); an agent that names nobody says nothing.
    - A change that follows another takes effect at the next cell (the one that begins at its instant, if one does); what
      nothing precedes holds from the start of the cell that holds its instant.
    - Of two facts at one instant the one received later wins. `deleted` ends sizes, which are no attribute: whose the resource
      was, and how it was labelled, holds on.
    """
    ordered = sorted(facts, key=lambda fact: (fact.at_ns, fact.received_at_ns))
    lines = _Timelines(
        customer=_assignments(ordered),
        name=_changes((fact.at_ns, fact.name) for fact in ordered),
        kind=_changes((fact.at_ns, fact.kind) for fact in ordered),
        region=_changes((fact.at_ns, fact.region) for fact in ordered),
        labels=_changes((fact.at_ns, fact.labels) for fact in ordered),
        sizes=_sizes(ordered),
    )
    boundaries = lines.boundaries()
    spans = [
        Attributes(
            from_ns=start,
            until_ns=end,
            customer_id=_at(lines.customer, start, UNASSIGNED),
            name=_at(lines.name, start, ""),
            kind=_at(lines.kind, start, ""),
            region=_at(lines.region, start, ""),
            labels=_at(lines.labels, start, {}),
            sizes=_at(lines.sizes, start, ()),
        )
        for start, end in zip(boundaries, [*boundaries[1:], LATEST_NS], strict=True)
    ]
    return _joined(spans)


def _assignments(ordered: Sequence[Fact]) -> Changes[str]:
    """From which cell on the resource is whose."""
    persons = [fact.at_ns for fact in ordered if fact.origin is Origin.PERSON and fact.customer_id is not None]
    first_person_ns = min(persons, default=LATEST_NS)
    counted = [
        (fact.at_ns, fact.customer_id)
        for fact in ordered
        if fact.origin is Origin.PERSON or (fact.at_ns < first_person_ns and fact.customer_id != UNASSIGNED)
    ]
    changes = _changes(counted)
    first = next((at for at, (_, customer) in enumerate(changes) if customer != UNASSIGNED), None)
    if first is None:
        return []
    return [(0, changes[first][1]), *changes[first + 1 :]]


def _changes(values: Iterable[tuple[int, Value | None]]) -> Changes[Value]:
    """From which cell on each value holds; None names nothing. A value that is replaced inside its first cell never holds."""
    changes: Changes[Value] = []
    for at_ns, value in values:
        if value is None or (changes and changes[-1][1] == value):
            continue
        from_ns = cell_end(at_ns) if changes else cell_start(at_ns)
        if changes and changes[-1][0] >= from_ns:
            changes.pop()
            if changes and changes[-1][1] == value:
                continue
        changes.append((from_ns, value))
    return changes


def _sizes(ordered: Sequence[Fact]) -> Changes[tuple[str, ...]]:
    """From which cell on which sizes were given at all: a size that nobody gave is unpriced."""
    first: dict[str, int] = {}
    for fact in ordered:
        for size in SIZES:
            if getattr(fact, size) is not None:
                first.setdefault(size, cell_start(fact.at_ns))
    return [(at_ns, tuple(size for size in SIZES if first.get(size, LATEST_NS) <= at_ns)) for at_ns in sorted(set(first.values()))]


def _at(changes: Changes[Value], at_ns: int, otherwise: Value) -> Value:
    return next((value for from_ns, value in reversed(changes) if from_ns <= at_ns), otherwise)


def _joined(spans: Sequence[Attributes]) -> tuple[Attributes, ...]:
    """Neighbours that say the same are one span."""
    joined: list[Attributes] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last and _content(last) == _content(span):
            joined[-1] = _span(last, last.from_ns, span.until_ns)
        else:
            joined.append(span)
    return tuple(joined)


def _content(span: Attributes) -> Attributes:
    return _span(span, 0, 0)


def _span(span: Attributes, from_ns: int, until_ns: int) -> Attributes:
    return Attributes(
        from_ns=from_ns,
        until_ns=until_ns,
        customer_id=span.customer_id,
        name=span.name,
        kind=span.kind,
        region=span.region,
        labels=span.labels,
        sizes=span.sizes,
    )
