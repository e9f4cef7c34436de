"""The values that records refer to: trees, patches, artifacts."""

from __future__ import annotations

import json

from codebatch.model.errors import StoreDamagedError
from codebatch.model.records import Record
from codebatch.store import StoreDirectory, parse_chunks, typed
from codebatch.store.layout import CHUNK_BYTES

MOST_BYTES = 2**30  # of a value that is joined from chunks


def load_value(store: StoreDirectory, record: Record) -> bytes:
    """Return the bytes that a record refers to, joined where they are cut into chunks."""
    digest = str(record["object"])
    if record.get("chunked") is not True:
        return store.objects.read(digest)
    manifest = store.objects.read(digest, CHUNK_BYTES)
    chunks = parse_chunks(manifest)
    size = typed(manifest, lambda data: json.loads(data)["size"], "a chunk list")
    joined = bytearray()
    for chunk in chunks:
        joined += store.objects.read(chunk, CHUNK_BYTES)
        if len(joined) > MOST_BYTES:
            raise StoreDamagedError(f"the value {digest} has more than {MOST_BYTES:,} bytes")
    if len(joined) != size:
        raise StoreDamagedError(f"the value {digest} has {len(joined):,} bytes, not {size!r:.20}")
    return bytes(joined)
