"""The text of invoice numbers: prefix, fiscal year, counter. The counter itself is a row of the store (billing.md, Invoices)."""

from __future__ import annotations

import re

from tallystick.model.billing.contracts import Seller
from tallystick.model.calendar import local_date

PREFIX = re.compile(r"[A-Z0-9]{1,12}(-[A-Z0-9]{1,12})*")


def fiscal_year(seller: Seller, at_ns: int) -> int:
    """The fiscal year of an instant, in the seller's zone, named after the calendar year in which it begins."""
    today = local_date(at_ns, seller.time_zone)
    return today.year if today.month >= seller.fiscal_year_month else today.year - 1


def number_text(prefix: str, year: int, counter: int) -> str:
    """`INV-2026-000042`: six digits or more.

    Raises:
        ValueError: a prefix that is not of capitals, digits and single hyphens, or a counter below 1.

    """
    if not PREFIX.fullmatch(prefix):
        raise ValueError(f"number prefix {prefix!r} is not of capitals, digits and single hyphens, such as INV")
    if counter < 1:
        raise ValueError(f"counter {counter} is below 1")
    return f"{prefix}-{year}-{counter:06d}"
