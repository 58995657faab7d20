"""`tally doctor`: what a person would look at first when something does not work, each with what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from tallystick.app.cli.client import Client, RefusedError, connect, key_file
from tallystick.app.cli.output import FAILED, AsJson, print_json

SHOWN = 5
"""How many of a kind are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One thing that was looked at: whether it is as it should be, what was found, and what to do if it is not."""

    name: str
    fine: bool
    found: str
    advice: str = ""


def doctor(as_json: AsJson = False) -> None:
    """Look at the server, the key, the price book, the agents and this host, and say what to do about what is wrong.

    \b
    Example:
        tally doctor
    """
    examined = [*of_the_server(), *of_the_host()]
    if as_json:
        print_json([{"name": each.name, "fine": each.fine, "found": each.found, "advice": each.advice} for each in examined])
    else:
        for each in examined:
            typer.echo(f"{'fine ' if each.fine else 'WRONG'} {each.name}: {each.found}")
            if not each.fine and each.advice:
                typer.echo(f"      {each.advice}")
    if not all(each.fine for each in examined):
        raise typer.Exit(FAILED)


def of_the_server() -> Iterator[Examined]:
    """What can be asked over REST."""
    try:
        client = connect()
    except RefusedError as error:
        yield Examined(
            name="key", fine=False, found=next(error.lines()), advice="set TALLY_KEY, or TALLY_KEY_FILE to a file that you can read"
        )
        return
    try:
        client.fetch("GET", "/health")
    except RefusedError as error:
        yield Examined(
            name="server", fine=False, found=next(error.lines()), advice="start one with `tally up` or `tally serve`, or set TALLY_URL"
        )
        return
    yield Examined(name="server", fine=True, found=f"{client.url} answers")
    yield asked("readiness", client, "/ready", "look at the server's log; `tally migrate` brings an old store to this version")
    if not client.key:
        yield Examined(
            name="key", fine=False, found=f"none: TALLY_KEY is not set and {key_file()} is not there", advice="`tally keys create`"
        )
        return
    yield asked("key", client, "/v1/customers?limit=1", "make another with `tally keys create`, or let `tally init` make the first")
    yield from of_the_books(client)
    yield from of_the_agents(client)


def asked(name: str, client: Client, path: str, advice: str) -> Examined:
    """Whether the server answers a route without refusing."""
    try:
        client.fetch("GET", path)
    except RefusedError as error:
        return Examined(name=name, fine=False, found=next(error.lines()), advice=advice)
    return Examined(name=name, fine=True, found="accepted" if name == "key" else "ready")


def listed(client: Client, path: str, *, open: bool | None = None) -> list[Any] | None:
    """The items of a list, or None if this key may not see them."""
    try:
        return list(client.pages(path, 200, open=open))
    except RefusedError:
        return None


def of_the_books(client: Client) -> Iterator[Examined]:
    """Whether there is a price to bill with."""
    books = listed(client, "/v1/price-books")
    if books is not None:
        active = [f"{book['id']} version {book['version']}" for book in books if book.get("state") == "active"]
        advice = "`tally price add book.yaml`, then `tally price activate`"
        yield Examined(name="price book", fine=bool(active), found=", ".join(active) or "none is active", advice=advice)


def of_the_agents(client: Client) -> Iterator[Examined]:
    """Which agents report, what is silent, what contradicts."""
    agents = listed(client, "/v1/agents")
    if agents is not None:
        found = ", ".join(f"{agent['agent_id']} {agent['state']} at {agent['heartbeat_at']}" for agent in agents)
        yield Examined(name="agents", fine=bool(agents), found=found or "none has reported", advice="start one with `tally agent run`")
        told = [f"{agent['agent_id']}: {sentence}" for agent in agents for sentence in agent["warnings"]]
        if told:
            advice = "let chrony or ntpd set a clock that is off; give a spool that was full more room, and find out why nothing was sent"
            yield Examined(name="agents' warnings", fine=False, found="; ".join(told), advice=advice)
    absent = listed(client, "/v1/absences", open=True)
    if absent is not None:
        found = ", ".join(f"{one['kind']} {one['subject']} since {one['since']} ({one['cause']})" for one in absent[:SHOWN])
        left = f" and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
        advice = "look at that host; `tally absences dismiss` ends the alarm of one that will not come back"
        yield Examined(name="silence", fine=not absent, found=f"{found}{left}" if absent else "nobody is away", advice=advice)
    conflicts = listed(client, "/v1/conflicts", open=True)
    if conflicts is not None:
        found = ", ".join(f"{one['id']} of {one['resource_id']}" for one in conflicts[:SHOWN]) or "none"
        advice = "`tally conflicts show`, then `tally conflicts resolve`"
        yield Examined(name="conflicts", fine=not conflicts, found=found, advice=advice)


def of_the_host() -> Iterator[Examined]:
    """What an agent on this host would find."""
    from tallystick.app.agent_settings import AgentSettingsError, load_settings

    try:
        settings = load_settings()
    except AgentSettingsError as error:
        yield Examined(name="agent settings", fine=False, found=str(error), advice="docs/settings.md names them all")
        return
    yield Examined(name="agent settings", fine=True, found=f"sends to {settings.endpoint}")
    spool = settings.spool_directory
    place = next((path for path in (spool, *spool.parents) if path.exists()), Path("/"))
    writable = os.access(place, os.W_OK)
    yield Examined(
        name="spool", fine=writable, found=str(spool), advice=f"{place} is not writable for you: set TALLY_AGENT_SPOOL_DIRECTORY"
    )
    root = settings.cgroup_root
    kinds = [name for name, mark in (("v2", root / "cgroup.controllers"), ("v1", root / "cpuacct")) if mark.exists()]
    advice = f"no control groups at {root}: the agent meters through {settings.proc_root}"
    yield Examined(name="control groups", fine=bool(kinds), found=" and ".join(kinds) or "none", advice=advice)
