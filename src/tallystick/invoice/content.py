"""The canonical content of an invoice: equal content is equal bytes, and one hash (billing.md, One formula)."""

from __future__ import annotations

import json
from hashlib import sha256

from tallystick.invoice.codec import Json, encode
from tallystick.model.billing.invoices import Invoice

NOT_CONTENT = ("id", "number", "state", "issued_at", "due_at", "content_hash")
"""What the document adds to its content: who it is and when, and the hash itself."""


def canonical(invoice: Invoice) -> bytes:
    """The content of an invoice as bytes: JSON with sorted keys and no blanks, without what the document adds."""
    return _content(encode(invoice))


def content_hash(invoice: Invoice) -> str:
    """The SHA-256 of the canonical content, in hex."""
    return sha256(canonical(invoice)).hexdigest()


def hashed_json(invoice: Invoice) -> str:
    """An invoice as JSON text, whole, as `to_json` writes it; a draft of a preview, which has no content hash yet, with it."""
    document = encode(invoice)
    if not invoice.content_hash:
        document["content_hash"] = sha256(_content(document)).hexdigest()
    return json.dumps(document, ensure_ascii=False, indent=1)


def _content(document: Json) -> bytes:
    return canonical_bytes({key: value for key, value in document.items() if key not in NOT_CONTENT})


def canonical_bytes(document: Json) -> bytes:
    """One form for equal documents: UTF-8, sorted keys, no blanks."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
