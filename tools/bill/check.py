"""Every line of the first bill three times over, the kernel's CPU time, and the acknowledged batches: check.json."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from tallystick.invoice.assemble import assemble
from tallystick.invoice.evidence import thaw
from tallystick.rate.rate import rate
from tools import independent
from tools.bill import pricing
from tools.bill.billing import Account, Accounts
from tools.bill.stage import Stage
from tools.bill.workloads import Reading

LineKey = tuple[str, str]
"""Charge (or fee) and, of a charge by resource, the resource."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one of the three ways says of a line."""

    quantity: Fraction
    unrounded: Fraction
    minor: int

    def shown(self) -> dict[str, str]:
        """As check.json has it."""
        return {"quantity": str(self.quantity), "unrounded": str(self.unrounded), "amount": f"{self.minor // 100}.{self.minor % 100:02d}"}


def check(stage: Stage, accounts: Accounts, invoices: Sequence[dict[str, Any]], readings: Sequence[Reading], folder: Path) -> int:
    """Write check.json and print a line for each invoice line; 0 if all is equal and nothing is 0, else 1."""
    resources = independent.read(stage.database)
    used = {name: independent.usage(stored) for name, stored in resources.items()}
    lines = [row for invoice in invoices for row in _lines(stage.database, accounts, invoice, used)]
    cpu = _cpu(readings, used)
    batches = _batches(stage, resources)
    ok = all(row["equal"] and not row["zero"] for row in lines) and all(row["equal"] for row in cpu) and not batches["missing"]
    document = {"ok": ok, "kills": stage.killed, "lines": lines, "cpu": cpu, "batches": batches}
    (folder / "check.json").write_text(json.dumps(document, indent=1) + "\n")
    for row in lines:
        verdict = "equal" if row["equal"] and not row["zero"] else "ZERO" if row["equal"] else "DIFFERENT"
        print(f"  {row['customer_id']:<8}{row['line']:<32}{row['invoice']['amount']:>10} {row['currency']}  {verdict}")
    for row in cpu:
        print(f"  kernel  {row['resource_id']:<32}{row['kernel_ns']:>16} ns  {'equal' if row['equal'] else 'DIFFERENT'}")
    seen = f"{batches['acknowledged']} seen acknowledged on the wire, " if stage.witness else ""
    print(f"  batches: {seen}{batches['stored']} stored, {len(batches['missing'])} missing")
    print(f"{'all is equal' if ok else 'THERE ARE DIFFERENCES'}: {folder / 'check.json'}")
    return int(not ok)


def _lines(database: Path, accounts: Accounts, invoice: Mapping[str, Any], used: pricing.Usage) -> list[dict[str, Any]]:
    """One row for each line that any of the three ways knows."""
    account = next(one for one in accounts.accounts if one.customer_id == invoice["customer"]["id"])
    ways = {
        "invoice": _of_invoice(invoice["lines"]),
        "evidence": _of_evidence(database, invoice["evidence_hash"]),
        "independent": _of_samples(accounts, account, used),
    }
    rows = []
    for key in sorted({key for way in ways.values() for key in way}):
        told = {name: way.get(key) for name, way in ways.items()}
        rows.append(
            {
                "customer_id": account.customer_id,
                "invoice_number": invoice["number"],
                "currency": account.plan.currency,
                "line": " ".join(part for part in key if part),
                **{name: figures.shown() if figures else None for name, figures in told.items()},
                "equal": len(set(told.values())) == 1,
                "zero": told["invoice"] is not None and told["invoice"].minor == 0,
            }
        )
    return rows


def _of_invoice(lines: Sequence[Mapping[str, Any]]) -> dict[LineKey, Figures]:
    """What the invoice says, as it is served over REST."""
    return {
        (line["charge_id"], "".join(value for _, value in line["group"])): Figures(
            quantity=Fraction(line["quantity"]),
            unrounded=Fraction(line["derivation"]["unrounded"]),
            minor=int(Fraction(line["amount"]["amount"]) * pricing.MINOR),
        )
        for line in lines
    }


def _of_evidence(database: Path, evidence_hash: str) -> dict[LineKey, Figures]:
    """The invoice made again from nothing but its frozen evidence, by the product's own formula."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (blob,) = connection.execute("SELECT body FROM evidence WHERE evidence_hash = ?", (evidence_hash,)).fetchone()
    kept = thaw(blob, evidence_hash)
    rated = rate(kept.usage, kept.contract, kept.books, kept.run)
    made = assemble(rated, kept.contract, kept.books, kept.run, invoice_id="again", evidence_hash=evidence_hash)
    return {
        (line.charge_id, "".join(value for _, value in line.group)): Figures(line.quantity, line.derivation.unrounded, line.amount.minor)
        for line in made.lines
    }


def _of_samples(accounts: Accounts, account: Account, used: pricing.Usage) -> dict[LineKey, Figures]:
    """The bill from raw samples by the scalar reference, priced with nothing but fractions."""
    own = {name: meters for name, meters in used.items() if accounts.resources.get(name) == account.customer_id}
    return {
        (line.charge_id, line.resource_id): Figures(line.quantity, line.unrounded, line.minor)
        for line in pricing.lines(account.plan, own, accounts.term())
    }


def _cpu(readings: Sequence[Reading], used: pricing.Usage) -> list[dict[str, Any]]:
    """What the kernel showed of each resource over all of its runs, and what was metered."""
    rows = []
    for name in sorted({reading.resource_id for reading in readings}):
        runs = [reading for reading in readings if reading.resource_id == name]
        kernel = sum(reading.after_ns - reading.before_ns for reading in runs)
        metered = used.get(name, {}).get("cpu.used", 0)
        rows.append({"resource_id": name, "runs": len(runs), "kernel_ns": kernel, "metered_ns": metered, "equal": kernel == metered})
    return rows


def _batches(stage: Stage, resources: Mapping[str, independent.RawResource]) -> dict[str, Any]:
    """Whether every batch that was acknowledged on the wire is stored with the payload that was sent, and no number is missing."""
    stored = {
        (batch.resource_id, batch.boot_id, batch.spool_id, batch.sequence): batch.payload_sha256
        for resource in resources.values()
        for batch in resource.batches
    }
    seen = sorted(stage.witness.seen) if stage.witness else []
    missing = [
        f"{one.resource_id} {one.boot_id} {one.sequence}"
        for one in seen
        if stored.get((one.resource_id, one.boot_id, one.spool_id, one.sequence)) != one.payload_sha256
    ]
    runs: dict[tuple[str, str, str], set[int]] = {}
    for resource_id, boot_id, spool_id, sequence in stored:
        runs.setdefault((resource_id, boot_id, spool_id), set()).add(sequence)
    for (resource_id, boot_id, _), numbers in sorted(runs.items()):
        missing += [f"{resource_id} {boot_id} {number}" for number in sorted(set(range(1, max(numbers))) - numbers)]
    return {"acknowledged": len(seen), "stored": len(stored), "missing": missing}
