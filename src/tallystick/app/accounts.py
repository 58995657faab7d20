"""One customer's account over a span of time, from one snapshot of the store: all that rating and invoicing read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tallystick.app.answers.earlier import charges_of, open_runs, tier_fills
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Contract
from tallystick.model.billing.invoices import MarketPrice, Outage, Usage, UsageEvent
from tallystick.model.billing.outages import outages_of
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.billing.runs import OpenRun
from tallystick.model.resources import Attributes
from tallystick.model.usage import Gap, UsageHour
from tallystick.rate.agreements import with_default
from tallystick.rate.models.registry import model_of
from tallystick.store.engine import Tx
from tallystick.store.records import NotFound
from tallystick.store.registry import StoredResource
from tallystick.store.store import Store
from tallystick.store.usage.queries import Owned

HOME_SCOPE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer's contract, the price books, and its usage in [from_ns, until_ns).

    `hours_waiting` counts hours before `until_ns` that are not computed yet, `reported_until_ns` is the instant up to
    which every agent of its places has reported: None if there is no agent that tells.
    """

    contract: Contract
    books: tuple[PriceBook, ...]
    usage: Usage
    hours_waiting: int
    reported_until_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """The resources of a customer in one place, with the name that they have on a bill."""

    place: Place
    resources: tuple[StoredResource, ...]

    @property
    def keys(self) -> tuple[int, ...]:
        """Their numbers in the store."""
        return tuple(each.row for each in self.resources)

    def name(self, resource_id: str) -> str:
        """What a resource of the place is called on a bill."""
        return bill_name(self.place, resource_id)


def bill_name(place: Place, resource_id: str) -> str:
    """Ids are unique inside a scope only: outside of the scope `default` the scope stands before the id."""
    return resource_id if place.scope_id == HOME_SCOPE else f"{place.scope_id}/{resource_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What was agreed with some customers, by their ids, the price books, and the resources that are or were theirs.

    Contracts have the seller's default plan for what no subscription covers.
    """

    contracts: Mapping[str, Contract]
    books: tuple[PriceBook, ...]
    owned: tuple[Owned, ...]

    def contract(self, customer_id: str) -> Contract:
        """A customer's.

        Raises:
            NotFound: there is no such customer.

        """
        if customer_id not in self.contracts:
            raise NotFound(f"customer {customer_id!r}")
        return self.contracts[customer_id]


def read_agreed(store: Store, place: Place, customers: Collection[str], at_ns: int, tx: Tx) -> Agreed:
    """What was agreed with some customers; the default plan is the one in force at `at_ns`. Names that are no customer's are left out."""
    contracts = store.contracts.agreed(place, frozenset(customers), tx=tx)
    books = store.contracts.books_in_force(place, tx=tx)
    owned = tuple(each for each in store.usage.owned_by(tx, place, sorted(customers)) if each.customer_id in contracts)
    firsts: dict[str, int] = {}
    for each in owned:
        if each.first_ns is not None:
            firsts[each.customer_id] = min(each.first_ns, firsts.get(each.customer_id, each.first_ns))
    with_plans = {name: with_default(contract, books, firsts.get(name), at_ns) for name, contract in contracts.items()}
    return Agreed(contracts=with_plans, books=books, owned=owned)


def read_contract(store: Store, place: Place, customer_id: str, at_ns: int, tx: Tx) -> tuple[Contract, tuple[PriceBook, ...]]:
    """A customer's contract, with the seller's default plan for what no subscription covers, and the books that price it.

    Raises:
        NotFound: there is no such customer.

    """
    agreed = read_agreed(store, place, (customer_id,), at_ns, tx)
    return agreed.contract(customer_id), agreed.books


def read_account(
    store: Store, place: Place, customer_id: str, from_ns: int, until_ns: int, *, currency: str = "", at_ns: int | None = None
) -> Account:
    """Everything about a customer over whole hours, from one snapshot; the default plan is the one in force at `at_ns` (the end).

    Market prices are those in `currency`, as far as a plan of the customer may ask for them.

    Raises:
        NotFound: there is no such customer.

    """
    with store.read() as tx:
        contract, books = read_contract(store, place, customer_id, until_ns if at_ns is None else at_ns, tx)
        charges = charges_of(contract, books)
        opened: list[OpenRun] = []
        hours: list[UsageHour] = []
        gaps: list[Gap] = []
        events: list[UsageEvent] = []
        outages: list[Outage] = []
        attributes: dict[str, tuple[Attributes, ...]] = {}
        for holdings in holdings_of(store, place, customer_id, tx):
            keys = holdings.keys
            found = store.usage.hours(holdings.place, from_ns, until_ns, resource_keys=keys, tx=tx)
            hours += [replace(hour, resource_id=holdings.name(hour.resource_id)) for _, hour in found]
            open_gaps = store.usage.gaps(holdings.place, from_ns, until_ns, resource_keys=keys, tx=tx)
            gaps += [replace(gap, resource_id=holdings.name(gap.resource_id)) for _, gap in open_gaps]
            told = store.priced.events(holdings.place, keys, from_ns, until_ns, tx=tx)
            events += [replace(event, resource_id=holdings.name(event.resource_id)) for event in told]
            timelines = store.registry.attributes(holdings.place, keys, tx=tx)
            attributes.update({holdings.name(resource_id): timeline for resource_id, timeline in timelines.items()})
            owned = [(customer_id, each.row, each.id) for each in holdings.resources]
            down = declared_outages(tx, store, holdings.place, owned, timelines, (from_ns, until_ns))
            outages += [replace(outage, resource_id=holdings.name(outage.resource_id)) for _, outage in down]
            up = open_runs(store, holdings.place, keys, charges, from_ns, tx)
            named = {each.row: holdings.name(each.id) for each in holdings.resources}
            opened += [OpenRun(resource_id=named[key], up_ns=up_ns) for key, up_ns in sorted(up.items())]
        fills = tier_fills(store, place, contract, books, from_ns, tx)
        market = market_of(
            tx, store, place, contract, attributes, follows=follows_market(books), span=(from_ns, until_ns), currency=currency
        )
        waiting, reported_until_ns = read_progress(store, place, contract, until_ns, tx)
    return Account(
        contract=contract,
        books=books,
        usage=Usage(
            hours=tuple(hours),
            attributes=attributes,
            gaps=tuple(gaps),
            events=tuple(events),
            market=market,
            open_runs=tuple(opened),
            tier_fills=fills,
            outages=tuple(outages),
        ),
        hours_waiting=waiting,
        reported_until_ns=reported_until_ns,
    )


