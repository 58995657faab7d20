"""`tally usage` and `tally gaps`: what was measured, and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from tallystick.app.cli.client import Json, connect
from tallystick.app.cli.nouns.arguments import Limit, instant
from tallystick.app.cli.output import AsJson, print_json, print_table

Resource = Annotated[str | None, typer.Option("--resource", help="Only of this resource.")]
Customer = Annotated[str | None, typer.Option("--customer", help="Only of this customer.")]
From = Annotated[str | None, typer.Option("--from", help="ISO 8601, a day or a month; included.")]
Until = Annotated[str | None, typer.Option("--to", help="ISO 8601, a day or a month; not included.")]


Percentile = Annotated[
    str | None, typer.Option(help="Instead: this percentile of five-minute rates of network and CPU, over at most 31 days.")
]


class By(StrEnum):
    """How long a row of usage is."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


SHOWN = ("cpu.used", "memory.used", "disk.io", "network.tx", "uptime")
"""The meters that a table shows; `--json` has all."""

LABEL = "label:"
VIEWED = {
    "resource": "resource_id",
    "cores": "cpu_average",
    "p95": "cpu_p95",
    "most": "cpu_maximum",
    "memory": "memory_average_bytes",
    "peak": "memory_maximum_bytes",
    "disk": "disk_average_bytes",
    "network": "network_bytes",
    "disk I/O": "disk_io_bytes",
    "vCPU-hours": "vcpu_hours",
    "samples": "samples",
    "hours up": "uptime_hours",
    "cost": "cost_estimated",
    "billed": "cost_billed",
    "invoices": "invoices",
}
"""The columns of a view."""

HEADINGS = {
    "cpu.used": ("core-hours", 3600 * 10**9),
    "memory.used": ("GiB-hours", 3600 * 10**9 * 2**30),
    "disk.io": ("disk GiB", 2**30),
    "network.tx": ("out GiB", 2**30),
    "uptime": ("hours up", 3600 * 10**9),
}


OF_MINUTES = {
    "cpu.used": ("core-seconds", 10**9),
    "memory.used": ("GiB-seconds", 10**9 * 2**30),
    "disk.io": ("disk MiB", 2**20),
    "network.tx": ("out MiB", 2**20),
    "uptime": ("seconds up", 10**9),
}
"""The same for rows that are too short for those units."""

UNMEASURED = {"estimated s": "estimated_ns", "unknown s": "unknown_ns"}
"""The columns of time that was not measured."""


