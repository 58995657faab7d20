"""Rating beside a peer: the lines of `../shared/peers/rating.py` through the one formula, next to CloudKitty's hashmap module.

Prints a JSON line. A line there is a quantity of hours with nine decimals, of a flavor in a region; here it is a resource's hour that
was up for so long, and a charge per flavor and region. Run by itself it starts `rating.py`, which runs this script again as the
product, with RATING_LINES set. Where that folder is not, it says so and prints no figure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

from bench.measure import line
from tallystick.app.serving.memory import collect_seldom
from tallystick.model.billing.contracts import Contract, Customer, Run, Seller, Subscription
from tallystick.model.billing.invoices import Usage
from tallystick.model.billing.price_book import Cycle
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, HOUR_NS
from tallystick.model.resources import Attributes
from tallystick.model.usage import UsageHour
from tallystick.rate.load import load_book
from tallystick.rate.rate import rate

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS = REPOSITORY.parent / "shared" / "peers"
LINES = 200_000
MONTH_NS = 1_761_955_200 * 10**9
"""2025-11-01, 00:00 UTC: a month of 720 hours."""
HOURS = 720
FLAVORS = {f"m1.{number}": Fraction(number) * Fraction("0.0137") for number in range(1, 21)}
REGIONS = {"eu-1": Fraction(1), "eu-2": Fraction("1.1"), "us-1": Fraction("0.95")}
HEAD = "book: flavors\neffective_from: 2025-10-01T00:00:00Z\nplans:\n  - id: flavors\n    currency: EUR\n    charges:\n"
CHARGE = "      - {{id: {flavor}-{region}, meter: uptime, per: hour, price: {price}, filters: {{kind: {flavor}, region: {region}}}}}\n"


def sold() -> tuple[Usage, int]:
    """The lines as hours of resources, each of one flavor in one region: line i is up for i x 7919 ns, modulo an hour; and how many."""
    lines = int(os.environ["RATING_LINES"])
    flavors, regions = list(FLAVORS), list(REGIONS)
    hours: list[UsageHour] = []
    attributes: dict[str, tuple[Attributes, ...]] = {}
    seen: dict[tuple[str, str], int] = {}
    for number in range(lines):
        kind, region = flavors[number % 20], regions[number % 3]
        place = seen[kind, region] = seen.get((kind, region), -1) + 1
        name = f"{kind}-{region}-{place // HOURS}"
        if name not in attributes:
            span = Attributes(from_ns=MONTH_NS, until_ns=MONTH_NS + HOURS * HOUR_NS, customer_id="c", kind=kind, region=region)
            attributes[name] = (span,)
        up = number * 7919 % HOUR_NS
        cells = tuple(min(max(up - cell * CELL_NS, 0), CELL_NS) for cell in range(CELLS_PER_HOUR))
        hours.append(
            UsageHour(
                resource_id=name,
                hour_ns=MONTH_NS + place % HOURS * HOUR_NS,
                cells={"uptime": cells},
                estimated={},
                samples=1,
                memory_peak_bytes=None,
            )
        )
    return Usage(hours=tuple(hours), attributes=attributes), lines


def product() -> None:
    """The product's line of a run: CPU of rating alone, as that of the others, hours of each line read; amounts held against exact ones."""
    charges = [
        CHARGE.format(flavor=flavor, region=region, price=f"{float(price * factor):.6f}")
        for flavor, price in FLAVORS.items()
        for region, factor in REGIONS.items()
    ]
    book, mistakes = load_book(HEAD + "".join(charges), "flavors.yaml")
    if book is None:
        raise SystemExit(f"bench/billing/beside.py: {mistakes[0].sentence()}")
    usage, lines = sold()
    contract = Contract(
        seller=Seller(id="s", name="s", currency="EUR"),
        customer=Customer(id="c", name="c", currency="EUR"),
        subscriptions=(Subscription(id="sub", customer_id="c", plan_id="flavors", start_ns=MONTH_NS),),
    )
    until_ns = MONTH_NS + HOURS * HOUR_NS
    run = Run(
        customer_id="c",
        cycle=Cycle(),
        anchor_ns=MONTH_NS,
        period_start_ns=MONTH_NS,
        period_end_ns=until_ns,
        closing_ns=until_ns,
        currency="EUR",
        subscription_ids=("sub",),
    )
    collect_seldom()  # as the worker does, which makes invoices
    began = time.process_time()
    found = rate(usage, contract, (book,), run)
    # Each line with the hours that it is made of, which would else be put together only where somebody looks at them.
    opened = sum(len(part.hours) for each in found.lines for part in each.derivation.parts)
    took = time.process_time() - began
    truth: dict[str, Fraction] = {}
    for hour in usage.hours:
        of = usage.attributes[hour.resource_id][0]
        charge = f"{of.kind}-{of.region}"
        truth[charge] = (
            truth.get(charge, Fraction(0)) + Fraction(sum(hour.cells["uptime"]), HOUR_NS) * FLAVORS[of.kind] * REGIONS[of.region]
        )
    priced = {each.charge_id: each.derivation.unrounded for each in found.lines}
    right = sum(priced.get(charge) == amount for charge, amount in truth.items())
    exact = f"{100 * right // len(truth)} %, as fractions; rounded once to money"
    used = sum(any(hour.cells["uptime"]) for hour in usage.hours)
    if opened != used:
        raise SystemExit(f"bench/billing/beside.py: lines are made of {opened} hours, used were {used}")
    print(json.dumps({"lines": lines, "lines_per_cpu_second": lines / took, "exact": exact, "type": "Fraction"}))


def beside() -> None:
    """Run the peer and the product on the same lines, and print how many times as many the product rates in a CPU-second."""
    if not (PEERS / "rating.py").exists():
        print(f"bench/billing/beside.py: {PEERS} is not here, so no peer is measured", file=sys.stderr)
        return
    command = [sys.executable, str(PEERS / "rating.py"), "--lines", str(LINES), "--product", f"{sys.executable} -m bench.billing.beside"]
    shown = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, env={**os.environ, "RATING_LINES": str(LINES)}, check=True)
    print(shown.stdout.decode(), file=sys.stderr)
    told = {each["rater"]: each for each in map(json.loads, shown.stdout.splitlines())}
    theirs, ours = told["cloudkitty"], told["product"]
    if "error" in theirs:
        raise SystemExit(f"bench/billing/beside.py: {theirs['error']}")
    own, other = ours["lines_per_cpu_second"], theirs["lines_per_cpu_second"]
    what = f"lines rated in a CPU-second, hour by hour: ours {own:.0f} ({ours['exact']}), CloudKitty {other:.0f}"
    line("peer_cloudkitty_rating_ratio", own / other, "ratio", what, 1)


if __name__ == "__main__":
    product() if "RATING_LINES" in os.environ else beside()
