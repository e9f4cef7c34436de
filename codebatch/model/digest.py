r"""Digests and the one canonical JSON that is ever hashed.

A digest is ``sha256:<64 hex>`` of raw bytes. A document is hashed through its canonical JSON:
UTF-8, keys sorted by code point, no white space, no floats in anything that names something.
File names that are not valid UTF-8 travel as lone surrogates (PEP 383) and are written as
``\udcXX`` escapes, so that the text stays valid UTF-8 and every name has one spelling.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping

from codebatch.model.errors import InvalidIdError, StoreDamagedError

Document = dict[str, object]

DIGEST_PREFIX = "sha256:"
ID_HEX_DIGITS = 16

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_COMPACT = re.compile(rb'\{"digest":"(sha256:[0-9a-f]{64})",(?=")')
_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


def canonical_json(document: object) -> bytes:
    """Canonical JSON bytes, without a final newline."""
    # Only lone surrogates cannot be encoded, and they occur inside JSON strings alone, where
    # the \udcXX that backslashreplace writes is the JSON escape of the very same code point.
    return _encode(document).encode("utf-8", "backslashreplace")


def digest_bytes(data: bytes) -> str:
    """``sha256:<64 hex>`` of the bytes."""
    return DIGEST_PREFIX + hashlib.sha256(data).hexdigest()


EMPTY = digest_bytes(b"")


def digest_document(kind: str, document: object) -> str:
    """Digest of a document, tagged with its type so that different things never collide."""
    return digest_bytes(kind.encode() + b"\n" + canonical_json(document))


def numbered_digests(kind: str, items: list[object]) -> Callable[[int], str]:
    """A function that gives the digest of the document ``[*items, n]`` without hashing the items
    each time.
    """
    begun = hashlib.sha256(kind.encode() + b"\n" + canonical_json(items)[:-1])

    def digest(number: int) -> str:
        whole = begun.copy()
        whole.update(b",%d]" % number)
        return DIGEST_PREFIX + whole.hexdigest()

    return digest


def short_id(prefix: str, digest: str) -> str:
    """``<prefix>-<16 hex>``, the id derived from a digest."""
    return f"{prefix}-{digest[len(DIGEST_PREFIX) :][:ID_HEX_DIGITS]}"


def check_digest(value: object) -> str:
    """The value itself when it is a well-formed digest, else `InvalidIdError`."""
    if isinstance(value, str) and _DIGEST.match(value):
        return value
    raise InvalidIdError(f"not a digest: {value!r} (expected sha256:<64 hex digits>)")


def seal(document: Mapping[str, object]) -> Document:
    """The document with a ``digest`` field over all its other fields."""
    body = {key: value for key, value in document.items() if key != "digest"}
    return {"digest": digest_document("sealed", body), **body}


def compact(document: Mapping[str, object]) -> bytes:
    """A document sealed on one line, the digest first: quick to write and to check."""
    body = canonical_json({key: value for key, value in document.items() if key != "digest"})
    return b'{"digest":"%s",%s\n' % (_sealed_digest(body).encode(), body[1:])


def unseal(data: bytes, name: str) -> Document:
    """Parse a sealed document and check its digest; ``name`` says which in the error."""
    try:
        document = json.loads(data)
        if isinstance(document, dict) and _is_sealed(data, document):
            return document
    except (ValueError, RecursionError) as error:  # NaN, which is no JSON
        raise damaged_document(name, "not a complete JSON document") from error
    raise damaged_document(name, "the content does not match its digest")


def damaged_document(name: str, how: str) -> StoreDamagedError:
    """The error for a document that is not as it was written."""
    hints = ["see what is damaged: codebatch verify", "repair it: codebatch verify --repair"]
    return StoreDamagedError(f"{name}: {how}", hints=hints)


def _is_sealed(data: bytes, document: Document) -> bool:
    # What `compact` wrote holds the canonical form as it stands; another layout is brought
    # into it.
    match = _COMPACT.match(data)
    if match and _sealed_digest(b"{" + data[match.end() :].rstrip(b"\n")) == match[1].decode():
        return True
    return seal(document)["digest"] == document.get("digest")


def _sealed_digest(body: bytes) -> str:
    return digest_bytes(b"sealed\n" + body)
