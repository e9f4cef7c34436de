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
    return _read(layout.shard_hint(key))


def add_hint(layout: Layout, key: str, batch_id: str) -> None:
    """Note a batch, unless it is noted."""
    if batch_id not in read_hints(layout, key):
        path = layout.shard_hint(key)
        with reporting_write_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        append_line(path, batch_id.encode())


def all_hints(layout: Layout) -> list[tuple[Path, list[str]]]:
    """Every file of hints with the batch ids in it, in order."""
    paths = sorted(path for path in layout.shard_hints.glob("*/*") if path.is_file())
    return [(path, _read(path)) for path in paths]


def _read(path: Path) -> list[str]:
    try:
        data = read_file(path) or b""
    except StoreError:
        return []
    lines = data[-_MAX_BYTES:].decode("ascii", "replace").split("\n")[:-1]
    return list(dict.fromkeys(line for line in lines if is_name(line)))
