"""Routes of prices: the versions of the price book, and estimates."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as InPath

from tallystick.model.instants import iso
from tallystick.serve.books import choice_of, mistaken
from tallystick.serve.documents.prices import (
    CheckedBook,
    NewComparison,
    NewEstimate,
    ShownBook,
    ShownComparison,
    ShownEstimate,
    shown_comparison,
    shown_estimate,
    shown_mistake,
)
from tallystick.serve.documents.values import Id, Listing, shown_instant
from tallystick.serve.guard import GuardedRoute, Reader, ReaderOfAll, Writer
from tallystick.serve.pages import Cursor, Limit, newest
from tallystick.serve.problems import MALFORMED, Problem, not_found
from tallystick.store.contracts import StoredBook

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["prices"])

BOOK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A price book in YAML, or the same document in JSON.",
        "content": {"application/yaml": {"schema": {"type": "object"}}, "application/json": {"schema": {"type": "object"}}},
    }
}
Version = Annotated[int, InPath(ge=1, le=2**31 - 1)]


async def _book_text(request: Request) -> str:
    """The body as text; the guard has read it."""
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise Problem(MALFORMED, f"the body is not UTF-8: byte {error.start}", field="body") from None


BookText = Annotated[str, Depends(_book_text)]


@router.post(
    "/price-books",
    summary="Check a price book, and store it as a draft",
    status_code=201,
    openapi_extra=BOOK_BODY,
    responses={200: {"model": CheckedBook, "description": "What checking found (`lint=true`)."}},
)
def add_price_book(
    call: Writer, text: BookText, response: Response, lint: Annotated[bool, Query(description="Check only; store nothing.")] = False
) -> ShownBook | CheckedBook:
    """Every mistake is told at once, by line. Without mistakes it is the next draft of its id; `activate` puts it in force."""
    services = call.desk.services
    if lint:
        response.status_code = 200
        return CheckedBook(mistakes=tuple(map(shown_mistake, services.read_book(text).mistakes)))
    reading = services.add_book(call.place, call.actor, text)
    if reading.book is None:
        raise mistaken(reading)
    return _shown(_stored(call, reading.book.id, reading.book.version), whole=True)


@router.post("/price-books/diff", summary="What a version of a price book changes, and for whom")
def compare_price_books(call: ReaderOfAll, wanted: NewComparison) -> ShownComparison:
    """Key by key and in words: plans, charges, fees, tiers, dates; with the subscriptions to the plans that change. Nothing is stored."""
    before = None if wanted.before is None else choice_of(call, wanted.before)
    return shown_comparison(call.desk.services.compare_books(call.place, before, choice_of(call, wanted.after)))


@router.get("/price-books", summary="The versions of all price books")
def list_price_books(call: ReaderOfAll, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownBook]:
    """Newest first."""
    page, following = newest(partial(call.desk.store.contracts.books, call.place), cursor, limit)
    return Listing(items=tuple(_shown(book, whole=False) for book in page), next_cursor=following)


@router.get("/price-books/{book_id:path}/versions/{version}", summary="One version of a price book, as it was written")
def show_price_book(call: ReaderOfAll, book_id: Id, version: Version) -> ShownBook:
    """With its text."""
    return _shown(_stored(call, book_id, version), whole=True)


@router.post("/price-books/{book_id:path}/versions/{version}/activate", summary="Put a draft in force")
def activate_price_book(call: Writer, book_id: Id, version: Version) -> ShownBook:
    """From its `effective_from` on. An active version never changes; activating it again changes nothing."""
    call.desk.services.activate_book(call.place, call.actor, book_id, version)
    return _shown(_stored(call, book_id, version), whole=True)


@router.post("/estimate", summary="What a machine would cost")
def estimate(call: Reader, wanted: NewEstimate) -> ShownEstimate:
    """Priced by the one formula that bills: 2 vCPU, 4 GiB, 50 GiB at 730 h on `standard` is 34.20."""
    return shown_estimate(call.desk.services.estimate(call.place, wanted.value()))


def _stored(call: ReaderOfAll | Writer, book_id: str, version: int) -> StoredBook:
    found = call.desk.store.contracts.book(call.place, book_id, version)
    if found is None:
        raise not_found("version", f"{book_id} version {version}")
    return found


def _shown(stored: StoredBook, *, whole: bool) -> ShownBook:
    book = stored.book
    return ShownBook(
        id=book.id,
        version=book.version,
        state=stored.state,
        effective_from=iso(book.effective_from_ns),
        effective_until=shown_instant(book.effective_until_ns),
        corrects=book.corrects,
        digest=book.digest,
        plans=tuple(plan.id for plan in book.plans),
        text=stored.text if whole else None,
    )
