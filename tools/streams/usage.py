"""Usage hours, days, gaps and findings of a server, page by page over REST, in the shape of truth.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tallystick.app.cli.client import Client
from tallystick.model.instants import parse_iso

ALL = 10**9
"""No limit: every page is read."""
METERS = ("cpu.used", "memory.used", "disk.read", "disk.write", "disk.io", "disk.ops", "network.rx", "network.tx", "network.io", "uptime")
ALLOCATED = ("cpu.allocated", "memory.allocated", "gpu.allocated", "disk.allocated")
ESTIMATED = ("memory.used", "uptime", "cpu.allocated", "memory.allocated", "gpu.allocated")

Row = Mapping[str, Any]


def everything(client: Client) -> dict[str, list[dict[str, Any]]]:
    """All usage hours, days, gaps and findings that the server has.

    Hours are asked for as far as each resource has days: a stream that lasts months would list every hour since each of the others
    fell silent, hundreds of thousands without a meter.
    """
    days = list(client.pages("/v1/usage/days", ALL))
    return {
        "usage": [hour(item) for item in _hours(client, days) if item["meters"]],
        "days": [day(item) for item in days],
        "gaps": [gap(item) for item in client.pages("/v1/gaps", ALL, state="open")],
        "findings": [finding(item) for item in client.pages("/v1/findings", ALL)],
    }


def _hours(client: Client, days: Sequence[Row]) -> Iterator[Row]:
    """The hours of every resource that has a day, up to the end of its last one."""
    ends: dict[str, str] = {}
    for each in days:
        ends[each["resource_id"]] = max(ends.get(each["resource_id"], ""), each["end"], key=lambda text: parse_iso(text) if text else 0)
    for resource_id, until in sorted(ends.items()):
        yield from client.pages("/v1/usage/hours", ALL, resource_id=resource_id, until=until)


def hour(item: Row) -> dict[str, Any]:
    """One usage hour."""
    peak = {"samples": item["samples"], "memory_peak_bytes": str(item["memory_peak_bytes"] or 0)}
    return {**_owner(item), "hour_start_ns": parse_iso(item["hour"]), **_amounts(item), **peak}


def day(item: Row) -> dict[str, Any]:
    """One usage day of the customer's zone. Samples and peaks are kept by UTC hour, which may lie in two local days: they are left out."""
    bounds = {"day_start_ns": parse_iso(item["start"]), "day_end_ns": parse_iso(item["end"])}
    return {**_owner(item), "date": item["date"], **bounds, **_amounts(item)}


def gap(item: Row) -> dict[str, Any]:
    """One gap."""
    return {
        "resource_id": item["resource_id"],
        "from_ns": parse_iso(item["from"]),
        "until_ns": parse_iso(item["until"]),
        "filled": item["filled"],
    }


def missing(client: Client) -> list[dict[str, Any]]:
    """Every number that never came, one a row."""
    return [
        {"resource_id": item["resource_id"], "boot_id": item["boot_id"], "spool": item["spool_id"], "sequence": number}
        for item in client.pages("/v1/missing-sequences", ALL)
        for number in range(item["first"], item["last"] + 1)
    ]


def finding(item: Row) -> dict[str, Any]:
    """One finding of metering."""
    return {
        "resource_id": item["resource_id"],
        "boot_id": item["boot_id"],
        "at_ns": parse_iso(item["at"]),
        "code": item["code"],
        "counters": item["counters"],
    }


def _owner(item: Row) -> dict[str, Any]:
    return {"customer_id": item["customer_id"], "resource_id": item["resource_id"]}


def _amounts(item: Row) -> dict[str, Any]:
    """Meters as integer texts, with the estimated parts.

    The streams measure every column, so that a meter which an hour does not have (a disk that nobody used) is 0 in
    truth.json's shape; the allocated ones are there only where sizes were declared.
    """
    told = item["meters"]
    names = [*METERS, *(name for name in ALLOCATED if name in told)]
    return {
        "meters": {name: str(told[name]["total"]) if name in told else "0" for name in names},
        "estimated": {name: str(told[name]["estimated"]) if name in told else "0" for name in ESTIMATED if name in names},
    }
