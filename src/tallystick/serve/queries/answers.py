"""What the query service asks, and what it is answered: values, made in `app`, that know nothing of the wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tallystick.model.access import Place
from tallystick.model.billing.money import Money
from tallystick.model.silence import ListedGap
from tallystick.model.usage import Gap, UsageHour


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuestion:
    """What a customer used: in a month of its zone (`2026-11`; empty and no span: the running one) or in [from_ns, until_ns)."""

    customer_id: str
    month: str = ""
    from_ns: int | None = None
    until_ns: int | None = None
    per_resource: bool = False
    with_cost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """The exact total of a meter in its base unit, and the part of it inside gaps."""

    meter: str
    unit: str
    total: int
    estimated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """How much of resource time was measured, estimated or unknown, ns."""

    measured_ns: int
    estimated_ns: int
    unknown_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceTotals:
    """The totals of one resource, as far as it was the customer's."""

    resource_id: str
    amounts: tuple[Amount, ...]
    known: Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """The prices of a plan that has no other: by meter, as decimals; a meter that it does not charge is absent."""

    prices: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerUsage:
    """The answer to a `UsageQuestion`. `cost` is None where none was asked for or none can be told: then `cost_missing` says why."""

    customer_id: str
    zone: str
    from_ns: int
    until_ns: int
    amounts: tuple[Amount, ...]
    known: Known
    resources: tuple[ResourceTotals, ...]
    rates: Rates | None
    hours_waiting: int
    cost: Money | None = None
    cost_missing: str = ""


class WindowState(StrEnum):
    """How far the closing of a billing period is."""

    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"
    PARKED = "parked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A billing period of a customer, and what is known of it; silences that go on stand before its gaps."""

    start_ns: int
    end_ns: int
    closing_ns: int
    currency: str
    subscription_ids: tuple[str, ...]
    state: WindowState
    waits_for: tuple[str, ...]
    invoice_number: str
    reported_until_ns: int | None
    hours_waiting: int
    known: Known
    gaps: tuple[Gap | ListedGap, ...]
    gaps_left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The billing periods that hold an instant: one for each cycle and currency."""

    customer_id: str
    zone: str
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQuestion:
    """Which hours that changed: of a customer's resources (none named: all), computed after an instant; None: those of the running hour."""

    customer_id: str
    resource_ids: frozenset[str]
    after_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveHours:
    """Hours as they are now, each as far as it was the customer's, with the instant at which it was computed.

    `is_full`: there may be more.
    """

    at_ns: int
    hours: tuple[tuple[int, UsageHour], ...]
    is_full: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """The callables of the query service. Each raises `Problem` for what it cannot answer; who may ask is the service's to know."""

    usage: Callable[[Place, UsageQuestion], CustomerUsage]
    windows: Callable[[Place, str, int | None], Windows]
    live: Callable[[Place, LiveQuestion], LiveHours]
    ending: Callable[[], bool]
    """Whether the server ends: streams do so, too."""


def amounts_of(totals: Sequence[tuple[str, str, int, int]]) -> tuple[Amount, ...]:
    """Amounts from (meter, unit, total, estimated)."""
    return tuple(Amount(meter=meter, unit=unit, total=total, estimated=estimated) for meter, unit, total, estimated in totals)
