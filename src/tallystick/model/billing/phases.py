"""When which plan of a subscription is in force: changes, pauses, trial (billing.md, Subscriptions and periods)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.price_book import PriceBook, PriceSpan, price_spans
from tallystick.model.instants import cell_end


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch [from_ns, until_ns) in which a subscription is in force on one plan, in its trial or after it, and not paused."""

    plan_id: str
    from_ns: int
    until_ns: int
    trial: bool = False


def phases(subscription: Subscription, from_ns: int, until_ns: int) -> tuple[Phase, ...]:
    """The phases in [from_ns, until_ns) by exact instants, in order; what is paused or not in force is in none.

    Changes that lead back to the plan at once, and pauses that end where they begin, leave no trace.
    """
    ends = [subscription.start_ns, subscription.end_ns, subscription.trial_end_ns, *(change.at_ns for change in subscription.changes)]
    ends += [instant for pause in subscription.pauses for instant in (pause.from_ns, pause.until_ns)]
    cuts = sorted({from_ns, until_ns, *(instant for instant in ends if instant is not None and from_ns < instant < until_ns)})
    found: list[Phase] = []
    for begin, end in pairwise(cuts):
        if not in_force(subscription, begin) or is_paused(subscription, begin):
            continue
        trial = subscription.trial_end_ns is not None and begin < subscription.trial_end_ns
        phase = Phase(plan_id=plan_at(subscription, begin), from_ns=begin, until_ns=end, trial=trial)
        if found and found[-1] == replace(phase, from_ns=found[-1].from_ns, until_ns=begin):
            phase = replace(found.pop(), until_ns=end)
        found.append(phase)
    return tuple(found)


def in_force(subscription: Subscription, at_ns: int) -> bool:
    """Whether it has begun and not ended at an instant, paused or not."""
    return subscription.start_ns <= at_ns and (subscription.end_ns is None or at_ns < subscription.end_ns)


def is_paused(subscription: Subscription, at_ns: int) -> bool:
    """Whether it is paused at an instant."""
    return any(pause.from_ns <= at_ns and (pause.until_ns is None or at_ns < pause.until_ns) for pause in subscription.pauses)


def plan_at(subscription: Subscription, at_ns: int) -> str:
    """The plan at an instant; of two changes at one instant the one that was made last."""
    reached = [change for change in subscription.changes if change.at_ns <= at_ns]
    return sorted(reached, key=lambda change: (change.at_ns, change.made_ns))[-1].plan_id if reached else subscription.plan_id


def paused_cells(subscription: Subscription) -> tuple[tuple[int, int | None], ...]:
    """The cells of its pauses: each follows on something, so it begins and ends at the next cell."""
    cells = [(cell_end(pause.from_ns), None if pause.until_ns is None else cell_end(pause.until_ns)) for pause in subscription.pauses]
    return tuple((begin, end) for begin, end in cells if end is None or begin < end)


def plan_spans(subscription: Subscription, books: Sequence[PriceBook], from_ns: int, until_ns: int) -> tuple[PriceSpan, ...]:
    """Which version of which plan prices which cells of [from_ns, until_ns), in order, whatever part it is in force.

    A change takes effect at the next cell, as does the end of the trial, where a version that goes on is cut in two.
    """
    instants = sorted({change.at_ns for change in subscription.changes if change.at_ns > subscription.start_ns})
    trial_cell = None if subscription.trial_end_ns is None else cell_end(subscription.trial_end_ns)
    cells = {cell_end(at_ns): plan_at(subscription, at_ns) for at_ns in instants}
    cuts = sorted({from_ns, until_ns, *(cell for cell in (*cells, trial_cell) if cell is not None and from_ns < cell < until_ns)})
    plan_id = (
        cells[max(before)] if (before := [cell for cell in cells if cell <= from_ns]) else plan_at(subscription, subscription.start_ns)
    )
    found: list[PriceSpan] = []
    for begin, end in pairwise(cuts):
        plan_id = cells.get(begin, plan_id)
        for span in price_spans(books, plan_id, begin, end):
            last = found[-1] if found else None
            goes_on = last is not None and begin != trial_cell and last.until_ns == span.from_ns == begin
            if last is not None and goes_on and last.book is span.book and last.plan is span.plan:
                found[-1] = replace(last, until_ns=span.until_ns)
            else:
                found.append(span)
    return tuple(found)


def as_known(subscription: Subscription, at_ns: int) -> Subscription:
    """A subscription as far as it was agreed at an instant: what came before it, and what was announced for later.

    A fee that was billed in advance did not know what was agreed later.
    """
    if not (subscription.changes or subscription.pauses or subscription.cancelled_ns):
        return subscription

    def known(instant: int | None, made_ns: int | None) -> bool:
        return made_ns is None or made_ns <= at_ns or (instant is not None and instant <= at_ns)

    announced = [pause for pause in subscription.pauses if known(pause.from_ns, pause.made_ns)]
    ends = known(subscription.end_ns, subscription.cancelled_ns)
    return replace(
        subscription,
        changes=tuple(change for change in subscription.changes if known(change.at_ns, change.made_ns)),
        pauses=tuple(
            pause if known(pause.until_ns, pause.resumed_ns) else replace(pause, until_ns=None, resumed_ns=None) for pause in announced
        ),
        end_ns=subscription.end_ns if ends else None,
        cancelled_ns=subscription.cancelled_ns if ends else None,
    )
