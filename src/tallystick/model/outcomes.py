"""What becomes of what was sent: closed outcomes, each transient (send again) or final (never again)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, assert_never

K = TypeVar("K", bound=Hashable)


class Outcome(StrEnum):
    """The outcome of one batch, event or fact."""

    STORED = "stored"
    REPEATED = "repeated"
    REFUSED = "refused"
    CONFLICT = "conflict"


class RefusalCode(StrEnum):
    """Why a batch, event or fact is refused."""

    EMPTY_ID = "empty_id"
    WRONG_LENGTH = "wrong_length"
    OUT_OF_RANGE = "out_of_range"
    UNORDERED = "unordered"
    FUTURE = "future"
    DAMAGED = "damaged"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    NOT_ALLOWED = "not_allowed"


def is_transient(outcome: Outcome) -> bool:
    """Whether sending the same thing again could end otherwise: no outcome of a batch is transient.

    What is transient (a full or absent server) is an error of the whole request, not an outcome.
    """
    match outcome:
        case Outcome.STORED | Outcome.REPEATED | Outcome.REFUSED | Outcome.CONFLICT:
            return False
        case _:
            assert_never(outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something was refused: code, the field at fault, its index in the batch (None: the whole field), its value."""

    code: RefusalCode
    field: str
    index: int | None = None
    value: str = ""

    def sentence(self) -> str:
        """One line for a person: `measured_at[3] = 17: unordered`."""
        place = self.field if self.index is None else f"{self.field}[{self.index}]"
        return f"{place} = {self.value}: {self.code}" if self.value else f"{place}: {self.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """The outcome of one batch: a refusal says why; a conflict carries both content hashes, in hex."""

    outcome: Outcome
    refusal: Refusal | None = None
    stored_hash: str = ""
    sent_hash: str = ""


def outcomes(sent: Iterable[tuple[K, bytes]], known: Mapping[K, bytes]) -> list[BatchResult]:
    """What becomes of what is sent, as (identity, content hash), beside what is known by its identity: in the order in which it came.

    The first under an identity is stored, the same content again is repeated, other content is a conflict, and what is stored stays.
    """
    hashes, found = dict(known), []
    for identity, sent_hash in sent:
        stored_hash = hashes.get(identity)
        if stored_hash is None:
            hashes[identity] = sent_hash
            found.append(BatchResult(outcome=Outcome.STORED))
        elif stored_hash == sent_hash:
            found.append(BatchResult(outcome=Outcome.REPEATED))
        else:
            found.append(BatchResult(outcome=Outcome.CONFLICT, stored_hash=stored_hash.hex(), sent_hash=sent_hash.hex()))
    return found
