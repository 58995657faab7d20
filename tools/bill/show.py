"""What the first bill leaves behind for a person: each invoice three times, a line explained to its samples, a closing table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tallystick.app.cli.client import Client, segment
from tools.bill.groups import Hierarchies, disk_of


def circumstances(found: Hierarchies | None, folder: Path, *, disk: bool, asked: bool) -> Iterator[str]:
    """How this machine meters, in lines for a person; `asked`: it is to do without control groups."""
    if found is None:
        why = "without control groups, as asked" if asked else "no control groups can be made here"
        yield f"{why}: single-threaded processes are metered through /proc, and compared with schedstat"
        return
    yield f"control groups below {', '.join(str(root) for root in found.roots)}"
    if "blkio" in found.v1 and disk:
        yield f"v1 counts disk bytes after a throttle rule only: one without a limit was written for {disk_of(folder)} in a throwaway group"
    if not disk:
        yield "disk bytes of groups are not counted here: the book has no price for them"


def write_invoices(rest: Client, invoices: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Each invoice as PDF, JSON and text, and explain.txt: the first usage line of each opened to hours, cells and samples."""
    written: list[Path] = []
    opened: list[str] = []
    for invoice in invoices:
        address = f"/v1/invoices/{segment(invoice['id'])}"
        name = f"{invoice['number']}-{invoice['customer']['id']}".replace("/", "-")
        for suffix, content in (
            (".json", json.dumps(invoice, indent=1, ensure_ascii=False).encode() + b"\n"),
            (".pdf", rest.fetch("GET", f"{address}/pdf", accept="application/pdf")),
            (".txt", rest.fetch("GET", f"{address}/text", accept="text/plain")),
        ):
            path = folder / (name + suffix)
            path.write_bytes(content)
            written.append(path)
        number = next(place for place, line in enumerate(invoice["lines"], 1) if line["kind"] == "usage")
        told = rest.get(f"{address}/lines/{number}/explain", verify=True, depth="samples")
        opened.append(told["text"])
    explained = folder / "explain.txt"
    explained.write_text("\n\n".join(opened))
    return [*written, explained]
