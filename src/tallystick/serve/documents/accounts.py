"""Documents of who is billed and who bills: customers, the seller, keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from tallystick.model.access import Counters, CpuHoursUnit, Role, SourceProfile
from tallystick.model.billing.contracts import Address, Customer, Seller
from tallystick.model.calendar import zone
from tallystick.model.instants import iso
from tallystick.serve.documents.values import CurrencyCode, Document, Id, Integer, Labels, Name, ShownInstant

LONGEST_INTERVAL_MS = 24 * 3600 * 1000
MOST_PER_SECOND = 10**12


def _time_zone(value: str) -> str:
    zone(value)
    return value


TimeZone = Annotated[
    Name, AfterValidator(_time_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"], "description": "An IANA zone."})
]


class AddressDocument(Document):
    """A postal address as it is printed."""

    lines: Annotated[tuple[Name, ...], Field(max_length=6)] = ()
    city: Name = ""
    postal_code: Name = ""
    region: Name = ""
    country: Name = ""

    def value(self) -> Address:
        """The address."""
        return Address(lines=self.lines, city=self.city, postal_code=self.postal_code, region=self.region, country=self.country)


class NewCustomer(Document):
    """A customer to be created. `id` is made up when it is not given, `name` is then needed to tell them apart."""

    id: Id | None = None
    name: Name = ""
    currency: CurrencyCode = "USD"
    time_zone: TimeZone = "UTC"
    address: AddressDocument = AddressDocument()
    email: Name = ""
    tax_id: Name = ""
    labels: Labels = Field(default_factory=dict)

    def value(self, customer_id: str) -> Customer:
        """The customer, by this id."""
        return Customer(
            id=customer_id,
            name=self.name or customer_id,
            currency=self.currency,
            time_zone=self.time_zone,
            address=self.address.value(),
            email=self.email,
            tax_id=self.tax_id,
            labels=dict(self.labels),
        )


class ShownCustomer(Document):
    """A customer. `time_zone` is that of its billing periods and usage days."""

    id: str
    name: str
    currency: str
    time_zone: str
    address: AddressDocument
    email: str
    tax_id: str
    labels: dict[str, str]
    created_at: ShownInstant


class SellerDocument(Document):
    """Who sends the invoices, and how. `tax` is `not_computed`: it is printed. Grace is how long a period waits for late usage."""

    id: Id | None = None
    name: Name
    currency: CurrencyCode = "USD"
    time_zone: TimeZone = "UTC"
    address: AddressDocument = AddressDocument()
    email: Name = ""
    tax_id: Name = ""
    tax: Annotated[str, Field(pattern="^not_computed$")] = "not_computed"
    terms_days: Annotated[Integer, Field(le=3650)] = 14
    grace_ns: Integer = 3600 * 10**9
    grace_limit_ns: Integer = 72 * 3600 * 10**9
    fiscal_year_month: Annotated[Integer, Field(ge=1, le=12)] = 1
    number_prefix: Annotated[Name, Field(max_length=20, pattern=r"^[A-Za-z0-9._-]*$")] = "INV"

    def value(self, seller_id: str) -> Seller:
        """The seller, by this id."""
        members = {name: getattr(self, name) for name in type(self).model_fields if name not in ("id", "address")}
        return Seller(id=seller_id, address=self.address.value(), **members)


class Profile(Document):
    """What the client of a key means but does not say; what is left out is as the server's settings say.

    `counters`: whether the counters of its samples are sums since it started, or what was used since the sample before.
    `sampling_interval_ms`: how often it samples. `cpu_hours_unit`: what `cpu_hours` of its usage reports holds.
    `nobody`: customer ids that mean nobody; what comes under them is held as unassigned.
    """

    counters: Counters | None = None
    sampling_interval_ms: Annotated[Integer, Field(ge=1, le=LONGEST_INTERVAL_MS)] | None = None
    cpu_hours_unit: CpuHoursUnit = CpuHoursUnit.CORE_HOURS
    nobody: Annotated[tuple[Id, ...], Field(max_length=100)] | None = None


class RateLimitDocument(Document):
    """How much a key may send in a second, ten times as much at once; 0: as much as it can."""

    bytes_per_second: Annotated[Integer, Field(ge=0, le=MOST_PER_SECOND)] = 0
    requests_per_second: Annotated[Integer, Field(ge=0, le=MOST_PER_SECOND)] = 0


class NewKey(Document):
    """A key to be made: its role, and the customers (for `agent`, `customer`) and regions (for `agent`) that it is limited to.

    `profile` is for those that write usage (`agent`, `admin`). `rate_limit` null: what the server's settings say.
    """

    role: Role
    name: Name = ""
    customers: Annotated[tuple[Id, ...], Field(max_length=1000)] = ()
    regions: Annotated[tuple[Id, ...], Field(max_length=1000)] = ()
    profile: Profile | None = None
    rate_limit: RateLimitDocument | None = None


class ShownKey(Document):
    """A key without its secret."""

    id: str
    name: str
    role: Role
    customers: tuple[str, ...]
    regions: tuple[str, ...]
    profile: Profile
    rate_limit: RateLimitDocument | None
    created_at: ShownInstant
    revoked_at: ShownInstant | None


class CreatedKey(ShownKey):
    """A key that was just made. `key` is the secret: it is shown once, and null when the request is repeated."""

    key: str | None


def read_profile(told: Profile | None) -> SourceProfile:
    """What a document says of a key's client."""
    if told is None:
        return SourceProfile()
    return SourceProfile(
        counters=told.counters,
        interval_ns=None if told.sampling_interval_ms is None else told.sampling_interval_ms * 10**6,
        cpu_hours_unit=told.cpu_hours_unit,
        nobody=None if told.nobody is None else frozenset(told.nobody),
    )


def shown_profile(profile: SourceProfile) -> Profile:
    """A profile as a document; null is what the settings say."""
    return Profile(
        counters=profile.counters,
        sampling_interval_ms=None if profile.interval_ns is None else profile.interval_ns // 10**6,
        cpu_hours_unit=profile.cpu_hours_unit,
        nobody=None if profile.nobody is None else tuple(sorted(profile.nobody)),
    )


def shown_address(address: Address) -> AddressDocument:
    """An address as a document."""
    return AddressDocument(
        lines=address.lines, city=address.city, postal_code=address.postal_code, region=address.region, country=address.country
    )


def shown_customer(customer: Customer, created_at_ns: int) -> ShownCustomer:
    """A customer as a document."""
    return ShownCustomer(
        id=customer.id,
        name=customer.name,
        currency=customer.currency,
        time_zone=customer.time_zone,
        address=shown_address(customer.address),
        email=customer.email,
        tax_id=customer.tax_id,
        labels=dict(customer.labels),
        created_at=iso(created_at_ns),
    )


def shown_seller(seller: Seller) -> SellerDocument:
    """The seller as a document; what is shown can be sent back."""
    members = {name: getattr(seller, name) for name in SellerDocument.model_fields if name != "address"}
    return SellerDocument.model_construct(**members, address=shown_address(seller.address))
