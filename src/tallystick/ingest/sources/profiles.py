"""What a source means but does not say: its key's profile over the settings (wire.md 1)."""

from __future__ import annotations

from dataclasses import dataclass

from connectrpc.code import Code
from connectrpc.errors import ConnectError

from tallystick.ingest import notices
from tallystick.model.access import Counters, Grant, SourceProfile
from tallystick.model.outcomes import Refusal, RefusalCode


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProfile:
    """All that the rows of a source leave open: their counters, their sampling interval, the customer ids that mean nobody."""

    counters: Counters = Counters.CUMULATIVE
    interval_ns: int = 100_000_000
    nobody: frozenset[str] = frozenset({"default-customer"})

    def under(self, told: SourceProfile) -> RowProfile:
        """The profile of a key, with these values for what it leaves to the settings."""
        if told == NOTHING_TOLD:
            return self
        return RowProfile(
            counters=self.counters if told.counters is None else told.counters,
            interval_ns=self.interval_ns if told.interval_ns is None else told.interval_ns,
            nobody=self.nobody if told.nobody is None else told.nobody,
        )

    @property
    def differences(self) -> bool:
        """Whether counters are what was used since the sample before."""
        return self.counters is Counters.PER_SAMPLE

    def customer(self, customer_id: str) -> str:
        """The customer that is meant; empty for nobody."""
        return "" if customer_id in self.nobody else customer_id


NOTHING_TOLD = SourceProfile()


def owner_refusal(grant: Grant, customer_id: str, region: str = "") -> Refusal | None:
    """Why a key may not write for this customer (empty: nobody) and region (empty: not told), or they cannot be."""
    refusal = notices.id_refusal("customer_id", customer_id) or notices.id_refusal("region", region)
    if refusal is None and customer_id and not grant.allows_customer(customer_id):
        refusal = Refusal(code=RefusalCode.NOT_ALLOWED, field="customer_id", value=customer_id)
    if refusal is None and region and not grant.allows_region(region):
        refusal = Refusal(code=RefusalCode.NOT_ALLOWED, field="region", value=region)
    return refusal


def check(refusal: Refusal | None) -> None:
    """Let the whole request fail for a refusal.

    Raises:
        ConnectError: `permission_denied` for what is not allowed, else `invalid_argument`.

    """
    if refusal is not None:
        code = Code.PERMISSION_DENIED if refusal.code is RefusalCode.NOT_ALLOWED else Code.INVALID_ARGUMENT
        raise ConnectError(code, refusal.sentence())
