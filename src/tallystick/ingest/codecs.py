"""Bodies of rpc requests: binary and strict JSON messages, plain, gzip or zstd, never larger than the limit once opened."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from backports.zstd import DecompressionParameter, ZstdCompressor, ZstdDecompressor, ZstdError
from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.compat import google_protobuf_binary_codec
from connectrpc.compression import Compression
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from google.protobuf.json_format import MessageToJson, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message

from tallystick.ingest.rows import DAEMON_ROW_FIELD, DAEMON_ROW_FIELDS, DAEMON_TEXTS
from tallystick.ingest.sources.alike import read_alike
from tallystick.ingest.sources.readings import ROW_FIELD, ROW_FIELDS
from tallystick.ingest.sources.wire_columns import TOO_MANY_ROWS, Table, TooManyRows, read_rows, texts_end
from tallystick.model.outcomes import Refusal, RefusalCode
from tallystick.proto.billing.collector.v1 import collector_pb2 as collector
from tallystick.proto.billing.v1 import billing_pb2 as daemon
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire

M = TypeVar("M", bound=Message)

LARGEST_EXPONENT = 40
"""No field holds a number of more digits."""

GZIP_WBITS = 31
"""Of zlib: the largest window, with the gzip header and trailer."""
ZSTD_LEVEL = 1
ZSTD_WINDOW_LOG_MAX = 23
"""8 MiB: what RFC 8878 asks a decoder to support. A larger window would only take memory."""
MOST_FRAMES = 1000
"""Frames or members of one body: senders make one. Millions of empty ones would hold the server for a minute."""

PARSED_FIELD = re.compile(r"Failed to parse (\w+) field: ")
UNKNOWN_FIELD = re.compile(r'no field named "(?P<field>[^"]*)" at "(?P<place>[^"]*)"')


class Zstd(Compression):
    """Zstandard, for requests and replies (RFC 8878). Frames need no content size."""

    def name(self) -> str:
        """As it stands in `Content-Encoding`."""
        return "zstd"

    def compress(self, body: bytes | bytearray | memoryview) -> bytes:
        """One frame."""
        return ZstdCompressor(level=ZSTD_LEVEL).compress(body, mode=ZstdCompressor.FLUSH_FRAME)

    def decompress(self, body: bytes | bytearray | memoryview, read_max_bytes: int | None = None) -> bytes:
        """All frames, at most `read_max_bytes` of content.

        Raises:
            ConnectError: `resource_exhausted` over the limit, `invalid_argument` if a frame is damaged or cut.

        """
        limit = -1 if read_max_bytes is None else read_max_bytes + 1
        found: list[bytes] = []
        rest: bytes | bytearray | memoryview = body
        while rest:
            if len(found) == MOST_FRAMES:
                raise ConnectError(Code.INVALID_ARGUMENT, f"content-encoding zstd: more than {MOST_FRAMES} frames")
            decoder = ZstdDecompressor(options={DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX})
            try:
                opened = decoder.decompress(rest, limit)
            except ZstdError as error:
                raise ConnectError(Code.INVALID_ARGUMENT, f"content-encoding zstd: {error}") from None
            found.append(opened)
            if read_max_bytes is not None:
                limit -= len(opened)
                if limit <= 0:
                    raise ConnectError(Code.RESOURCE_EXHAUSTED, f"message is larger than configured max {read_max_bytes}")
            if not decoder.eof:
                raise ConnectError(Code.INVALID_ARGUMENT, "content-encoding zstd: the body ends inside a frame")
            rest = decoder.unused_data
        return b"".join(found)


class Gzip(GzipCompression):
    """Gzip, with words for a damaged body."""

    def decompress(self, body: bytes | bytearray | memoryview, read_max_bytes: int | None = None) -> bytes:
        """All members, at most `read_max_bytes` of content.

        Raises:
            ConnectError: `resource_exhausted` over the limit, `invalid_argument` if a member is damaged or cut.

        """
        limit = 0 if read_max_bytes is None else read_max_bytes + 1
        found: list[bytes] = []
        rest: bytes | bytearray | memoryview = body
        while rest:
            if len(found) == MOST_FRAMES:
                raise ConnectError(Code.INVALID_ARGUMENT, f"content-encoding gzip: more than {MOST_FRAMES} members")
            decoder = zlib.decompressobj(wbits=GZIP_WBITS)
            try:
                opened = decoder.decompress(rest, limit)
            except zlib.error as error:
                raise ConnectError(Code.INVALID_ARGUMENT, f"content-encoding gzip: {error}") from None
            found.append(opened)
            if read_max_bytes is not None:
                limit -= len(opened)
                if limit <= 0:
                    raise ConnectError(Code.RESOURCE_EXHAUSTED, f"message is larger than configured max {read_max_bytes}")
            if not decoder.eof:
                raise ConnectError(Code.INVALID_ARGUMENT, "content-encoding gzip: the body ends inside a member")
            rest = decoder.unused_data
        return b"".join(found)


class StrictJson(Codec[Message, M]):
    """The protobuf JSON mapping, read exactly: integers of any size by their digits, an unknown field refused by its name."""

    def name(self) -> str:
        """As it stands in the content type."""
        return "json"

    def encode(self, message: Message) -> bytes:
        """One message; 64-bit integers become strings, what is empty is left out."""
        return MessageToJson(message, indent=None).encode()

    def decode(self, body: bytes | bytearray, message_class: type[M]) -> M:
        """One message.

        Raises:
            ConnectError: `invalid_argument` with the field at fault.

        """
        try:
            tree = json.loads(bytes(body) or b"{}", object_pairs_hook=_once, parse_float=_exact, parse_constant=_no_constant)
            if not isinstance(tree, dict):
                raise ConnectError(Code.INVALID_ARGUMENT, f"JSON body: an object is needed, not {type(tree).__name__}")
            return _parsed(tree, message_class)
        except (ValueError, RecursionError) as error:
            raise ConnectError(Code.INVALID_ARGUMENT, f"JSON body: {error}"[:500]) from None


class Binary(Codec[Message, M]):
    """The protobuf binary format, with words for what is no such message."""

    def __init__(self) -> None:
        self._inner = google_protobuf_binary_codec()

    def name(self) -> str:
        """As it stands in the content type."""
        return "proto"

    def encode(self, message: Message) -> bytes:
        """One message."""
        return message.SerializeToString()

    def decode(self, body: bytes | bytearray, message_class: type[M]) -> M:
        """One message.

        Raises:
            ConnectError: `invalid_argument`, or `resource_exhausted` for more rows than a request may have.

        """
        try:
            BODY_BYTES.set(len(body))
            return message_class.FromString(_without_rows(bytes(body), message_class))
        except TooManyRows:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, TOO_MANY_ROWS) from None
        except DecodeError:
            raise ConnectError(Code.INVALID_ARGUMENT, f"body: no {message_class.DESCRIPTOR.full_name} message") from None


def _without_rows(body: bytes, message_class: type[Message]) -> bytes:
    """What the library reads of a request: its rows, where they could be read as columns, are in `TABLE` instead."""
    if message_class is collector.SendMetricsBatchRequest:
        rows_at, row_field, fields = 0, ROW_FIELD, ROW_FIELDS
    elif message_class is daemon.SendMetricsBatchRequest:
        rows_at, row_field, fields = texts_end(body, DAEMON_TEXTS), DAEMON_ROW_FIELD, DAEMON_ROW_FIELDS
    else:
        return body
    rows = body[rows_at:]
    table = read_alike(rows, row_field, fields) or read_rows(rows, row_field, fields)
    TABLE.set(table)
    return body if table is None else body[:rows_at]


TABLE: ContextVar[Table | None] = ContextVar("TABLE", default=None)
"""The rows of the binary request of a daemon or a collector that this context runs, read as columns; the request has none then."""
BODY_BYTES: ContextVar[int] = ContextVar("BODY_BYTES", default=0)
"""How large the binary request is that this context runs, opened; 0: it is of another kind. A message asked for it counts it anew."""

MISREAD: ContextVar[Mapping[tuple[str, int], Refusal] | None] = ContextVar("MISREAD", default=None)
"""Records of the JSON request that this context runs which could not be read, by list and index: each is refused by itself."""

RECORDS: Mapping[str, type[Message]] = {
    "batches": wire.Batch,
    "events": wire.LifecycleEvent,
    "facts": wire.ResourceFacts,
    "records": wire.UsageRecord,
}
HEARTBEAT = "heartbeat"


def _parsed(tree: dict[str, object], message_class: type[M]) -> M:
    """The message of a JSON object. In a native request a record that cannot be read never costs its neighbours.

    Raises:
        ConnectError: `invalid_argument` with the field at fault.

    """
    try:
        return _read(tree, message_class())
    except ParseError as error:
        readable, misread = _apart(tree) if message_class is wire.SendRequest else (tree, {})
        if not misread:
            raise ConnectError(Code.INVALID_ARGUMENT, _words(error)) from None
    try:
        message = _read(readable, message_class())
    except ParseError as error:
        raise ConnectError(Code.INVALID_ARGUMENT, _words(error)) from None
    MISREAD.set(misread)
    return message


def _read(tree: object, message: M) -> M:
    """The message of a JSON value.

    Raises:
        ParseError: it has none.

    """
    try:
        return ParseDict(tree, message)  # type: ignore[arg-type]  # what is no object is refused by it
    except SystemError:  # protobuf's way to say that it cannot look up a name which UTF-8 cannot hold
        raise ParseError("a name or a value of an enumeration holds an unpaired surrogate") from None


def _apart(tree: dict[str, object]) -> tuple[dict[str, object], dict[tuple[str, int], Refusal]]:
    """The request with an empty record in the place of each that cannot be read, and why it cannot."""
    readable = dict(tree)
    misread: dict[tuple[str, int], Refusal] = {}
    for name, record in RECORDS.items():
        items = tree.get(name)
        if not isinstance(items, list):
            continue
        kept = list(items)
        for index, item in enumerate(items):
            try:
                _read(item, record())
            except (ParseError, AttributeError, TypeError) as error:
                misread[name, index] = _misread(name, str(error))
                kept[index] = {}
        readable[name] = kept
    if HEARTBEAT in tree:
        try:
            _read(tree[HEARTBEAT], wire.Heartbeat())
        except (ParseError, AttributeError, TypeError) as error:
            misread[HEARTBEAT, 0] = _misread(HEARTBEAT, str(error))
            del readable[HEARTBEAT]
    return readable, misread


def _misread(name: str, said: str) -> Refusal:
    if unknown := UNKNOWN_FIELD.search(said):
        return Refusal(code=RefusalCode.UNSUPPORTED, field=unknown["field"], value=f"unknown field in {unknown['place']}")
    fields = PARSED_FIELD.findall(said)
    reason = PARSED_FIELD.sub("", said).split("\n", 1)[0].rstrip(".")[:200]
    beyond = "out of range" in reason
    value = reason.rpartition(": ")[2] if beyond else reason
    return Refusal(code=RefusalCode.OUT_OF_RANGE if beyond else RefusalCode.DAMAGED, field=fields[-1] if fields else name, value=value)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"field {twice!r} stands twice in one object")
    return found


def _exact(text: str) -> float | int:
    """A number with a point or an exponent: a whole one exactly, by its digits, as 1e18 may stand for an integer."""
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond any that a decimal may have
        raise ValueError(f"{text[:60]} is too large or too small a number") from None
    if number.adjusted() > LARGEST_EXPONENT:
        raise ValueError(f"{text[:60]} is too large a number")
    return int(number) if number == number.to_integral_value() else float(number)


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON number")


def _words(error: ParseError) -> str:
    text = str(error)
    if unknown := UNKNOWN_FIELD.search(text):
        return f"unknown field {unknown['field']!r} in {unknown['place']}"
    return text.split("\n", 1)[0][:500]


CODECS: Sequence[Codec[Message, Message]] = (Binary(), StrictJson())
COMPRESSIONS: Sequence[Compression] = (Gzip(1), Zstd())
