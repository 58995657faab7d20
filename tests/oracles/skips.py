"""Every case that is not run, and why: by its topic and kind, and for a policy by the words of the policy. Never by its id or a number.

An `arithmetic` or `data` case is left out only with all of its kind: a kind for later, or one that the product knows nothing of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.oracles.cases import Case

LATER: Mapping[str, str] = {
    "credit": "later: prepaid credits, coupons and credit notes (billing.md, Ledger and payments)",
    "einvoice_rule": "later: e-invoices (billing.md, Tax)",
    "einvoice_totals": "later: e-invoices (billing.md, Tax)",
    "invoice_balance": "later: payments (billing.md, Ledger and payments)",
    "invoice_tax": "later: tax on lines (billing.md, Tax)",
    "tax_treatment": "later: tax rules (billing.md, Tax)",
    "vat_number": "later: VAT numbers (billing.md, Tax)",
    "vat_rate": "later: VAT rates (billing.md, Tax)",
}
"""Topics of a later piece of work."""

NO_SUCH_FEATURE: Mapping[tuple[str, str], str] = {}
"""Kinds that neither metering.md nor billing.md knows, and that nobody would look for here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A policy that is not ours and no setting. `words` must all stand in the case's policy; empty: the kind's policy is always this."""

    topic: str
    kind: str
    reason: str
    words: Mapping[str, object] = field(default_factory=dict)


POLICIES: tuple[Skip, ...] = (
    Skip(
        topic="aggregation",
        kind="event_function",
        words={"non_numeric": "ignored"},
        reason="a value that is no number is refused with its field, never counted as nothing (metering.md, Samples)",
    ),
    Skip(
        topic="aggregation",
        kind="merge_rollups",
        reason="of two measurements of one cell one bills, they are not mixed; integrals are kept, not averages"
        " (metering.md, Two sources for one thing)",
    ),
    Skip(
        topic="allocation",
        kind="split_minor_units",
        words={
            "method": "source hands out the remainder from the first share on; required of any product: sum preserved, each share within"
            " one unit of the exact share"
        },
        reason="shares are by largest remainder, ties to the earlier part (billing.md, Money)",
    ),
    Skip(
        topic="calendar",
        kind="billable_days",
        reason="days of a part are the local dates that it touches, not its length rounded up (billing.md, Proration `daily`)",
    ),
    Skip(
        topic="charge",
        kind="graduated",
        words={"zero_usage_first_tier_flat": "charged"},
        reason="a tier adds its flat fee once it is reached, and nothing reaches none (billing.md, `graduated`)",
    ),
    Skip(
        topic="charge",
        kind="graduated_percentage",
        words={"zero_usage_first_tier_flat": "charged"},
        reason="a tier adds its flat fee once it is reached, and nothing reaches none (billing.md, `graduated_percentage`)",
    ),
    Skip(
        topic="charge",
        kind="graduated_prorated",
        reason="usage is never prorated, and a tier is one of the period's whole quantity (billing.md, Subscriptions and periods)",
    ),
    Skip(
        topic="charge",
        kind="rule_groups",
        reason="the first charge that matches prices a quantity by its one model: rules of groups do not add up (billing.md, Price book)",
    ),
    Skip(
        topic="charge",
        kind="volume_prorated",
        reason="usage is never prorated: what chooses the tier is what is charged (billing.md, Subscriptions and periods)",
    ),
    Skip(
        topic="idempotency",
        kind="acceptance_window",
        reason="how late an event may be is unlimited (metering.md, Samples)",
    ),
    Skip(
        topic="idempotency",
        kind="batch",
        words={"atomic": True},
        reason="a batch has an outcome per event, and a repeat is answered as success (wire.md, Events; metering.md, law 4)",
    ),
    Skip(
        topic="idempotency",
        kind="duplicate_events",
        words={"identity": "(id, at)"},
        reason="identity is (scope, source, id): the same id with another instant is a conflict (wire.md, Events)",
    ),
    Skip(
        topic="idempotency",
        kind="duplicate_events",
        words={"identity": "transaction_id and timestamp"},
        reason="identity is (scope, source, id): the same id with another instant is a conflict (wire.md, Events)",
    ),
    Skip(
        topic="idempotency",
        kind="duplicate_events",
        words={"kept": "last"},
        reason="what came first stays, other content under its identity is a conflict (wire.md, Events)",
    ),
    Skip(
        topic="idempotency",
        kind="duplicate_events",
        words={"kept": "latest ingested"},
        reason="what came first stays, other content under its identity is a conflict (wire.md, Events)",
    ),
    Skip(
        topic="idempotency",
        kind="http_key",
        reason="a mutation may have an Idempotency-Key and need not, one that was used for another request is answered 409, and refusals"
        " are not kept (wire.md, REST)",
    ),
    Skip(
        topic="idempotency",
        kind="one_per_hour",
        reason="identity is (scope, source, id): two events of one hour are two (wire.md, Events)",
    ),
    Skip(
        topic="idempotency",
        kind="rolling_window",
        reason="an identity is known for ever (wire.md, Events)",
    ),
    Skip(
        topic="money_format",
        kind="plain",
        reason="an amount has the decimals of its currency, whole or not, and its code beside it (billing.md, Money; wire.md, REST)",
    ),
    Skip(
        topic="period",
        kind="timezone_change",
        reason="a zone change takes effect at the next billing period (metering.md, usage day)",
    ),
    Skip(
        topic="proration",
        kind="fixed_month_days",
        reason="a stub is measured in the days of its real cycle: exact, daily or none (billing.md, Subscriptions and periods)",
    ),
    Skip(
        topic="proration",
        kind="in_advance_cycles",
        reason="the 31st becomes the last day of a short month and returns, also when a stub is divided; the source steps back from the"
        " clamped day (billing.md, Subscriptions and periods)",
    ),
    Skip(
        topic="proration",
        kind="plan_change_deduct",
        reason="a plan change credits the unused part of the fee, not all of it (billing.md, Subscriptions and periods)",
    ),
)


def reason_of(case: Case) -> str:
    """Why a case is not run, or nothing."""
    if case.topic in LATER:
        return LATER[case.topic]
    if (case.topic, case.kind) in NO_SUCH_FEATURE:
        return f"no such feature: {NO_SUCH_FEATURE[case.topic, case.kind]}"
    if case.nature != "policy":
        return ""
    return next((skip.reason for skip in POLICIES if (skip.topic, skip.kind) == (case.topic, case.kind) and _stands(skip, case)), "")


def _stands(skip: Skip, case: Case) -> bool:
    return all(case.policy.get(name) == words for name, words in skip.words.items())
