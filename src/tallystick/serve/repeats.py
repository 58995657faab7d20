"""Repeated mutations: under one `Idempotency-Key` a request is done once, and answered as the first time."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tallystick.model.access import Place
from tallystick.serve.problems import KEY_REUSED, Problem, conflict, invalid
from tallystick.store.service.repeats import Repeats

HEADER = "idempotency-key"
KEY = re.compile(r"[\x21-\x7e]{1,200}")
STALE_NS = 60 * 10**9
"""After a minute an answer that is still missing will not come: its server died, and the request may be done again."""

SECRETS = ("key",)
"""Members of answers that are shown once and never stored."""

Handler = Callable[[Request], Awaitable[Response]]
KEPT = frozenset(range(200, 300))
"""Answers that are kept. A refusal did nothing, so its request may simply be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, and where answers are kept: keys of two callers never meet."""

    repeats: Repeats
    place: Place
    actor: str


async def answer_once(request: Request, asker: Asker, handler: Handler) -> Response:
    """The answer of `handler`, or the one that was given to the same request under the same key before.

    The body must have been read. A request without the header is handled as it is.

    Raises:
        Problem: the key was used for another request, or its request is still being answered.

    """
    if HEADER not in request.headers:
        return await handler(request)
    key = request.headers[HEADER]
    if not KEY.fullmatch(key):
        raise invalid("Idempotency-Key", key, "Idempotency-Key: is 1 to 200 visible ASCII characters")
    digest = fingerprint(request.method, request.url.path, request.url.query, await request.body())
    kept = await run_in_threadpool(_claim, asker, key, digest)
    if kept is not None:
        return kept
    try:
        response = await handler(request)
    except BaseException:
        await run_in_threadpool(_release, asker, key)
        raise
    if response.status_code in KEPT:
        body = bytes(response.body)
        await run_in_threadpool(_keep, asker, key, response.status_code, body)
    else:
        await run_in_threadpool(_release, asker, key)
    return response


def fingerprint(method: str, path: str, query: str, body: bytes) -> bytes:
    """SHA-256 of a request; each part with its length, so that no two requests meet."""
    digest = hashlib.sha256()
    for part in (method.encode(), path.encode(), query.encode(), body):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def without_secrets(body: bytes) -> bytes:
    """The answer as it is stored: what is shown once is null."""
    document = json.loads(body) if body else None
    if isinstance(document, dict) and any(name in document for name in SECRETS):
        return json.dumps({name: None if name in SECRETS else value for name, value in document.items()}, ensure_ascii=False).encode()
    return body


def _claim(asker: Asker, key: str, digest: bytes) -> Response | None:
    """The answer that is kept, or None when the request is now ours to answer."""
    kept = asker.repeats.claim(asker.place, asker.actor, key, digest, STALE_NS)
    if kept is None:
        return None
    if kept.request_hash != digest:
        raise Problem(KEY_REUSED, "this key was used for another request", field="Idempotency-Key", value=key)
    if kept.status is None:
        raise conflict("Idempotency-Key", key, "the request of this key is still being answered")
    return Response(kept.answer, kept.status, media_type="application/json", headers={"Idempotency-Replayed": "true"})


def _keep(asker: Asker, key: str, status: int, body: bytes) -> None:
    asker.repeats.keep(asker.place, asker.actor, key, status, without_secrets(body))


def _release(asker: Asker, key: str) -> None:
    asker.repeats.release(asker.place, asker.actor, key)
