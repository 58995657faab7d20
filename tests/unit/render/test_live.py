"""The live table: in a terminal of 80 columns every figure is whole."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tallystick.render.live import live_table

FIGURES = ("123.45", "130.0 MiB", "1000.0000", "0.0042", "0.001234 USD", "100.00 %")


def status(network: int | None) -> dict[str, Any]:
    one = {
        "resource_id": "h:system.slice/a-service-with-a-long-name.service",
        "name": "",
        "active": True,
        "millicores_now": 123_450,
        "memory_bytes_now": 130 * 2**20,
        "cpu_used_core_ns": 1000 * 3600 * 10**9,
        "memory_used_byte_ns": 2**30 * 3600 * 10**9 * 42 // 10_000 + 1,
        "network_tx_bytes": network,
        "cost": {"amount": "0.00", "currency": "USD"},
        "cost_micros": 1234,
        "cost_reason": "",
        "measured_ns": 1,
        "estimated_ns": 0,
        "unknown_ns": 0,
    }
    return {
        "month_start": "2026-11-01T00:00:00Z",
        "resources": [one],
        "costs_micros": {"USD": 1234},
        "samples_sent": 1000,
        "samples_waiting": None,
        "hours_waiting": 0,
    }


@pytest.mark.parametrize("network", [None, 2**30])
def test_eighty_columns_show_every_figure(network: int | None) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=80)
    console.print(live_table(status(network)))
    shown = screen.getvalue()
    for figure in (*FIGURES, *(("1.000",) if network else ()), "1,000 samples sent, unknown waiting"):
        assert figure in shown, shown
