"""Whatever goes wrong while a request is answered, as a problem document; never a stack trace."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from tallystick.model.access import Busy, Denied
from tallystick.serve.documents.values import PATTERNS_SAY
from tallystick.serve.problems import (
    CODES,
    FORBIDDEN,
    INTERNAL,
    INVALID,
    MALFORMED,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    MISSING_FIELD,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNAVAILABLE,
    UNKNOWN_FIELD,
    UNSUPPORTED_TYPE,
    Code,
    Problem,
    shown,
)
from tallystick.store.engine import STORE_OFF

BY_STATUS = {code.status: code for code in (MALFORMED, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE, UNSUPPORTED_TYPE)}
KINDS = {"missing": MISSING_FIELD, "extra_forbidden": UNKNOWN_FIELD, "json_invalid": MALFORMED}
PLACES = frozenset({"body", "query", "path", "header"})
MOST_ERRORS = 50
RETRY_AFTER_SECONDS = 1


def answer_faults(app: FastAPI) -> None:
    """Answer each kind of fault of this application with a problem document."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(Denied, _denied)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for away in STORE_OFF:
        app.add_exception_handler(away, _away)
    app.add_exception_handler(Exception, _bug)


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """The document with its status."""
    return JSONResponse(problem.document(), problem.code.status, headers=headers, media_type=MEDIA_TYPE)


def _problem(_request: Request, error: Exception) -> Response:
    problem = cast("Problem", error)
    return problem_response(problem, {"Retry-After": str(RETRY_AFTER_SECONDS)} if problem.code is UNAVAILABLE else None)


def _denied(_request: Request, error: Exception) -> Response:
    if cast("Denied", error).known:
        return problem_response(Problem(FORBIDDEN, str(error)))
    return problem_response(Problem(UNAUTHENTICATED, str(error)), {"WWW-Authenticate": "Bearer"})


def _busy(_request: Request, error: Exception) -> Response:
    busy = cast("Busy", error)
    return problem_response(Problem(RESOURCE_EXHAUSTED, str(busy)), {"Retry-After": str(busy.retry_after_seconds)})


def _http(request: Request, fault: Exception) -> Response:
    error = cast("HTTPException", fault)
    code = BY_STATUS.get(error.status_code)
    path = shown(request.url.path)
    headers = dict(error.headers or {})
    if code is NOT_FOUND:
        return problem_response(Problem(NOT_FOUND, f"there is no route {path}", field="path", value=path), headers)
    if code is METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods(request))
        detail = f"{path} answers {allowed}"
        return problem_response(Problem(METHOD_NOT_ALLOWED, detail, field="method", value=request.method), {"Allow": allowed})
    if code is TOO_LARGE:
        return problem_response(
            Problem(TOO_LARGE, "the body is larger than the server takes", field="body", value=_length(request)), headers
        )
    if code is not None:
        return problem_response(Problem(code, str(error.detail), field="body", value=""), headers)
    return problem_response(
        Problem(next((each for each in CODES if each.status == error.status_code), INTERNAL), str(error.detail)), headers
    )


def _methods(request: Request) -> list[str]:
    """Every method that some route answers at this path."""
    found = [route for route in request.app.state.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in found for method in getattr(route, "methods", ())})


def _length(request: Request) -> str:
    return request.headers.get("content-length", "")


def _away(request: Request, error: Exception) -> Response:
    """The database restarts, is busy or full: nothing was changed, and the same request may do later. The log has the trace."""
    logging.getLogger("uvicorn.error").error("the store failed at %s", request.url.path, exc_info=error)
    return _problem(request, Problem(UNAVAILABLE, f"the store failed: {type(error).__name__}; nothing was changed"))


def _bug(_request: Request, _error: Exception) -> Response:
    """What should not happen: the server's log has the trace, the caller learns nothing of it."""
    return problem_response(Problem(INTERNAL, "something failed that should not; the server's log says what"))


def _validation(_request: Request, error: Exception) -> Response:
    return problem_response(validation_problem(cast("RequestValidationError", error).errors()))


def validation_problem(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The first of several validation errors, with all of them in `errors` if there are more."""
    faults = [_fault(error) for error in errors[:MOST_ERRORS]]
    code, field, value, detail = faults[0]
    more = tuple({"code": each[0].name, "field": each[1], "value": each[2], "detail": each[3]} for each in faults)
    return Problem(code, detail, field=field, value=value, errors=more if len(more) > 1 else ())


def _fault(error: Mapping[str, Any]) -> tuple[Code, str, str, str]:
    code = KINDS.get(error["type"], INVALID)
    field = field_of(error["loc"])
    if code is MALFORMED:
        reason = error.get("ctx", {}).get("error", "")
        return code, "body", "", f"the body is no JSON: {reason} at character {error['loc'][-1]}"
    if code is UNKNOWN_FIELD:
        return code, field, shown(error["input"]), f"{field}: there is no such field"
    if code is MISSING_FIELD:
        return code, field, "", f"{field}: is missing"
    # A whole document is no value that one would look for.
    value = "" if isinstance(error["input"], Mapping) else shown(error["input"])
    if (said := PATTERNS_SAY.get(error.get("ctx", {}).get("pattern", ""))) is not None:
        return code, field, value, f"{field}: {value!r} {said}"
    return code, field, value, f"{field}: {str(error['msg']).removeprefix('Value error, ')}"


def field_of(place: Sequence[str | int]) -> str:
    """The field of a place in a request: `("body", "address", "lines", 0)` is `address.lines[0]`."""
    parts = place[1:] if len(place) > 1 and place[0] in PLACES else place
    text = ""
    for part in parts:
        if part == "[key]":
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "body"
