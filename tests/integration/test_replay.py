"""Small streams through a real server: hours, days, outcomes, gaps and findings are the true ones, on both stores."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.stores import postgresql_database
from tools.replay import Way, replay

BY_HOUR = ("samples", "memory_peak_bytes")
STREAMS = Path(__file__).resolve().parents[1] / "streams"


def unpacked(scenario: str, folder: Path) -> Path:
    """A kept stream as a folder of the generator's files."""
    kept = json.loads(gzip.decompress((STREAMS / f"{scenario}.json.gz").read_bytes()))
    for name, lines in kept["stream"].items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "truth.json").write_text(json.dumps(kept["truth"]))
    (folder / "customers.json").write_text(json.dumps(kept["truth"]["customers"]))
    return folder


def keyed(rows: list[dict[str, Any]], key: str, *told: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows in which anything was used, by resource and time; a meter of 0 is as good as none where nothing was declared."""
    found = {}
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


def check(scenario: str, folder: Path, way: Way) -> None:
    samples, out = unpacked(scenario, folder), folder / "usage.json"
    assert replay(samples, out, way) == []
    truth, usage = json.loads((samples / "truth.json").read_text()), json.loads(out.read_text())
    assert keyed(usage["usage"], "hour_start_ns", *BY_HOUR) == keyed(truth["usage"], "hour_start_ns", *BY_HOUR)
    assert keyed(usage["days"], "date") == keyed(truth["days"], "date")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("scenario", ["hostile", "repeats", "restart", "timezone"])
def test_what_a_server_makes_of_a_stream_is_its_truth(scenario: str, tmp_path: Path) -> None:
    check(scenario, tmp_path, Way(kills=3))


@pytest.mark.timeout(180)
def test_postgresql_makes_the_same_of_it(tmp_path: Path) -> None:
    with postgresql_database() as url:
        check("restart", tmp_path, Way(store_url=url, servers=3, kills=2))
