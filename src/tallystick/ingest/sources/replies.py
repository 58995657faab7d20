"""What a collector is told: how many rows were stored, and of each that was not, which, why and with what value."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectrpc.code import Code
from connectrpc.errors import ConnectError

from tallystick.model.outcomes import BatchResult, Outcome, RefusalCode
from tallystick.proto.billing.collector.v1 import collector_pb2 as wire

MOST_PROBLEMS = 100
SHOWN_PROBLEMS = 3
QUARANTINED = "quarantined"
CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A row that was not stored, or that is remarkable: its place in the request, and why."""

    index: int
    vm_id: str
    code: str
    field: str
    value: str

    def sentence(self) -> str:
        """One line for a person: `metrics[3].timestamp = 0 s: quarantined`."""
        return f"metrics[{self.index}].{self.field} = {self.value}: {self.code}" if self.field else f"metrics[{self.index}]: {self.code}"


@dataclass(slots=True, kw_only=True)
class Tally:
    """Rows by what became of them, and the problems worth a word."""

    accepted: int = 0
    repeated: int = 0
    quarantined: int = 0
    refused: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, result: BatchResult, rows: int, index: int, vm_id: str) -> None:
        """Count the rows behind one result; `index` is the row that is named if they are not stored."""
        match result.outcome:
            case Outcome.STORED:
                self.accepted += rows
            case Outcome.REPEATED:
                self.repeated += rows
            case Outcome.CONFLICT:
                self.refused += rows
                value = f"stored {result.stored_hash[:16]}, sent {result.sent_hash[:16]}"
                self.problems.append(Problem(index=index, vm_id=vm_id, code=CONFLICT, field="window_start", value=value))
            case Outcome.REFUSED:
                self.refused += rows
                code = RefusalCode.UNSUPPORTED if result.refusal is None else result.refusal.code
                name, value = ("", "") if result.refusal is None else (result.refusal.field, result.refusal.value)
                self.problems.append(Problem(index=index, vm_id=vm_id, code=code, field=name, value=value))

    def message(self) -> str:
        """What a person is told; empty if every row is new and nothing is remarkable."""
        kinds = (
            (self.repeated, "was", "were", "stored before"),
            (self.quarantined, "is", "are", "set aside"),
            (self.refused, "is", "are", "refused"),
        )
        parts = [f"{count} row {one} {what}" if count == 1 else f"{count} rows {many} {what}" for count, one, many, what in kinds if count]
        ordered = sorted(self.problems, key=lambda each: each.index)
        parts += [each.sentence() for each in ordered[:SHOWN_PROBLEMS]]
        more = len(ordered) - SHOWN_PROBLEMS
        return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")

    def check(self) -> None:
        """Let the request fail if nothing of it is stored.

        Raises:
            ConnectError: `permission_denied`, `already_exists` (a conflict) or `invalid_argument`, by the first problem.

        """
        if self.accepted or self.repeated:
            return
        first = min(self.problems, key=lambda each: each.index, default=None)
        codes = {RefusalCode.NOT_ALLOWED.value: Code.PERMISSION_DENIED, CONFLICT: Code.ALREADY_EXISTS}
        raise ConnectError(codes.get(first.code if first else "", Code.INVALID_ARGUMENT), self.message())

    def reply(self) -> wire.SendMetricsBatchResponse:
        """The answer to a batch."""
        ordered = sorted(self.problems, key=lambda each: each.index)[:MOST_PROBLEMS]
        return wire.SendMetricsBatchResponse(
            success=True,
            message=self.message(),
            accepted=self.accepted,
            repeated=self.repeated,
            quarantined=self.quarantined,
            refused=self.refused,
            problems=[
                wire.MetricsProblem(index=each.index, vm_id=each.vm_id, code=each.code, field=each.field, value=each.value)
                for each in ordered
            ],
        )
