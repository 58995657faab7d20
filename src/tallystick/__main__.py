"""`python -m tallystick` is `tally`."""

from __future__ import annotations

from tallystick.app.cli.main import run

if __name__ == "__main__":
    run()
