"""The small streams of tests/streams, each with its truth, as folders of the generator's files; and usage beside such a truth."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STREAMS = Path(__file__).resolve().parents[2] / "tests" / "streams"
BY_HOUR = ("samples", "memory_peak_bytes")
Row = Mapping[str, Any]


def unpack(scenario: str, folder: Path) -> Path:
    """A kept stream as a folder of the generator's files."""
    kept = json.loads(gzip.decompress((STREAMS / f"{scenario}.json.gz").read_bytes()))
    for name, lines in kept["stream"].items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "truth.json").write_text(json.dumps(kept["truth"]))
    (folder / "customers.json").write_text(json.dumps(kept["truth"]["customers"]))
    return folder


def usage_differences(truth: Row, usage: Row) -> list[str]:
    """One line per usage hour or day that is missing, extra or different: all that `generate.py --check` compares."""
    hours = _differences("hour", _keyed(truth["usage"], "hour_start_ns", *BY_HOUR), _keyed(usage["usage"], "hour_start_ns", *BY_HOUR))
    return [*hours, *_differences("day", _keyed(truth["days"], "date"), _keyed(usage["days"], "date"))]


def _differences(noun: str, want: Mapping[tuple[str, str], Row], have: Mapping[tuple[str, str], Row]) -> list[str]:
    return [
        f"{noun} {' '.join(key)}: expected {want.get(key)}, found {have.get(key)}"
        for key in sorted(want.keys() | have.keys())
        if want.get(key) != have.get(key)
    ]


def _keyed(rows: Sequence[Row], key: str, *told: str) -> dict[tuple[str, str], Row]:
    """Rows in which anything was used, by resource and time; a meter of 0 is as good as none where nothing was declared."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        meters = {name: amount for name, amount in row["meters"].items() if amount != "0"}
        estimated = {name: amount for name, amount in row["estimated"].items() if amount != "0"}
        if meters:
            found[row["resource_id"], str(row[key])] = {
                "customer_id": row["customer_id"],
                "meters": meters,
                "estimated": estimated,
                **{name: row[name] for name in told},
            }
    return found
