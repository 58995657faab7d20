"""Draw docs/invoice.png: the first page of the example invoice. Run: python -m tools.invoice_picture."""

from __future__ import annotations

from tallystick.render.pdf import pictures
from tests.unit.render.example import invoice
from tools.tree import ROOT

PIXELS_PER_INCH = 100


def main() -> None:
    """Write the picture; the same example gives the same bytes."""
    (ROOT / "docs" / "invoice.png").write_bytes(pictures(invoice(), PIXELS_PER_INCH)[0])


if __name__ == "__main__":
    main()
