"""One kept connection to the server: Connect unary calls of the native protocol over `http.client`, and what their failures mean."""

from __future__ import annotations

import http.client
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb

RPC_PATH = "/tallystick.v1.IngestService/Send"
TIMEOUT_SECONDS = 30
_DRIFT_NS = 50 * 10**6
"""Two clocks drift apart by less than this in the time of eight requests."""


class FailureKind(StrEnum):
    """Why a whole request failed; also the `error_type` of metrics. All but `INVALID` and `TOO_LARGE` are transient."""

    UNREACHABLE = "unreachable"
    UNAVAILABLE = "unavailable"
    EXHAUSTED = "resource_exhausted"
    DENIED = "unauthenticated"
    TOO_LARGE = "too_large"
    INVALID = "invalid_argument"
    ANSWER = "bad_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request that was not answered with outcomes."""

    kind: FailureKind
    detail: str
    retry_after_seconds: float | None = None


class ServerClock:
    """How far a clock of ours is from the server's, as requests measure it: of the last ones the one that took least says it best."""

    MOST = 8

    def __init__(self) -> None:
        self._measured: deque[tuple[int, int]] = deque(maxlen=self.MOST)

    def measure(self, sent_ns: int, answered_ns: int, server_ns: int) -> None:
        """A request went at `sent_ns` and was answered at `answered_ns` by our clock, at `server_ns` by the server's.

        Its error is half of what it took. What the ones before say and this one cannot is no longer so: a clock was set.
        """
        took_ns, offset_ns = answered_ns - sent_ns, (sent_ns + answered_ns) // 2 - server_ns
        if took_ns < 0 or not server_ns:
            return
        self._measured = deque(
            ((took, offset) for took, offset in self._measured if abs(offset - offset_ns) <= (took + took_ns) // 2 + _DRIFT_NS),
            maxlen=self.MOST,
        )
        self._measured.append((took_ns, offset_ns))

    @property
    def offset_ns(self) -> int | None:
        """Our clock minus the server's; None: it was never measured."""
        return min(self._measured)[1] if self._measured else None


class Connection:
    """Speaks to one endpoint; opened when needed, kept between requests, opened again after an error."""

    def __init__(self, endpoint: str, key: Callable[[], str], agent: str) -> None:
        """`key` gives the API key for each request, empty for none; `agent` is said in User-Agent."""
        parts = urlsplit(endpoint)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/") + RPC_PATH
        self._key = key
        self._agent = agent
        self._http: http.client.HTTPConnection | None = None

    def send(self, body: bytes) -> pb.SendResponse | Failure:
        """Post one serialized `SendRequest`. A kept connection that the server has closed meanwhile is opened anew, once."""
        headers = {"Content-Type": "application/proto", "Connect-Protocol-Version": "1", "User-Agent": self._agent}
        key = self._key()
        if key:
            headers["Authorization"] = f"Bearer {key}"
        for attempt in (0, 1):
            fresh = self._http is None
            try:
                status, answer_headers, content = self._post(body, headers)
                break
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if attempt or fresh or isinstance(error, TimeoutError):
                    return Failure(kind=FailureKind.UNREACHABLE, detail=f"{type(error).__name__}: {error}")
        if status != 200:
            return failure_of(status, content, answer_headers)
        try:
            return pb.SendResponse.FromString(content)
        except DecodeError:
            return Failure(kind=FailureKind.ANSWER, detail=f"200 with {len(content)} bytes that are no SendResponse")

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
        if self._http is None:
            make = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._http = make(self._host, self._port, timeout=TIMEOUT_SECONDS)
        self._http.request("POST", self._path, body, headers)
        answer = self._http.getresponse()
        return answer.status, answer.headers, answer.read()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._http is not None:
            self._http.close()
            self._http = None


def failure_of(status: int, content: bytes, headers: http.client.HTTPMessage) -> Failure:
    """What an answer that is not 200 means. Connect errors carry `code` and `message` as JSON; proxies may answer anything."""
    code, message = "", content[:200].decode("utf-8", "replace")
    try:
        said = json.loads(content)
        code, message = str(said.get("code", "")), str(said.get("message", ""))
    except (ValueError, AttributeError):
        pass
    return Failure(kind=_kind(status, code), detail=f"{status} {code} {message}".strip(), retry_after_seconds=_seconds(headers))


def _kind(status: int, code: str) -> FailureKind:
    if status == 413:
        return FailureKind.TOO_LARGE
    if status == 429 or code == "resource_exhausted":
        return FailureKind.EXHAUSTED
    if status in (401, 403):
        return FailureKind.DENIED
    if status == 400 and code in ("invalid_argument", "out_of_range"):
        return FailureKind.INVALID
    return FailureKind.UNAVAILABLE


def _seconds(headers: http.client.HTTPMessage) -> float | None:
    """Retry-After in seconds; the form with a date is taken as not said, as our servers do not send it."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
