"""A client of the server's REST interface for the command line: standard library only, so that `tally` starts at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tallystick.app.agent_settings import default_spool_directory

Json = Any
Query = str | int | bool | None

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_SECONDS = 60


class RefusedError(Exception):
    """The server said no, or nothing: its status (0: no answer) and the problem document (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Json]) -> None:
        """Keep both."""
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.problem = dict(problem)

    def lines(self) -> Iterator[str]:
        """The problem for a person: a line for it, and one for each of several mistakes."""
        told = self.problem
        what = str(told.get("detail") or told.get("title") or told.get("message") or "refused")
        field, value, code = told.get("field"), told.get("value"), told.get("code")
        shown = f" = {value!r}" if value not in (None, "") else ""
        if shown and f"{value}" not in what:
            what = what.removeprefix(f"{field}: ")
        place = f"{field}{shown}: " if field and not what.startswith(str(field)) else ""
        mistakes = told.get("mistakes") or ()
        if not mistakes:
            yield f"{place}{what}" + (f" [{code}]" if code else "")
        for mistake in mistakes:
            yield f"line {mistake['line']}: {mistake['field']}: found {mistake['found']}, allowed: {mistake['allowed']}"
        for further in told.get("errors") or ():
            yield f"  {further.get('field')} = {further.get('value')!r}: {further.get('detail')}"


def key_file() -> Path:
    """Where the key is, if `TALLY_KEY` has none: `TALLY_KEY_FILE`, else the first admin key of the store on this machine."""
    named = os.environ.get("TALLY_KEY_FILE", "")
    return Path(named) if named else default_spool_directory().parent / "admin.key"


def find_key() -> str:
    """The API key to call with: `TALLY_KEY`, or what its file holds, or none.

    Raises:
        RefusedError: the file that `TALLY_KEY_FILE` names, or the default one, is there and cannot be read.

    """
    if given := os.environ.get("TALLY_KEY", "").strip():
        return given
    path = key_file()
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        if os.environ.get("TALLY_KEY_FILE"):
            raise RefusedError(0, {"field": "TALLY_KEY_FILE", "value": str(path), "detail": "no such file"}) from None
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(0, {"field": "TALLY_KEY_FILE", "value": str(path), "detail": f"cannot be read: {error}"}) from None


class Client:
    """Requests to one server with one key."""

    def __init__(self, url: str, key: str) -> None:
        """`url` as in http://127.0.0.1:8080; an empty `key` is not sent."""
        self.url = url.rstrip("/")
        self.key = key

    def get(self, path: str, **query: Query) -> Json:
        """The document at a path; queries that are None are left out."""
        return json.loads(self.fetch("GET", path, query=query))

    def post(self, path: str, document: Json = None, **query: Query) -> Json:
        """What the server answers to a document; None if it answers nothing."""
        body = json.dumps({} if document is None else document).encode()
        return _document(self.fetch("POST", path, body=body, content_type="application/json", query=query))

    def put(self, path: str, document: Json) -> Json:
        """What the server answers to a document that is to be there."""
        return _document(self.fetch("PUT", path, body=json.dumps(document).encode(), content_type="application/json"))

    def post_text(self, path: str, text: str, content_type: str, **query: Query) -> Json:
        """What the server answers to a text, such as a price book in YAML."""
        return _document(self.fetch("POST", path, body=text.encode(), content_type=content_type, query=query))

    def delete(self, path: str) -> Json:
        """What the server answers to the removal of what is at a path; None if it answers nothing."""
        return _document(self.fetch("DELETE", path))

    def pages(self, path: str, limit: int, **query: Query) -> Iterator[Json]:
        """Up to `limit` items of a list, page by page."""
        for page in self.listings(path, limit, **query):
            yield from page["items"]

    def listings(self, path: str, limit: int, **query: Query) -> Iterator[Json]:
        """The pages of a list with up to `limit` items in all, each with what stands beside its items."""
        cursor: str | None = None
        left = limit
        while left > 0:
            page = self.get(path, **{**query, "limit": min(left, 200), "cursor": cursor})
            page["items"] = page["items"][:left]
            yield page
            left -= len(page["items"])
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def fetch(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str = "",
        accept: str = "application/json",
        query: Mapping[str, Query] | None = None,
    ) -> bytes:
        """The body of an answer as it comes.

        Raises:
            RefusedError: the server refused, or there is none.

        """
        from urllib.error import HTTPError, URLError
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        asked = {name: _query_text(value) for name, value in (query or {}).items() if value is not None}
        url = self.url + path + (f"?{urlencode(asked)}" if asked else "")
        if not url.startswith(("http://", "https://")):
            raise RefusedError(0, {"field": "TALLY_URL", "value": self.url, "detail": "must be http:// or https:// and a host"})
        headers = {"Accept": accept}
        if content_type:
            headers["Content-Type"] = content_type
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = Request(url, data=body, method=method, headers=headers)  # noqa: S310 - the scheme is checked above
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above
                read: bytes = answer.read()
                return read
        except HTTPError as error:
            raise RefusedError(error.code, _problem(error.code, error.read())) from None
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            problem = {"field": "TALLY_URL", "value": self.url, "detail": f"no server answers there: {reason}", "code": "no_answer"}
            raise RefusedError(0, problem) from None


def connect() -> Client:
    """A client of the server at `TALLY_URL` with the key of `TALLY_KEY`, `TALLY_KEY_FILE` or this machine."""
    return Client(os.environ.get("TALLY_URL", "") or DEFAULT_URL, find_key())


def segment(text: str) -> str:
    """A text as one segment of a path."""
    from urllib.parse import quote

    return quote(text, safe="")


def _query_text(value: Query) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _document(body: bytes) -> Json:
    return json.loads(body) if body else None


def _problem(status: int, body: bytes) -> Mapping[str, Json]:
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {"detail": body.decode(errors="replace")[:400] or f"status {status}", "code": str(status)}
