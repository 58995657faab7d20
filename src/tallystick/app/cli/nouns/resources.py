"""`tally resource`: what is metered, whose it is and how large."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tallystick.app.cli.client import connect, segment
from tallystick.app.cli.nouns.arguments import Limit, instant, labels_of, size
from tallystick.app.cli.output import AsJson, fail, print_json, print_record, print_table

app = typer.Typer(help="Resources: what is metered, whose it is and how large.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = {
    "id": "id",
    "name": "name",
    "customer": "customer_id",
    "kind": "kind",
    "region": "region",
    "vCPUs": "vcpus",
    "memory bytes": "memory_bytes",
    "disk bytes": "disk_bytes",
    "labels": "labels",
}
NUMBERS = ("vCPUs", "memory bytes", "disk bytes")

Resource = Annotated[str, typer.Argument(metavar="RESOURCE", help="Its id, as the agent reports it.")]
Customer = Annotated[str | None, typer.Option("--customer", help="Whose it is.")]
Name = Annotated[str | None, typer.Option(help="A name for people.")]
Kind = Annotated[str | None, typer.Option(help="What it is: vm, container, ...")]
Region = Annotated[str | None, typer.Option(help="Where it is.")]
Vcpus = Annotated[int | None, typer.Option(min=0, help="vCPUs allocated.")]
Memory = Annotated[str | None, typer.Option(help="Memory allocated: 4GiB.")]
Disk = Annotated[str | None, typer.Option(help="Disk allocated: 50GiB.")]
Gpus = Annotated[int | None, typer.Option(min=0, help="GPUs allocated.")]
Label = Annotated[list[str] | None, typer.Option(help="NAME=VALUE; more than once for more.")]
At = Annotated[str | None, typer.Option("--at", help="The instant from which it holds (ISO 8601); without it: now.")]


def declared(**named: object) -> dict[str, Any]:
    """The facts that were named, as the server reads them: what was not named is left out and stays as it is."""
    facts: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    for field in ("memory", "disk"):
        if field in facts:
            facts[f"{field}_bytes"] = size(facts.pop(field))
    if "label" in facts:
        facts["labels"] = labels_of(facts.pop("label"))
    if "at" in facts:
        facts["at"] = instant(facts["at"])
    return facts


@app.command()
def create(
    resource_id: Resource,
    customer: Customer = None,
    name: Name = None,
    kind: Kind = None,
    region: Region = None,
    vcpus: Vcpus = None,
    memory: Memory = None,
    disk: Disk = None,
    gpus: Gpus = None,
    label: Label = None,
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Create a resource, with its customer and sizes. A size that nobody gives is unpriced, never 0.

    \b
    Example:
        tally resource create vm-1 --customer acme --vcpus 2 --memory 4GiB --disk 50GiB
    """
    facts = declared(
        customer_id=customer,
        name=name,
        kind=kind,
        region=region,
        vcpus=vcpus,
        memory=memory,
        disk=disk,
        gpus=gpus,
        label=label,
        at=at,
    )
    answer = connect().post("/v1/resources", {"id": resource_id, **facts})
    print_json(answer) if as_json else print_record(answer, COLUMNS)


@app.command("set")
def set_(
    resource_id: Resource,
    customer: Customer = None,
    name: Name = None,
    kind: Kind = None,
    region: Region = None,
    vcpus: Vcpus = None,
    memory: Memory = None,
    disk: Disk = None,
    gpus: Gpus = None,
    label: Label = None,
    at: At = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="It is gone: this ends its sizes and its disk.")] = False,
    as_json: AsJson = False,
) -> None:
    """Declare what holds of a resource from an instant on: a customer, a size, a label.

    \b
    Example:
        tally resource set vm-1 --memory 8GiB --at 2026-03-10T08:00:00Z
    """
    facts = declared(
        customer_id=customer,
        name=name,
        kind=kind,
        region=region,
        vcpus=vcpus,
        memory=memory,
        disk=disk,
        gpus=gpus,
        label=label,
        at=at,
        deleted=deleted or None,
    )
    if not set(facts) - {"at"}:
        fail("nothing is declared: name a size, a customer or a label, as in --memory 8GiB", code=2)
    answer = connect().post(f"/v1/resources/{segment(resource_id)}/facts", facts)
    print_json(answer) if as_json else print_record(answer, COLUMNS)


