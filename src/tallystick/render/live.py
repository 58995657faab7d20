"""The live table of `tally up`: resources and what they use and cost, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

SHOWN_RESOURCES = 30
MIB, GIB, HOUR_NS = 2**20, 2**30, 3600 * 10**9
UNKNOWN = "-"


def live_table(status: Mapping[str, Any]) -> Group:
    """What `GET /v1/status` tells, as a table: resources, cores and memory now, usage and cost of the month, coverage, samples.

    `samples_sent` and `samples_waiting` are the agent's own counts since it started; None: it has not told them yet.
    """
    # Narrow enough that 80 columns show every figure whole: only names are folded.
    network = any(one["network_tx_bytes"] is not None for one in status["resources"])
    table = Table(
        title=f"usage and cost since {status['month_start']}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    table.add_column("resource", overflow="fold", min_width=9)
    for name in ("cores", "memory", "core-h", "GiB-h", *(("GiB out",) if network else ()), "cost", "covered"):
        table.add_column(name, justify="right", no_wrap=True)
    ordered = sorted(status["resources"], key=lambda one: (not one["active"], -(one["cpu_used_core_ns"] or 0), one["resource_id"]))
    for one in ordered[:SHOWN_RESOURCES]:
        table.add_row(*_row(one, network=network), style="" if one["active"] else "dim")
    left = len(ordered) - SHOWN_RESOURCES
    return Group(table, *([f"and {left} more resources"] if left > 0 else []), *_closing(status))


def _row(one: Mapping[str, Any], *, network: bool) -> tuple[str, ...]:
    return (
        one["name"] or one["resource_id"],
        _scaled(one["millicores_now"], 1000, 2),
        _scaled(one["memory_bytes_now"], MIB, 1, " MiB"),
        _scaled(one["cpu_used_core_ns"], HOUR_NS, 4),
        _scaled(one["memory_used_byte_ns"], GIB * HOUR_NS, 4),
        *((_scaled(one["network_tx_bytes"], GIB, 3),) if network else ()),
        _cost(one["cost_micros"], one["cost"]["currency"]) if one["cost"] else one["cost_reason"] or UNKNOWN,
        _covered(one),
    )


def _closing(status: Mapping[str, Any]) -> Iterable[str]:
    active = sum(1 for one in status["resources"] if one["active"])
    cost = " + ".join(_cost(micros, currency) for currency, micros in status["costs_micros"].items()) or "0"
    yield f"{active} of {len(status['resources'])} resources running, cost so far this month: {cost}"
    yield f"{_count(status['samples_sent'])} samples sent, {_count(status['samples_waiting'])} waiting"
    if status["hours_waiting"]:
        yield f"{status['hours_waiting']} usage hours are being computed"


def _covered(one: Mapping[str, Any]) -> str:
    """The measured share of the time that it was there, in percent; nothing is rounded up to 100 %."""
    whole = one["measured_ns"] + one["estimated_ns"] + one["unknown_ns"]
    return UNKNOWN if not whole else _scaled(one["measured_ns"] * 100, whole, 2, " %")


def _scaled(value: int | None, one: int, digits: int, unit: str = "") -> str:
    """An integer in units of `one`, cut to so many decimals; a dash where nothing is known."""
    if value is None:
        return UNKNOWN
    whole, rest = divmod(value * 10**digits // one, 10**digits)
    return f"{whole}.{rest:0{digits}d}{unit}"


def _cost(micros: int, currency: str) -> str:
    """A cost in millionths to six decimals: even a machine that costs a cent an hour shows something within seconds."""
    return f"{_scaled(micros, 10**6, 6)} {currency}"


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"
