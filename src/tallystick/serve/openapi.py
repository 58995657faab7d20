"""The OpenAPI document: complete, with the problem document beside every answer and the key as its security."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tallystick.serve.problems import CODES, MEDIA_TYPE

PROBLEM_STATUSES = {
    400: "The request cannot be read.",
    401: "A valid key is needed.",
    403: "The key may not do this.",
    404: "There is no such thing, or it is another's.",
    409: "It is there already, and other; or the idempotency key was used for another request.",
    413: "The body is too large.",
    415: "The body has another type than the route reads.",
    422: "A value is not allowed.",
    429: "Too much is under way; `Retry-After` says in how many seconds to come again.",
    500: "The server failed.",
}

PROBLEM_REFERENCE = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": words, **PROBLEM_REFERENCE} for status, words in PROBLEM_STATUSES.items()
}

FAULT_PROPERTIES: dict[str, Any] = {
    "code": {"type": "string", "enum": [code.name for code in CODES]},
    "field": {"type": "string", "description": "The field at fault: `address.lines[0]`."},
    "value": {"type": "string", "description": "Its value, cut after 200 characters."},
    "detail": {"type": "string"},
}

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A problem (RFC 9457). `code` is stable; `field` and `value` are what was at fault.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        **FAULT_PROPERTIES,
        "errors": {"type": "array", "items": {"type": "object", "properties": FAULT_PROPERTIES}},
        "mistakes": {
            "type": "array",
            "description": "Of a price book: every mistake, by line.",
            "items": {
                "type": "object",
                "required": ["line", "field", "found", "allowed"],
                "properties": {
                    "line": {"type": "integer"},
                    "field": {"type": "string"},
                    "found": {"type": "string"},
                    "allowed": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": False,
}

IDEMPOTENCY_HEADER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeated request with the same key is answered as the first was; another request under it is a conflict.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21-\\x7e]+$"},
}

DESCRIPTION = """Metering and billing for compute. Money is a string beside its currency; instants are ISO 8601 with offset, to the
nanosecond; usage is exact integers of any size. Lists are newest first, with a cursor. Every error is a problem document."""


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of this application, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
        for path in document["paths"].values():
            for method, operation in path.items():
                _complete(method, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(method: str, operation: dict[str, Any]) -> None:
    """What FastAPI cannot know: the idempotency header; which problems a route can have."""
    if method in ("post", "put", "delete") and operation.get("security"):
        operation.setdefault("parameters", []).append(IDEMPOTENCY_HEADER)
    for status in PROBLEM_STATUSES:
        answer = operation["responses"].get(str(status))
        if answer is not None:
            answer["content"] = PROBLEM_REFERENCE["content"]
