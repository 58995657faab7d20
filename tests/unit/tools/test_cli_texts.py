"""How the command line reads and shows single values."""

from __future__ import annotations

import pytest
import typer

from tallystick.app.cli.client import RefusedError
from tallystick.app.cli.nouns.arguments import instant, labels_of, size
from tallystick.app.cli.nouns.invoices import decimal
from tallystick.app.cli.nouns.usage import thousandths
from tallystick.app.cli.output import at


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4294967296", 2**32), ("0", 0), ("4GiB", 4 * 2**30), ("1.5 MiB", 3 * 2**19), ("512KiB", 2**19), ("7B", 7), ("2TiB", 2**41)],
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "lots", "4GB", "-1GiB", "1.3B", "4 G", "1024", "4"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"size|whole number|name the unit"):
        size(text)


def test_instants() -> None:
    assert instant("2026-03") == "2026-03-01T00:00:00Z"
    assert instant("2026-03-10") == "2026-03-10T00:00:00Z"
    assert instant("2026-03-10T08:00:00+01:00") == "2026-03-10T08:00:00+01:00"
    assert instant(None) is None


def test_labels() -> None:
    assert labels_of(["team=a", "note=b=c", "empty="]) == {"team": "a", "note": "b=c", "empty": ""}
    with pytest.raises(typer.BadParameter, match="is not NAME=VALUE"):
        labels_of(["=x"])


@pytest.mark.parametrize(
    ("exact", "shown"), [("1/4", "0.25"), ("-5/2", "-2.5"), ("3", "3"), ("1/3", "0.333333…"), ("0", "0"), ("720", "720"), ("1/10", "0.1")]
)
def test_rationals(exact: str, shown: str) -> None:
    assert decimal(exact) == shown


def test_thousandths_are_cut_not_rounded() -> None:
    assert thousandths(5400, 3600) == "1.500"
    assert thousandths(3599, 3600) == "0.999"


def test_values_in_tables() -> None:
    document = {"customer": {"id": "acme"}, "total": {"amount": "34.20", "currency": "USD"}, "none": None, "no": False, "of": ["a", "b"]}
    shown = [at(document, path) for path in ("customer.id", "total", "none", "no", "of", "absent.at.all")]
    assert shown == ["acme", "34.20 USD", "", "no", "a, b", ""]


def test_a_refusal_names_field_and_value_and_every_mistake() -> None:
    mistakes = [{"line": 4, "field": "price", "found": "-1", "allowed": "0 or more"}]
    problem = {"detail": "line 4: price: -1", "field": "price", "value": "-1", "code": "invalid", "mistakes": mistakes}
    assert list(RefusedError(422, problem).lines()) == ["line 4: price: found -1, allowed: 0 or more"]
    other = {"detail": "unknown customer", "errors": [{"field": "at", "value": "x", "detail": "no instant"}]}
    assert list(RefusedError(422, other).lines()) == ["unknown customer", "  at = 'x': no instant"]
