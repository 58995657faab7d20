"""Who calls, and how what they send reaches the writer: errors of the whole request are Connect errors."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from tallystick.ingest.submission import Intake, Receipt, Submission
from tallystick.ingest.writer import StoreFailed
from tallystick.model.access import Busy, Grant, Ticket

RETRY_AFTER_SECONDS = 1

CALLER: ContextVar[Grant] = ContextVar("CALLER")
"""Who calls, for the handler of the request that this context runs."""


TICKET: ContextVar[Ticket] = ContextVar("TICKET")
"""The ticket of the request that this context runs."""


class Authenticator(Protocol):
    """Who tells what a caller may do."""

    async def authenticate(self, headers: Mapping[str, str], listener: tuple[str, int] | None) -> Grant:
        """The grant of a request with these headers (names in lower case), which came in at this address.

        Raises:
            Denied: nobody known, or a known caller that contradicts its key.

        """
        ...


def caller() -> Grant:
    """Who calls, in a handler.

    Raises:
        ConnectError: `unauthenticated`: the handler was reached past the door.

    """
    try:
        return CALLER.get()
    except LookupError:
        raise ConnectError(Code.UNAUTHENTICATED, "no key") from None


async def stored(intake: Intake, submission: Submission, ctx: RequestContext[Any, Any]) -> Receipt:
    """Hand a submission to the writer and wait until it is durable.

    Raises:
        ConnectError: `resource_exhausted` or `unavailable`, with `Retry-After`: nothing was stored, send it again.

    """
    if trace := ctx.request_headers.get("traceparent"):
        submission = replace(submission, trace=trace)
    try:
        TICKET.get().grow(submission.size_bytes)
        return await intake.submit(submission)
    except Busy as busy:
        ctx.response_headers["retry-after"] = str(busy.retry_after_seconds)
        raise ConnectError(Code.RESOURCE_EXHAUSTED, str(busy)) from None
    except StoreFailed as failed:
        ctx.response_headers["retry-after"] = str(RETRY_AFTER_SECONDS)
        raise ConnectError(Code.UNAVAILABLE, str(failed)) from None
