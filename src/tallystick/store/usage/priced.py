"""What is priced beside usage hours: events with their amounts, and what the market asked by the hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tallystick.model.access import Place
from tallystick.model.billing.invoices import MarketPrice, UsageEvent
from tallystick.model.billing.money import exact_text
from tallystick.model.instants import iso
from tallystick.store.engine import Tx, Values
from tallystick.store.records import Clash
from tallystick.store.section import Section
from tallystick.store.service.audit import append


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedPrice:
    """A market price with its currency."""

    price: MarketPrice
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedEvent:
    """An event under the id that its source gave it: unique in a scope, for ever."""

    id: str
    event: UsageEvent


class Priced(Section):
    """Events of a place, and the market prices of its seller. Neither ever changes: what comes again must be the same."""

    def put_prices(self, place: Place, prices: Sequence[QuotedPrice], *, actor: str, tx: Tx | None = None) -> int:
        """Keep market prices; how many are new.

        Raises:
            Clash: another price is known for one of these hours: nothing was stored.

        """
        with self._writing(tx) as writing:
            seller_key, now_ns = self._surrogates.seller(writing, place), self._clock.now_ns()
            hours = [each.price.hour_ns for each in prices]
            rows = writing.rows(
                "SELECT region, kind, hour_ns, currency, price FROM market_price WHERE seller_key = ? AND hour_ns >= ? AND hour_ns <= ?",
                (seller_key, min(hours, default=0), max(hours, default=-1)),
            )
            known: dict[tuple[str, str, int, str], str] = {(row[0], row[1], row[2], row[3]): row[4] for row in rows}
            new: list[Values] = []
            for each in prices:
                key = (each.price.region, each.price.kind, each.price.hour_ns, each.currency)
                told, price = str(each.price.price), known.get(key)
                if price is None:
                    known[key] = told
                    new.append((seller_key, *key, told, now_ns))
                elif price != told:
                    where = f"region {key[0]!r}, kind {key[1]!r}, {iso(key[2])}, {key[3]}"
                    raise Clash(f"{where}: the price is {exact_text(Fraction(price))} already, not {exact_text(each.price.price)}")
            stored = writing.many(
                "INSERT INTO market_price (seller_key, region, kind, hour_ns, currency, price, received_at_ns) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                new,
            )
            if stored != len(new):
                raise Clash("somebody else stored some of these prices just now: send them again")
            if new:
                append(writing, seller_key, now_ns, actor, "market_price.add", f"{len(new)} prices", {"from": iso(min(hours))})
        return len(new)

    def prices(
        self, place: Place, currency: str, kinds: Iterable[tuple[str, str]], from_ns: int, until_ns: int, *, tx: Tx | None = None
    ) -> list[MarketPrice]:
        """The prices of some regions and kinds in the hours that begin in [from_ns, until_ns)."""
        wanted = set(kinds)
        with self._reading(tx) as reading:
            clause, value = reading.each_of("region", sorted({region for region, _ in wanted}))
            rows = reading.rows(
                f"SELECT region, kind, hour_ns, price FROM market_price WHERE seller_key = ? AND {clause} AND hour_ns >= ? AND hour_ns < ?"
                " AND currency = ? ORDER BY region, kind, hour_ns",
                (self._surrogates.seller(reading, place), value, from_ns, until_ns, currency),
            )
        return [
            MarketPrice(region=row[0], kind=row[1], hour_ns=row[2], price=Fraction(row[3])) for row in rows if (row[0], row[1]) in wanted
        ]

    def quoted(self, place: Place, from_ns: int, until_ns: int, limit: int, *, tx: Tx | None = None) -> list[QuotedPrice]:
        """The last prices of the hours that begin in [from_ns, until_ns), newest first."""
        with self._reading(tx) as reading:
            rows = reading.rows(
                "SELECT region, kind, hour_ns, price, currency FROM market_price WHERE seller_key = ? AND hour_ns >= ? AND hour_ns < ?"
                f" ORDER BY hour_ns DESC, region, kind, currency LIMIT {limit:d}",
                (self._surrogates.seller(reading, place), from_ns, until_ns),
            )
        return [
            QuotedPrice(price=MarketPrice(region=row[0], kind=row[1], hour_ns=row[2], price=Fraction(row[3])), currency=row[4])
            for row in rows
        ]

    def put_events(self, place: Place, events: Sequence[IdentifiedEvent], *, tx: Tx | None = None) -> int:
        """Keep events; how many are new. A resource that nobody named before appears in the registry.

        Raises:
            Clash: another event has one of these ids: nothing was stored.

        """
        with self._writing(tx) as writing:
            scope_key, now_ns = self._surrogates.scope(writing, place), self._clock.now_ns()
            keys = self._surrogates.resources(writing, scope_key, {each.event.resource_id for each in events}, now_ns)
            known = self._known(writing, scope_key, [each.id for each in events])
            new: list[Values] = []
            for each in events:
                told = _told(keys, each.event)
                stored = known.setdefault(each.id, told)
                if stored != told:
                    raise Clash(f"event {each.id!r} is another one: what has an id never changes")
                if stored is told:
                    new.append((scope_key, each.id, *told, now_ns))
            made = writing.many(
                "INSERT INTO priced_event (scope_key, event_id, resource_key, meter, at_ns, amount, price, received_at_ns)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                new,
            )
            if made != len(new):
                raise Clash("somebody else stored some of these events just now: send them again")
        return len(new)

    def events(self, place: Place, resource_keys: Sequence[int], from_ns: int, until_ns: int, *, tx: Tx | None = None) -> list[UsageEvent]:
        """The events of some resources in [from_ns, until_ns)."""
        with self._reading(tx) as reading:
            clause, value = reading.each_of("e.resource_key", list(resource_keys))
            rows = reading.rows(
                "SELECT r.resource_id, e.meter, e.at_ns, e.amount, e.price FROM priced_event e"
                f" JOIN resource r ON r.resource_key = e.resource_key WHERE e.scope_key = ? AND {clause} AND e.at_ns >= ? AND e.at_ns < ?"
                " ORDER BY e.at_ns, e.event_key",
                (self._surrogates.scope(reading, place), value, from_ns, until_ns),
            )
        return [
            UsageEvent(
                resource_id=row[0], meter=row[1], at_ns=row[2], amount=Fraction(row[3]), price=None if row[4] is None else Fraction(row[4])
            )
            for row in rows
        ]

    @staticmethod
    def _known(tx: Tx, scope_key: int, ids: Sequence[str]) -> dict[str, Values]:
        clause, value = tx.each_of("event_id", list(ids))
        rows = tx.rows(
            f"SELECT event_id, resource_key, meter, at_ns, amount, price FROM priced_event WHERE scope_key = ? AND {clause}",
            (scope_key, value),
        )
        return {row[0]: tuple(row[1:]) for row in rows}


def _told(keys: Mapping[str, int], event: UsageEvent) -> Values:
    return keys[event.resource_id], event.meter, event.at_ns, str(event.amount), None if event.price is None else str(event.price)
