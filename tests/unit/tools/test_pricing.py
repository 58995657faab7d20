from __future__ import annotations

from fractions import Fraction

from tools.bill import book, pricing
from tools.bill.stage import kill_plan

HOUR_NS = 3600 * 10**9


def test_a_charge_is_rounded_once_and_shared_by_largest_remainder() -> None:
    charge = book.Charge(id="cpu", name="CPU", meter="cpu.used", per="core-hour", price=Fraction(1), by_resource=True)
    usage = {name: {"cpu.used": HOUR_NS // 3} for name in ("a", "b", "c")}
    lines = pricing.charged(charge, usage)
    assert [line.minor for line in lines] == [34, 33, 33]
    assert [line.unrounded for line in lines] == [Fraction(1, 3)] * 3


def test_a_fee_is_for_the_exact_part_of_the_month() -> None:
    march, april = pricing.month(1773144000 * 10**9, "Europe/Berlin")
    assert (april - march) // 10**9 == 743 * 3600
    plan = book.Plan(id="p", name="P", currency="EUR", fee=Fraction(743), charges=())
    line = pricing.fee(plan, pricing.Term(start_ns=march + HOUR_NS, end_ns=march + 3 * HOUR_NS, zone="Europe/Berlin"))
    assert (line.quantity, line.unrounded, line.minor) == (Fraction(2, 743), Fraction(2), 200)


def test_half_a_cent_is_rounded_up() -> None:
    assert pricing.half_up(Fraction(5, 1000)) == 1
    assert pricing.half_up(Fraction(4999, 10**6)) == 0


def test_a_zone_is_chosen_in_which_no_month_ends() -> None:
    end_ns = pricing.month(1773144000 * 10**9, "UTC")[1]
    assert pricing.calm_zone(("UTC", "Asia/Kathmandu"), end_ns - 1, end_ns + 1) == "Asia/Kathmandu"


def test_every_kill_lies_in_the_middle_and_both_are_killed() -> None:
    plan = kill_plan(5, 60, 3)
    assert [kill.victim for kill in plan].count("server") in (2, 3)
    assert all(6 <= kill.after_seconds <= 54 for kill in plan)
    assert plan == kill_plan(5, 60, 3)
