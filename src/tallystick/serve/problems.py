"""Problem details (RFC 9457): every error of the API, with a stable code and the field and value at fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MEDIA_TYPE = "application/problem+json"
SHOWN_LENGTH = 200
"""How much of a wrong value is shown back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A kind of problem: its stable name, the HTTP status that it is answered with, and its title."""

    name: str
    status: int
    title: str


INVALID = Code(name="invalid", status=422, title="A value is not allowed")
UNKNOWN_FIELD = Code(name="unknown_field", status=422, title="There is no such field")
MISSING_FIELD = Code(name="missing_field", status=422, title="A field is missing")
MALFORMED = Code(name="malformed", status=400, title="The request cannot be read")
UNAUTHENTICATED = Code(name="unauthenticated", status=401, title="A valid key is needed")
FORBIDDEN = Code(name="forbidden", status=403, title="The key may not do this")
NOT_FOUND = Code(name="not_found", status=404, title="There is no such thing")
METHOD_NOT_ALLOWED = Code(name="method_not_allowed", status=405, title="The route has no such method")
GONE = Code(name="gone", status=410, title="It was deleted by age")
CONFLICT = Code(name="conflict", status=409, title="It is there already, and other")
KEY_REUSED = Code(name="idempotency_key_reused", status=409, title="The idempotency key was used for another request")
TOO_LARGE = Code(name="too_large", status=413, title="The request is too large")
UNSUPPORTED_TYPE = Code(name="unsupported_media_type", status=415, title="The body has another type than the route reads")
RESOURCE_EXHAUSTED = Code(name="resource_exhausted", status=429, title="Not now: too much is under way")
INTERNAL = Code(name="internal", status=500, title="The server failed")
NOT_READY = Code(name="not_ready", status=503, title="The server is not ready")
UNAVAILABLE = Code(name="unavailable", status=503, title="The store is away")

CODES = (
    INVALID,
    UNKNOWN_FIELD,
    MISSING_FIELD,
    MALFORMED,
    UNAUTHENTICATED,
    FORBIDDEN,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    GONE,
    CONFLICT,
    KEY_REUSED,
    TOO_LARGE,
    UNSUPPORTED_TYPE,
    RESOURCE_EXHAUSTED,
    INTERNAL,
    NOT_READY,
    UNAVAILABLE,
)
"""Every code that the API answers with."""


class Problem(Exception):  # noqa: N818 (it is an answer, not a fault)
    """An answer other than what was asked for: its code, a sentence for a person, the field and value at fault.

    `errors` are all faults of the same request, each with the members `code`, `field`, `value` and `detail`; `mistakes`
    those of a price book, each with `line`, `field`, `found` and `allowed`.
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        field: str = "",
        value: str = "",
        errors: tuple[dict[str, Any], ...] = (),
        mistakes: tuple[dict[str, Any], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.value = value
        self.errors = errors
        self.mistakes = mistakes

    def document(self) -> dict[str, Any]:
        """The members of the problem document; those that are empty are left out."""
        whole: dict[str, Any] = {
            "type": f"/problems/{self.code.name}",
            "title": self.code.title,
            "status": self.code.status,
            "code": self.code.name,
            "detail": self.detail.encode("utf-8", "backslashreplace").decode(),
        }
        if self.field:
            whole["field"] = self.field
            whole["value"] = shown(self.value)
        if self.errors:
            whole["errors"] = list(self.errors)
        if self.mistakes:
            whole["mistakes"] = list(self.mistakes)
        return whole


def shown(value: object) -> str:
    """A wrong value as it is shown back: text, cut after 200 characters; what UTF-8 cannot hold is escaped."""
    text = (value if isinstance(value, str) else repr(value)).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "…"


def not_found(field: str, value: str) -> Problem:
    """There is nothing by that id, or it is another's: the two are answered alike, so that ids cannot be probed."""
    return Problem(NOT_FOUND, f"no {field.removesuffix('_id').replace('_', ' ')} {shown(value)!r}", field=field, value=value)


def invalid(field: str, value: str, detail: str) -> Problem:
    """A value that is not allowed."""
    return Problem(INVALID, detail, field=field, value=value)


def conflict(field: str, value: str, detail: str) -> Problem:
    """Something is there already, and other than what was sent."""
    return Problem(CONFLICT, detail, field=field, value=value)
