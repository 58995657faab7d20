"""Versions of price books as requests name or bring them."""

from __future__ import annotations

from tallystick.serve.documents.prices import ChosenBook, shown_mistake
from tallystick.serve.guard import Call
from tallystick.serve.problems import INVALID, Problem
from tallystick.serve.services import BookChoice, BookReading


def choice_of(call: Call, chosen: ChosenBook) -> BookChoice:
    """The version that is meant.

    Raises:
        Problem: the text of one has mistakes; all are told.

    """
    if chosen.text is None:
        return BookChoice(book_id=chosen.book or "", version=chosen.version)
    reading = call.desk.services.read_book(chosen.text)
    if reading.book is None:
        raise mistaken(reading)
    return BookChoice(book=reading.book)


def mistaken(reading: BookReading) -> Problem:
    """The first mistake as field and value, all of them by line."""
    first = reading.mistakes[0]
    mistakes = tuple(shown_mistake(each).model_dump() for each in reading.mistakes)
    detail = f"line {first.line}: {first.place}: {first.found}; allowed: {first.allowed}"
    return Problem(INVALID, detail, field=first.place or "body", value=first.found, mistakes=mistakes)