@app.command("list")
def list_(
    customer: Customer = None,
    unassigned: Annotated[bool, typer.Option("--unassigned", help="Only those that nobody is billed for.")] = False,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List resources, newest first.

    \b
    Example:
        tally resource list --unassigned
    """
    resources = list(connect().pages("/v1/resources", limit, customer_id=customer, unassigned=unassigned or None))
    print_json(resources) if as_json else print_table("resources", resources, COLUMNS, right=NUMBERS)


@app.command()
def show(resource_id: Resource, as_json: AsJson = False) -> None:
    """Show a resource and what was declared of it.

    \b
    Example:
        tally resource show vm-1
    """
    answer = connect().get(f"/v1/resources/{segment(resource_id)}")
    if as_json:
        print_json(answer)
        return
    print_record(answer, COLUMNS)
    facts = answer.get("facts") or []
    if facts:
        columns = {"from": "at", "by": "origin", "customer": "customer_id", **{name: COLUMNS[name] for name in NUMBERS}, "gone": "deleted"}
        print_table("declared", facts, columns, right=NUMBERS)


outages = typer.Typer(help="When resources were not available.", no_args_is_help=True, rich_markup_mode=None)

OUTAGE = {
    "id": "id",
    "resources": "resources",
    "region": "region",
    "labels": "labels",
    "start": "start",
    "end": "end",
    "cause": "cause",
    "reason": "reason",
    "withdrawn": "withdrawn_at",
    "why": "withdrawal",
}
Why = Annotated[str, typer.Option("--reason", help="Why; customers can read it, and it stands in the audit log.")]


@outages.command("declare")
def declare_outage(
    start: Annotated[str, typer.Option("--from", help="ISO 8601, or a day; included.")],
    until: Annotated[str, typer.Option("--to", help="ISO 8601, or a day; not included.")],
    reason: Why,
    named: Annotated[list[str] | None, typer.Argument(metavar="[RESOURCE]...", help="What was not available.")] = None,
    region: Annotated[str, typer.Option(help="Without RESOURCE: all that were in this region.")] = "",
    label: Annotated[list[str] | None, typer.Option(help="Without RESOURCE: all that had NAME=VALUE; more than once for more.")] = None,
    unplanned: Annotated[bool, typer.Option("--unplanned-stop", help="They stopped, and nobody had planned it.")] = False,
    identifier: Annotated[str | None, typer.Option("--id", help="Its id; without it: made up.")] = None,
    as_json: AsJson = False,
) -> None:
    """Declare that resources were not available: it counts against the service levels of their plans.

    \b
    Example:
        tally outage declare vm-1 vm-2 --from 2026-03-10T08:00:00Z --to 2026-03-10T18:00:00Z --reason "host-17 lost its power"
    """
    document: dict[str, Any] = {"resources": named or [], "region": region, "labels": labels_of(label or [])}
    document |= {"start": instant(start), "end": instant(until), "reason": reason, "cause": "unplanned_stop" if unplanned else "declared"}
    answer = connect().post("/v1/outages", document | ({"id": identifier} if identifier else {}))
    print_json(answer) if as_json else print_record(answer, OUTAGE)


@outages.command("list")
def list_outages(customer: Customer = None, limit: Limit = 100, as_json: AsJson = False) -> None:
    """List outages, declared last first; also those that were withdrawn.

    \b
    Example:
        tally outage list --customer acme
    """
    found = list(connect().pages("/v1/outages", limit, customer_id=customer))
    print_json(found) if as_json else print_table("outages", found, OUTAGE)


@outages.command("show")
def show_outage(outage: Annotated[str, typer.Argument(metavar="OUTAGE")], as_json: AsJson = False) -> None:
    """Show an outage.

    \b
    Example:
        tally outage show power-17
    """
    answer = connect().get(f"/v1/outages/{segment(outage)}")
    print_json(answer) if as_json else print_record(answer, OUTAGE)


@outages.command("withdraw")
def withdraw_outage(outage: Annotated[str, typer.Argument(metavar="OUTAGE")], reason: Why, as_json: AsJson = False) -> None:
    """Let an outage count no more: it was declared by mistake. What is invoiced stays as it is.

    \b
    Example:
        tally outage withdraw power-17 --reason "it was another host"
    """
    answer = connect().post(f"/v1/outages/{segment(outage)}/withdraw", {"reason": reason})
    print_json(answer) if as_json else print_record(answer, OUTAGE)
