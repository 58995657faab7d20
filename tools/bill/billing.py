"""Customers, their book and subscriptions, what is assigned to whom, and their invoices at the end: over REST, as a person does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tallystick.app.cli.client import Client, RefusedError, segment
from tools.bill import book, pricing
from tools.bill.stage import Stage
from tools.bill.workloads import Reading
from tools.live.processes import wait_ready

GIB, HOUR_NS = 2**30, 3600 * 10**9
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")
SLACK_NS = 900 * 10**9
INVOICE_SECONDS = 60
CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Account:
    """One customer on one plan."""

    customer_id: str
    name: str
    plan: book.Plan
    address: Mapping[str, Any]
    kinds: tuple[str, ...]


SIZES: Mapping[str, Mapping[str, int]] = {
    "steady": {"vcpus": 1, "memory_bytes": GIB},
    "bursty": {"vcpus": 2, "memory_bytes": 2 * GIB},
    "brief": {"vcpus": 2, "memory_bytes": GIB // 2},
}


@dataclass(slots=True)
class Accounts:
    """Two customers, and from when until when they were billed, ns since the epoch."""

    rest: Client
    zone: str
    start_ns: int
    accounts: tuple[Account, ...]
    subscriptions: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    end_ns: int = 0

    @classmethod
    def open(cls, rest: Client, *, seconds: int, disk: bool) -> Accounts:
        """Make the seller's settings, the book, the customers and their subscriptions."""
        now_ns = time.time_ns()
        zone = pricing.calm_zone(ZONES, now_ns - SLACK_NS, now_ns + SLACK_NS)
        compute, storage = book.plans(seconds, disk)
        made = cls(rest=rest, zone=zone, start_ns=now_ns, accounts=_accounts(compute, storage))
        _seller(rest)
        rest.post_text("/v1/price-books", book.document((compute, storage), iso(now_ns - now_ns % HOUR_NS)), "application/yaml")
        rest.post(f"/v1/price-books/{book.BOOK_ID}/versions/1/activate")
        for account in made.accounts:
            rest.post("/v1/customers", _customer(account, zone))
            wanted = {"customer_id": account.customer_id, "plan_id": account.plan.id, "start": iso(now_ns)}
            made.subscriptions[account.customer_id] = rest.post("/v1/subscriptions", wanted)["id"]
        return made

    def agent_key(self) -> str:
        """A key with which an agent may write usage, and nothing else."""
        key: str = self.rest.post("/v1/keys", {"role": "agent", "name": "first-bill"})["key"]
        return key

    def assign(self, kind: str, resource_id: str, insist: Callable[[Callable[[], object]], object]) -> None:
        """Declare whose a workload's resource is, and its sizes, from before it began."""
        if resource_id in self.resources:
            return
        owner = next(account for account in self.accounts if kind in account.kinds)
        fact = {"at": iso(self.start_ns), "customer_id": owner.customer_id, "name": kind, "kind": "workload", **SIZES[kind]}
        insist(lambda: self._declare(resource_id, fact))
        self.resources[resource_id] = owner.customer_id

    def _declare(self, resource_id: str, fact: Mapping[str, Any]) -> None:
        """Tell a fact of a resource, which its agent may or may not have shown to the server by now."""
        try:
            self.rest.post("/v1/resources", {"id": resource_id, **fact})
        except RefusedError as error:
            if error.status != CONFLICT:
                raise
            self.rest.post(f"/v1/resources/{segment(resource_id)}/facts", fact)

    def term(self) -> pricing.Term:
        """What both subscriptions were in force."""
        return pricing.Term(start_ns=self.start_ns, end_ns=self.end_ns, zone=self.zone)


def bill(stage: Stage, accounts: Accounts, readings: list[Reading]) -> list[dict[str, Any]]:
    """End the subscriptions now that all workloads are gone; their invoices once the agent has reported past the end."""
    wait_ready(stage.server, stage.rest.url)  # it may have been killed a moment ago
    accounts.end_ns = time.time_ns()
    print(f"{len(readings)} runs are over; their customers' subscriptions end", flush=True)
    for subscription_id in accounts.subscriptions.values():
        accounts.rest.post(f"/v1/subscriptions/{segment(subscription_id)}/cancel", {"at": iso(accounts.end_ns)})
    stage.wait_for(lambda: stage.reported_until_ns() > accounts.end_ns, "the agent to report past the end", INVOICE_SECONDS)
    print("the agent has reported past the end; waiting for the invoices", flush=True)
    stage.wait_for(lambda: len(_finalized(accounts)) == len(accounts.accounts), "both invoices", INVOICE_SECONDS)
    return [accounts.rest.get(f"/v1/invoices/{segment(invoice['id'])}") for invoice in _finalized(accounts)]


def _finalized(accounts: Accounts) -> list[dict[str, Any]]:
    found = list(accounts.rest.pages("/v1/invoices", 1000))
    ours = {account.customer_id for account in accounts.accounts}
    parked = [invoice for invoice in found if invoice["state"] == "parked"]
    if parked:
        raise RuntimeError(f"an invoice was parked: {json.dumps(parked[0].get('findings') or parked[0])}")
    return [invoice for invoice in found if invoice["state"] == "finalized" and invoice["customer_id"] in ours]


def insist(stage: Stage, act: Callable[[], object], seconds: float = 30) -> object:
    """Do what may fail while the server is away, until it is back.

    Raises:
        RefusedError: it was refused, or the server stayed away.

    """
    until = time.monotonic() + seconds
    while True:
        try:
            return act()
        except RefusedError as error:
            if error.status != 0 or time.monotonic() > until:
                raise
        stage.look()
        time.sleep(0.1)


def iso(at_ns: int) -> str:
    """An instant in UTC with all nine digits."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ns // 10**9)) + f".{at_ns % 10**9:09d}Z"


def _accounts(compute: book.Plan, storage: book.Plan) -> tuple[Account, ...]:
    return (
        Account(
            customer_id="alder",
            name="Alder Render Works LLC",
            plan=compute,
            address={"lines": ["77 Foundry Lane"], "city": "Portland", "postal_code": "97209", "region": "OR", "country": "US"},
            kinds=("steady", "brief"),
        ),
        Account(
            customer_id="birke",
            name="Birke Datenhaltung GmbH",
            plan=storage,
            address={"lines": ["Speicherstraße 12"], "city": "Leipzig", "postal_code": "04109", "country": "DE"},
            kinds=("bursty",),
        ),
    )


def _customer(account: Account, zone: str) -> dict[str, Any]:
    return {
        "id": account.customer_id,
        "name": account.name,
        "currency": account.plan.currency,
        "time_zone": zone,
        "address": dict(account.address),
    }


def _seller(rest: Client) -> None:
    """Who sends the bills. Grace is 0: a period closes as soon as every agent has reported past its end."""
    seller = {
        "name": "Kernel & Sons Hosting",
        "time_zone": "UTC",
        "address": {"lines": ["1 Scheduler Row"], "city": "Cambridge", "postal_code": "CB2 1TN", "country": "GB"},
        "grace_ns": 0,
    }
    current = rest.get("/v1/seller")
    rest.fetch("PUT", "/v1/seller", body=json.dumps({**current, **seller}).encode(), content_type="application/json")
