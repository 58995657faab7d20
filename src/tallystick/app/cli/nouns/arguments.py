"""Arguments that several nouns read in one way: instants, sizes, labels, and how many rows to list."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

import typer

Limit = Annotated[int, typer.Option(min=1, help="How many rows at most.")]

BYTES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def instant(text: str | None) -> str | None:
    """An instant as the server reads it: a day or a month alone begins at midnight UTC. What else is wrong, the server says."""
    if text is None:
        return None
    if re.fullmatch(r"\d{4}-\d{2}", text):
        return f"{text}-01T00:00:00Z"
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return f"{text}T00:00:00Z"
    return text


def size(text: str) -> int:
    """Bytes of `4GiB`, `512MiB` or `4294967296`. A number without a unit below a MiB is surely not meant as bytes.

    Raises:
        typer.BadParameter: it is no such text, no whole number of bytes, or has no unit and is small.

    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]iB|B|)", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no size: write 4GiB, 512MiB or a number of bytes")
    amount = Fraction(found[1]) * BYTES[found[2]]
    if amount.denominator != 1:
        raise typer.BadParameter(f"{text!r} is no whole number of bytes")
    if found[2] == "" and 0 < amount < BYTES["MiB"]:
        raise typer.BadParameter(f"{text!r} would be {amount} bytes: name the unit, as in {text.strip()}GiB")
    return amount.numerator


def labels_of(pairs: list[str], form: str = "NAME=VALUE") -> dict[str, str]:
    """Labels of `name=value` texts, or other pairs in that `form`.

    Raises:
        typer.BadParameter: one has no `=` or no name.

    """
    split = [pair.partition("=") for pair in pairs]
    for name, equals, value in split:
        if not name or not equals:
            raise typer.BadParameter(f"{name + equals + value!r} is not {form}")
    return {name: value for name, _, value in split}
