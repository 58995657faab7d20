"""Usage records that come by REST: through the same checks and the same writer as those that come by rpc."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.ingest import notices
from tallystick.ingest.submission import Clock, Intake, Submission
from tallystick.ingest.writer import StoreFailed
from tallystick.model.access import Grant
from tallystick.model.outcomes import BatchResult, Refusal
from tallystick.model.records import SentRecord
from tallystick.serve.problems import UNAVAILABLE, Problem


class Recording:
    """Stores the usage records of requests."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake = intake
        self._clock = clock

    async def __call__(self, grant: Grant, sent: Sequence[SentRecord | Refusal], size_bytes: int) -> Sequence[BatchResult]:
        """What became of each, in their order, once all is durable. What is refused already is not tried.

        Raises:
            Problem: the store is away; nothing was stored.

        """
        received_at_ns = self._clock.now_ns()
        records = [each if isinstance(each, Refusal) else notices.usage_record(each, received_at_ns) for each in sent]
        submission = Submission(grant=grant, received_at_ns=received_at_ns, records=records, size_bytes=size_bytes)
        try:
            return (await self._intake.submit(submission)).records
        except StoreFailed as failed:
            raise Problem(UNAVAILABLE, f"{failed}; nothing was stored") from None
