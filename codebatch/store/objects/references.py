"""Find out if the objects that lines of outputs refer to are in the store. No state."""

from __future__ import annotations

import re
from functools import partial

from codebatch.model.errors import StoreError
from codebatch.store.bounds import CHUNK_BYTES
from codebatch.store.objects.cas import ObjectStore
from codebatch.store.parsing import parse_chunks

_OBJECT = re.compile(rb'"object":"(sha256:[0-9a-f]{64})"')
_CHUNKED = re.compile(rb'"chunked":true,[^\n]*?' + _OBJECT.pattern)


def has_objects_of(objects: ObjectStore, lines: bytes, *, whole: bool) -> bool:
    """Return True if the objects of `ast` records are there, and the chunks of these.

    With ``whole``, they are read; a list of chunks always is.
    """
    found = partial(objects.is_intact, limit=CHUNK_BYTES) if whole else objects.has
    if not all(found(digest.decode()) for digest in _OBJECT.findall(lines)):
        return False
    for digest in _CHUNKED.findall(lines):
        try:
            chunks = parse_chunks(objects.read(digest.decode(), CHUNK_BYTES))
        except StoreError:
            return False
        if not all(map(found, chunks)):
            return False
    return True
