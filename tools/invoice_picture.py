"""Draw docs/invoice.png: the first page of the example invoice. Run: python tools/invoice_picture.py."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIXELS_PER_INCH = 100


def main() -> None:
    """Write the picture; the same example gives the same bytes."""
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    from tallystick.render.pdf import pictures
    from tests.unit.render.example import invoice

    (ROOT / "docs" / "invoice.png").write_bytes(pictures(invoice(), PIXELS_PER_INCH)[0])


if __name__ == "__main__":
    main()
