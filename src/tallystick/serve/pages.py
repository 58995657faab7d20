"""Cursors: where the next page of a list begins, as a text that says nothing to its reader."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, TypeVar

from fastapi import Query

from tallystick.serve.problems import invalid

MOST_ITEMS = 1000
USUAL_ITEMS = 100


class Numbered(Protocol):
    """What is stored has the number of its row, by which lists go on."""

    @property
    def row(self) -> int:
        """It."""
        ...


Stored = TypeVar("Stored", bound=Numbered)
Row = TypeVar("Row")
Key = tuple[int | str, ...]

Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="How many items at most.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next_cursor` of the page before.")]


def write_cursor(key: Key) -> str:
    """The cursor after the row of this key."""
    packed = json.dumps(key, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def read_cursor(cursor: str, kinds: tuple[type, ...]) -> Key:
    """The key of a cursor, whose parts are of these types.

    Raises:
        Problem: it is not a cursor of this list.

    """
    try:
        parts = json.loads(base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise invalid("cursor", cursor, "this is no cursor of this list: take next_cursor of the page before")
    if any(type(part) is int and abs(part) >= 2**62 for part in parts):
        raise invalid("cursor", cursor, "this is no cursor of this list: take next_cursor of the page before")
    return tuple(parts)


def newest(fetch: Callable[..., Sequence[Stored]], cursor: str | None, limit: int) -> tuple[Sequence[Stored], str | None]:
    """A page of stored rows, which `fetch` reads newest first (at most `limit`, perhaps those `before` a row), and the cursor after it."""
    before = None if cursor is None else int(read_cursor(cursor, (int,))[0])
    rows = fetch(before=before, limit=limit + 1)
    return rows[:limit], write_cursor((rows[limit - 1].row,)) if len(rows) > limit else None


def page_of(
    rows: Sequence[Row], key: Callable[[Row], Key], kinds: tuple[type, ...], cursor: str | None, limit: int
) -> tuple[Sequence[Row], str | None]:
    """A page of rows that are all at hand, newest (highest key) first, and the cursor after it. No two rows have one key."""
    ordered = sorted(rows, key=key, reverse=True)
    if cursor is not None:
        after = read_cursor(cursor, kinds)
        ordered = [row for row in ordered if key(row) < after]
    page = ordered[:limit]
    return page, write_cursor(key(page[-1])) if len(ordered) > limit else None