def usage(
    resource: Resource = None,
    customer: Customer = None,
    start: From = None,
    until: Until = None,
    by: Annotated[str, typer.Option(metavar="WHAT", help="A row for each: minute, hour, day, month, or label:NAME.")] = By.HOUR.value,
    view: Annotated[bool, typer.Option("--view", help="Averages, largest values and totals; of days and months also the cost.")] = False,
    percentile: Percentile = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Show usage, newest first: exact in JSON, to three decimals in the table.

    \b
    Example:
        tally usage --resource vm-1 --from 2026-03-10 --by day
        tally usage --resource vm-1 --from 2026-03-10T08:00Z --to 2026-03-10T09:00Z --by minute
        tally usage --customer acme --from 2026-03 --by day --view
        tally usage --customer acme --from 2026-03 --to 2026-04 --by label:team
        tally usage --customer acme --from 2026-03 --to 2026-04 --percentile 95
    """
    asked = {"resource_id": resource, "customer_id": customer, "from": instant(start), "until": instant(until)}
    if percentile is not None:
        show_percentiles(connect().get("/v1/usage/percentiles", percentile=percentile, **asked), as_json=as_json)
        return
    if by.startswith(LABEL):
        show_labels(connect().get("/v1/usage/labels", name=by.removeprefix(LABEL), **asked)["items"], as_json=as_json)
        return
    if by not in list(By):
        raise typer.BadParameter(f"{by!r} is none of {', '.join(By)}, label:NAME", param_hint="--by")
    if view and by == By.MINUTE:
        raise typer.BadParameter("'minute' has no view: it goes with hour, day or month", param_hint="--by")
    if view:
        show_views(list(connect().pages("/v1/usage/views", limit, by=by, **asked)), by, as_json=as_json)
        return
    pages = list(connect().listings(f"/v1/usage/{by}s", limit, **asked))
    show_rows([row for page in pages for row in page["items"]], by, as_json=as_json)
    deleted = {each["resource_id"]: each["until"] for page in pages for each in page.get("deleted", ())}
    for name, at in deleted.items():
        typer.echo(f"{name}: what was sent before {at} is deleted by age; its hours are kept longer (--by hour)", err=True)


def show_rows(rows: Sequence[Json], by: str, *, as_json: bool) -> None:
    """A row for each minute, hour, day or month of a resource, with the time that is not measured where there is such."""
    if as_json:
        print_json(rows)
        return
    headings = OF_MINUTES if by == By.MINUTE else HEADINGS
    shown = [
        {"resource": row["resource_id"], "at": row.get(by) or row.get("date"), **amounts(row, headings), **unmeasured(row)} for row in rows
    ]
    right = [headings[meter][0] for meter in SHOWN] + [name for name in UNMEASURED if any(row[name] for row in shown)]
    print_table("usage", shown, {"resource": "resource", by: "at", **dict(zip(right, right, strict=True))}, right=right)
    if placed := sum(any(each.get("evenly") for each in row["meters"].values()) for row in rows):
        typer.echo(f"{placed} of these were told by records or batches that reach out of them, placed evenly over their time", err=True)
    if not rows and by != By.MINUTE and (waiting := connect().get("/v1/status")["hours_waiting"]):
        typer.echo(f"{waiting} hours wait to be computed: what was sent for them is not shown yet")


def show_labels(found: Sequence[Json], *, as_json: bool) -> None:
    """A row for each value of a label; without the label it is the empty one."""
    if as_json:
        print_json(found)
        return
    shown = [{"value": row["value"] or "(none)", "resources": row["resources"], **amounts(row)} for row in found]
    headings = [HEADINGS[meter][0] for meter in SHOWN]
    columns = {"value": "value", "resources": "resources", **dict(zip(headings, headings, strict=True))}
    print_table("usage by label", shown, columns, right=["resources", *headings])


def show_views(found: Sequence[Json], by: str, *, as_json: bool) -> None:
    """A row for each hour, day or month, as far as it was measured: of a month there are no largest averages."""
    if as_json:
        print_json(found)
        return
    shown = [{"at": row["date"], **{key: viewed(row[key]) for key in VIEWED.values()}} for row in found]
    told = {heading: key for heading, key in VIEWED.items() if any(row[key] for row in shown)}
    print_table("usage", shown, {"resource": "resource_id", by: "at", **told}, right=[heading for heading in told if heading != "invoices"])


def viewed(value: Json) -> str:
    """A value of a view: a rational to three decimals, money with its currency, a list in one line."""
    match value:
        case None:
            return ""
        case {"decimal": str(decimal)}:
            whole, _, rest = decimal.partition(".")
            return f"{whole}.{rest[:3]:0<3}"
        case {"amount": amount, "currency": currency}:
            return f"{amount} {currency}"
        case list():
            return ", ".join(value)
    return str(value)


def show_percentiles(found: Json, *, as_json: bool) -> None:
    """Percentiles of network and CPU, one row each; a row without numbers was not measured."""
    if as_json:
        print_json(found)
        return
    rows = []
    for what in ("network", "cpu"):
        told = found[what]
        numbers = {name: f"{told[name]['decimal']} {told['unit']}" for name in ("percentile", "maximum", "average")} if told else {}
        rows.append({"of": what, "slots": f"{told['slots'] if told else 0} of {found['slots']}", **numbers})
    columns = {"of": "of", f"p{found['percentile']}": "percentile", "largest": "maximum", "average": "average", "slots": "slots"}
    print_table(f"five-minute rates, {found['from']} to {found['until']}", rows, columns, right=["slots"])


def unmeasured(row: Json) -> dict[str, str]:
    """The seconds of a row that are estimated, and those that nothing is known of; nothing where there are none."""
    return {name: thousandths(row[field], 10**9) if row[field] else "" for name, field in UNMEASURED.items()}


def amounts(row: Json, headings: Mapping[str, tuple[str, int]] = HEADINGS) -> dict[str, str]:
    """The meters of a row that a table shows, in units for people; nothing for what nothing measured."""
    shown = {}
    for meter in SHOWN:
        heading, divisor = headings[meter]
        found = row["meters"].get(meter)
        shown[heading] = "" if found is None else thousandths(found["total"], divisor)
    return shown


def thousandths(amount: int, divisor: int) -> str:
    """An amount divided, cut to three decimals: 5400 by 3600 is 1.500."""
    whole = amount * 1000 // divisor
    return f"{whole // 1000}.{whole % 1000:03d}"


class GapStates(StrEnum):
    """Which gaps are shown."""

    LIVE = "live"
    OPEN = "open"
    CLOSED = "closed"
    STANDING = "standing"
    ALL = "all"


def gaps(
    resource: Resource = None,
    customer: Customer = None,
    start: From = None,
    until: Until = None,
    state: Annotated[
        GapStates, typer.Option(help="Those that go on, that stand, that late data closed; the first two, or all.")
    ] = GapStates.ALL,
    missing: Annotated[bool, typer.Option("--missing", help="Show the numbers of batches that never came instead.")] = False,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Show silences: from when until when nothing was measured, why, how it was filled, and whether late data closed it.

    \b
    Example:
        tally gaps --customer acme --from 2026-03-01
        tally gaps --missing
    """
    if missing:
        if customer or start or until or state is not GapStates.ALL:
            raise typer.BadParameter("goes with --resource only: what never came has no customer and no time", param_hint="--missing")
        rows = list(connect().pages("/v1/missing-sequences", limit, resource_id=resource))
        named = {"resource": "resource_id", "boot": "boot_id", "spool": "spool_id", "first": "first", "last": "last", "since": "noticed_at"}
        print_json(rows) if as_json else print_table("missing batches", rows, named, right=["first", "last"])
        return
    asked = {"resource_id": resource, "customer_id": customer, "from": instant(start), "until": instant(until), "state": state.value}
    rows = list(connect().pages("/v1/gaps", limit, **asked))
    if as_json:
        print_json(rows)
        return
    shown = [{**row, "until": row["until"] or "goes on", "closed": row["closed_at"] and f"late data, {row['closed_at']}"} for row in rows]
    columns = {
        "resource": "resource_id",
        "from": "from",
        "until": "until",
        "cause": "cause",
        "filled": "filled",
        "estimated %": "estimated_percent",
        "closed by": "closed",
    }
    print_table("gaps", shown, columns, right=["estimated %"])
