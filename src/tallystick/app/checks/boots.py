"""Boots: the extent that is kept of each is that of its segments."""

from __future__ import annotations

from tallystick.app.checks.subjects import CheckedResource
from tallystick.model.instants import iso
from tallystick.store.checking.usage import BootRow

NAMES = ("first sample", "last sample", "interval of the first sample", "interval of the last sample")


def check_resource(of: CheckedResource) -> None:
    """The first and last sample of each boot, and the intervals declared there."""
    for boot in of.store.stored_usage.boots(of.place, of.key, of.tx):
        of.report.count("boots")
        _compare(of, boot)


def _compare(of: CheckedResource, boot: BootRow) -> None:
    for name, told, found in zip(NAMES, boot.told, boot.found, strict=True):
        # Segments that are gone are told of by the row alone.
        is_gone = boot.sealed_until_ns is not None and (found is None or name.endswith("first sample"))
        if told != found and not is_gone:
            of.report.differ(
                f"boot {of.id} {boot.boot_id or '(none)'}: {name} stored {_shown(name, told)}, its segments {_shown(name, found)}"
            )


def _shown(name: str, value: int | None) -> str:
    if value is None:
        return "none"
    return f"{value} ns" if name.startswith("interval") else iso(value)
