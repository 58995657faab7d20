"""Streams with their truths: those kept in tests/streams, and new ones of the generator in ../shared where that is there."""

from __future__ import annotations

import gzip
import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "tests" / "streams"
SAMPLES = ROOT.parent / "shared" / "samples"
Row = dict[str, Any]


def kept(scenario: str) -> tuple[Row, Row]:
    """A stream of tests/streams and its truth."""
    found = json.loads(gzip.decompress((KEPT / f"{scenario}.json.gz").read_bytes()))
    return found["stream"], found["truth"]


def generated(scenario: str, seed: int, *options: str) -> tuple[Row, Row]:
    """A new stream of the generator, and its truth."""
    with _modules() as (generate, truths):
        arguments = generate.arguments().parse_args(["--out", ".", "--scenario", scenario, "--seed", str(seed), *options])
        batches, events, facts, zones = generate.build(arguments)
        stream = {"samples": [generate.plain(batch) for batch in batches], "lifecycle": events, "sizes": facts}
        truth = truths.heading(scenario, seed, zones) | truths.truth(stream["samples"], events, facts, zones)
    return stream, truth


@contextmanager
def _modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The generator's modules, whose plain names are gone again afterwards."""
    before, bytecode = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(SAMPLES))
    sys.dont_write_bytecode = True
    try:
        yield importlib.import_module("generate"), importlib.import_module("truth")
    finally:
        sys.path.remove(str(SAMPLES))
        sys.dont_write_bytecode = bytecode
        for name in set(sys.modules) - before:
            if str(SAMPLES) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
