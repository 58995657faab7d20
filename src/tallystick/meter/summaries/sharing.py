"""Whose a time is: the part of a thing that lies in a window, and one thing shared by those that use it at different times."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

Span = tuple[int, int]
"""[from, until) in nanoseconds."""

UNUSED = "unused"


def overlap_share(span: Span, window: Span) -> Fraction:
    """The part of a span that lies in a window: of 24 h that begin at noon, half is on the first day.

    Raises:
        ValueError: the span is empty.

    """
    begin, end = span
    if begin >= end:
        raise ValueError(f"the span [{begin}, {end}) is empty: it has no parts")
    return Fraction(max(0, min(end, window[1]) - max(begin, window[0])), end - begin)


def time_shares(span: Span, uses: Iterable[tuple[str, Span]]) -> dict[str, Fraction]:
    """The part of a thing that is each user's: at every instant all that use it share it equally, and nobody's time is `unused`.

    `uses` are (user, span); a user may have several.

    Two that share an hour, one of them for its last half only, have 3/4 and 1/4. All parts add up to 1.

    Raises:
        ValueError: the span is empty.

    """
    begin, end = span
    if begin >= end:
        raise ValueError(f"the span [{begin}, {end}) is empty: nothing is shared")
    used = list(uses)
    shares = {**{user: Fraction(0) for user, _ in used}, UNUSED: Fraction(0)}
    bounds = {begin, end, *(bound for _, each in used for bound in each if begin < bound < end)}
    for from_ns, until_ns in pairwise(sorted(bounds)):
        active = {user for user, each in used if each[0] <= from_ns and until_ns <= each[1]} or {UNUSED}
        for user in active:
            shares[user] += Fraction(until_ns - from_ns, (end - begin) * len(active))
    return shares