def follows_market(books: Sequence[PriceBook]) -> dict[str, set[str]]:
    """The plans that ask for market prices, with the currencies of their versions."""
    found: dict[str, set[str]] = defaultdict(set)
    for plan in (plan for book in books for plan in book.plans):
        if any(model_of(charge.model).MARKET for charge in plan.charges):
            found[plan.id].add(plan.currency)
    return found


def market_of(
    tx: Tx,
    store: Store,
    place: Place,
    contract: Contract,
    attributes: Mapping[str, Sequence[Attributes]],
    *,
    follows: Mapping[str, set[str]],
    span: tuple[int, int],
    currency: str = "",
) -> tuple[MarketPrice, ...]:
    """What the market asked, for the regions and kinds of a customer's resources; nothing where no plan of it `follows` a market.

    Without a `currency` it is that of those plans, if they have one.
    """
    own = {plan_id for each in contract.subscriptions for plan_id in each.plan_ids} & follows.keys()
    currencies = {each for plan_id in own for each in follows[plan_id]}
    wanted = currencies & {currency} if currency else currencies
    if len(wanted) != 1:
        return ()
    kinds = {(each.region, each.kind) for timeline in attributes.values() for each in timeline if each.customer_id == contract.customer.id}
    return tuple(store.priced.prices(place, wanted.pop(), kinds, *span, tx=tx)) if kinds else ()


def declared_outages(
    tx: Tx,
    store: Store,
    place: Place,
    owned: Iterable[tuple[str, int, str]],
    timelines: Mapping[str, Sequence[Attributes]],
    span: tuple[int, int],
) -> Iterator[tuple[str, Outage]]:
    """What was declared of some resources of a place in a span, with the customer whose they were: `owned` are (customer, key, id)."""
    declared = store.outages.counted(place, *span, tx=tx)
    held = list(owned) if declared else []
    deleted = store.registry.deleted(place, [key for _, key, _ in held], tx=tx) if held else {}
    for customer_id, key, resource_id in held:
        for each in declared:
            for outage in outages_of(each, resource_id, timelines[resource_id], customer_id, deleted.get(key, ())):
                yield customer_id, outage


def read_progress(store: Store, place: Place, contract: Contract, until_ns: int, tx: Tx) -> tuple[int, int | None]:
    """`hours_waiting` and `reported_until_ns` of a customer's account, without its usage: what a run waits for."""
    waiting, reported = 0, []
    for holdings in holdings_of(store, place, contract.customer.id, tx):
        waiting += store.usage.dirty_count(holdings.place, resource_keys=holdings.keys, until_ns=until_ns, tx=tx)
        reported += _reported(store, holdings.place, contract, until_ns, tx)
    return waiting, min(reported, default=None)


def holdings_of(store: Store, place: Place, customer_id: str, tx: Tx) -> tuple[Holdings, ...]:
    """The resources that are or were a customer's, in every scope of the seller."""
    found = []
    for each in store.registry.places(tx=tx):
        if each.seller_id == place.seller_id:
            resources = store.registry.resources(each, customers=frozenset({customer_id}), tx=tx)
            if resources:
                found.append(Holdings(place=each, resources=tuple(sorted(resources, key=lambda one: one.row))))
    return tuple(found)


def usage_until(usage: Usage, at_ns: int) -> Usage:
    """The usage of the hours that began before an instant, gaps and outages until then: what is known of a running period.

    A sum cannot be cut: whoever has some reads their hours first, if any of them came later.
    """
    hours, events = (hour for hour in usage.hours if hour.hour_ns < at_ns), (event for event in usage.events if event.at_ns < at_ns)
    outages = (replace(each, until_ns=min(each.until_ns, at_ns)) for each in usage.outages if each.from_ns < at_ns)
    gaps = (replace(each, until_ns=min(each.until_ns, at_ns)) for each in usage.gaps if each.from_ns < at_ns)
    return replace(usage, hours=tuple(hours), gaps=tuple(gaps), events=tuple(events), outages=tuple(outages))


def _reported(store: Store, place: Place, contract: Contract, until_ns: int, tx: Tx) -> list[int]:
    """How far the agents of a place have reported. One that never says it (a daemon), or that was gone long before, is not waited for."""
    gone_ns = until_ns - contract.seller.grace_limit_ns
    return [
        agent.reported_until_ns
        for agent in store.registry.agents(place, tx=tx)
        if agent.reported_until_ns > 0 and agent.received_at_ns >= gone_ns
    ]
