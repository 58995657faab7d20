"""Writes the small streams of this folder anew from the generator in ../shared: python -m tests.streams.record"""

from __future__ import annotations

import gzip
import json

from tests.laws.generated import KEPT, generated

SEED = 5
SCENARIOS = {
    "steady": ("2", "30000", "0.3"),
    "busy": ("3", "30000", "0.3"),
    "idle": ("3", "30000", "0.3"),
    "restart": ("27", "40000", "0.25"),
    "gaps": ("6", "6000", "0.35"),
    "late": ("4", "15000", "0.4"),
    "repeats": ("4", "20000", "0.4"),
    "conflicts": ("3", "20000", "0.5"),
    "migration": ("5", "20000", "0.3"),
    "huge": ("3", "60000", "0.2"),
    "irregular": ("4", "60000", "0.2"),
    "timezone": ("2", "900000", "1"),
    "hostile": ("3", "2000", "0.34"),
}
"""Resources, interval in ms, hours."""


def main() -> None:
    """One compressed file a scenario."""
    for scenario, (resources, interval_ms, hours) in SCENARIOS.items():
        options = ("--resources", resources, "--interval-ms", interval_ms, "--hours", hours)
        stream, truth = generated(scenario, SEED, *options)
        stream["lifecycle"] = [event for event in stream["lifecycle"] if event["kind"] != "heartbeat"]
        text = json.dumps({"stream": stream, "truth": truth}, separators=(",", ":"))
        (KEPT / f"{scenario}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(f"{scenario}: {len(truth['usage'])} hours, {(KEPT / f'{scenario}.json.gz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
