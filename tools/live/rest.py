"""A small client of the product's REST interface, for scripts: standard library only, errors as the server words them."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

Json = Any
Query = str | int | None
TIMEOUT_SECONDS = 60


class RefusedError(Exception):
    """The server said no: its status, and the problem document that tells code, field and value."""

    def __init__(self, status: int, problem: str) -> None:
        """Keep both; the message shows both."""
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.problem = problem


class Rest:
    """Requests to one server with one key."""

    def __init__(self, url: str, key: str) -> None:
        """`url` without a path, as in http://127.0.0.1:8080."""
        self.url = url.rstrip("/")
        self.key = key

    def get(self, path: str, **query: Query) -> Json:
        """The JSON document at a path."""
        return json.loads(self.bytes(path, **query))

    def bytes(self, path: str, **query: Query) -> bytes:
        """The body at a path as it comes."""
        asked = {name: str(value) for name, value in query.items() if value is not None}
        return self._send("GET", path + (f"?{urllib.parse.urlencode(asked)}" if asked else ""), None, {})

    def post(self, path: str, body: Mapping[str, Json] | None = None) -> Json:
        """What is answered to a JSON document posted to a path."""
        text = self._send("POST", path, json.dumps(body or {}).encode(), {"Content-Type": "application/json"})
        return json.loads(text) if text else None

    def put(self, path: str, body: Mapping[str, Json]) -> Json:
        """What is answered to a JSON document put to a path."""
        text = self._send("PUT", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return json.loads(text) if text else None

    def post_text(self, path: str, text: str, content_type: str) -> Json:
        """What is answered to a text, such as a price book in YAML."""
        answer = self._send("POST", path, text.encode(), {"Content-Type": content_type})
        return json.loads(answer) if answer else None

    def items(self, path: str, **query: Query) -> Iterator[Json]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **query)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - the address is of a server that the script itself started
            self.url + path, data=body, method=method, headers={"Authorization": f"Bearer {self.key}", **headers}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above
                read: bytes = answer.read()
                return read
        except urllib.error.HTTPError as error:
            raise RefusedError(error.code, error.read().decode(errors="replace")) from None


def quoted(text: str) -> str:
    """A text as one segment of a path."""
    return urllib.parse.quote(text, safe="")
