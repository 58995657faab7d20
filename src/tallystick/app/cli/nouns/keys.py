"""`tally keys`: who may call, and as what."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from tallystick.app.cli.client import connect, segment
from tallystick.app.cli.nouns.arguments import Limit
from tallystick.app.cli.output import AsJson, print_json, print_table

app = typer.Typer(help="API keys: who may call, and as what.", no_args_is_help=True, rich_markup_mode=None)


class Counters(StrEnum):
    """What the counters of a source are."""

    CUMULATIVE = "cumulative"
    PER_SAMPLE = "per_sample"


class CpuHoursUnit(StrEnum):
    """What `cpu_hours` of a usage report holds."""

    CORE_HOURS = "core_hours"
    CORE_SECONDS = "core_seconds"


class Role(StrEnum):
    """What a key is for."""

    AGENT = "agent"
    CUSTOMER = "customer"
    BILLING = "billing"
    AUDITOR = "auditor"
    ADMIN = "admin"


@app.command()
def create(
    role: Annotated[Role, typer.Argument(help="What it is for.")],
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    customer: Annotated[list[str] | None, typer.Option(help="Only for this customer; more than once for more.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Only for this region; more than once for more.")] = None,
    counters: Annotated[
        Counters | None, typer.Option(help="Whether the counters of its samples are sums, or what was used since the sample before.")
    ] = None,
    interval_ms: Annotated[int | None, typer.Option(help="How often it samples, where its protocol does not tell.")] = None,
    cpu_hours_unit: Annotated[CpuHoursUnit | None, typer.Option(help="What cpu_hours of its usage reports holds.")] = None,
    nobody: Annotated[
        list[str] | None, typer.Option(help="A customer id that means nobody; more than once for more. Else as the server's settings say.")
    ] = None,
    bytes_per_second: Annotated[int | None, typer.Option(help="How much it may send in a second; 0: as much as it can.")] = None,
    requests_per_second: Annotated[int | None, typer.Option(help="How often it may ask in a second; 0: as often as it can.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key. It is printed once, here, and kept as a hash only.

    --counters, --interval-ms, --cpu-hours-unit and --nobody say what the client of the key means but does not say: its source
    profile. A key that is given a rate of its own is not held to that of the server's settings.

    \b
    Example:
        tally keys create agent --name host-17 --bytes-per-second 1000000
        tally keys create agent --name old-daemons --counters per_sample --interval-ms 5000
    """
    document: dict[str, Any] = {"role": role.value}
    told = {"counters": counters, "sampling_interval_ms": interval_ms, "cpu_hours_unit": cpu_hours_unit, "nobody": nobody}
    if profile := {key: found for key, found in told.items() if found is not None}:
        document["profile"] = profile
    rates = {"bytes_per_second": bytes_per_second, "requests_per_second": requests_per_second}
    if rate_limit := {key: found for key, found in rates.items() if found is not None}:
        document["rate_limit"] = rate_limit
    document |= {key: found for key, found in (("name", name), ("customers", customer), ("regions", region)) if found}
    answer = connect().post("/v1/keys", document)
    if as_json:
        print_json(answer)
        return
    typer.echo(answer["key"])
    typer.echo(f"a key for the role {role.value}, id {answer['id']}; it is not shown again", err=True)


@app.command("list")
def list_(limit: Limit = 100, as_json: AsJson = False) -> None:
    """List keys, newest first; never the keys themselves.

    \b
    Example:
        tally keys list
    """
    keys = list(connect().pages("/v1/keys", limit))
    columns = {"id": "id", "name": "name", "role": "role", "customers": "customers", "profile": "profile", "rate": "rate_limit"}
    columns |= {"created": "created_at", "revoked": "revoked_at"}
    print_json(keys) if as_json else print_table("keys", keys, columns)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="The id of the key.")], as_json: AsJson = False) -> None:
    """Revoke a key: from now on it opens nothing.

    \b
    Example:
        tally keys revoke 5f0c2d
    """
    answer = connect().delete(f"/v1/keys/{segment(key_id)}")
    print_json(answer) if as_json else typer.echo(f"revoked {key_id}")
