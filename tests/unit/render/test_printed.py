from __future__ import annotations

from fractions import Fraction

import pytest

from tallystick.model.billing.invoices import Share
from tallystick.model.billing.money import Money
from tallystick.model.instants import parse_iso
from tallystick.render.printed import instant_text, money_text, period_text, plain, price_text, quantity_text, share_texts


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (3420, "USD", "34.20"),
        (123456789, "EUR", "1,234,567.89"),
        (1235, "JPY", "1,235"),
        (-5, "EUR", "-0.05"),
        (1, "KWD", "0.001"),
        (0, "CLF", "0.0000"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(minor: int, currency: str, shown: str) -> None:
    assert money_text(Money(minor=minor, currency=currency)) == shown


@pytest.mark.parametrize(
    ("price", "currency", "shown"),
    [
        ("0.0000125", "USD", "0.0000125"),
        ("5", "USD", "5.00"),
        ("5", "JPY", "5"),
        ("0.000000000001", "EUR", "0.000000000001"),
        ("1234.5", "EUR", "1,234.50"),
    ],
)
def test_a_price_is_printed_whole(price: str, currency: str, shown: str) -> None:
    assert price_text(Fraction(price), currency) == shown


@pytest.mark.parametrize(
    ("quantity", "shown"),
    [(Fraction(1872), "1,872"), (Fraction(1, 3), "0.333333"), (Fraction(2, 3), "0.666667"), (Fraction(0), "0"), (Fraction(-7, 2), "-3.5")],
)
def test_a_quantity_has_six_decimals(quantity: Fraction, shown: str) -> None:
    assert quantity_text(quantity) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        ((0, 0, 0), ("–", "–", "–")),
        ((1, 0, 0), ("100.00 %", "0.00 %", "0.00 %")),
        ((10**9, 1, 0), (">99.99 %", "<0.01 %", "0.00 %")),
        ((1, 1, 1), ("33.33 %", "33.33 %", "33.33 %")),
        ((0, 0, 5), ("0.00 %", "0.00 %", "100.00 %")),
    ],
)
def test_a_share_never_hides_a_part(share: tuple[int, int, int], shown: tuple[str, str, str]) -> None:
    measured, estimated, unknown = share
    assert share_texts(Share(measured_ns=measured, estimated_ns=estimated, unknown_ns=unknown)) == shown


@pytest.mark.parametrize(
    ("start", "end", "zone", "shown"),
    [
        ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", "Europe/Berlin", "2026-03-01 – 2026-03-31"),
        ("2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z", "UTC", "2026-03-10"),
        ("2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z", "America/Sao_Paulo", "2018-11-04"),
        (
            "2026-03-10T08:00:00Z",
            "2026-03-10T08:01:02.000000005Z",
            "UTC",
            "2026-03-10 08:00:00 +00:00 – 2026-03-10 08:01:02.000000005 +00:00",
        ),
        ("2026-03-10T00:00:00Z", "2026-03-10T00:00:00Z", "UTC", "2026-03-10 00:00:00 +00:00 – 2026-03-10 00:00:00 +00:00"),
    ],
)
def test_whole_days_are_dates_and_the_rest_are_instants(start: str, end: str, zone: str, shown: str) -> None:
    assert period_text(parse_iso(start), parse_iso(end), zone) == shown


def test_an_instant_says_its_offset() -> None:
    assert instant_text(parse_iso("2026-10-25T01:30:00.5Z"), "Europe/Berlin") == "2026-10-25 02:30:00.5 +01:00"
    assert instant_text(parse_iso("2026-01-01T00:00:00Z"), "Asia/Kathmandu") == "2026-01-01 05:45:00 +05:45"


def test_control_characters_become_blanks() -> None:
    assert plain("a\x00b\tc\n\nd\u2028e") == "a b c d e"
