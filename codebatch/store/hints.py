"""Hints below ``indexes/shards/``: which batches may have outputs for the inputs of a shard.

A file holds batch ids, one a line, oldest first. It may be stale, damaged or gone: whoever reads
it checks what it finds.
"""

from __future__ import annotations

from pathlib import Path

from codebatch.errors import StoreError
from codebatch.store.files import append_line, read_file, reporting_write_errors
from codebatch.store.layout import Layout, is_name

_MAX_BYTES = 64 * 1024


def read_hints(layout: Layout, key: str) -> list[str]:
    """The batch ids noted under a key, oldest first, each once."""
    try:
        data = read_file(layout.shard_hint(key)) or b""
    except StoreError:
        return []
    return _ids(data)


def add_hint(layout: Layout, key: str, batch_id: str) -> None:
    """Note a batch, unless it is noted."""
    if batch_id not in read_hints(layout, key):
        path = layout.shard_hint(key)
        with reporting_write_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        append_line(path, batch_id.encode())


def all_hints(layout: Layout) -> list[tuple[Path, list[str]]]:
    """Every file of hints with the batch ids in it, in order."""
    paths = sorted(layout.shard_hints.glob("*/*"))
    return [(path, _ids(read_file(path) or b"")) for path in paths]


def _ids(data: bytes) -> list[str]:
    lines = data[-_MAX_BYTES:].decode("ascii", "replace").split("\n")[:-1]
    return list(dict.fromkeys(line for line in lines if is_name(line)))
