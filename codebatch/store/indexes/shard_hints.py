"""Hints below ``indexes/shards/``: which batches may have outputs for the inputs of a shard.

A file holds batch ids, one a line, oldest first. It may be stale, damaged or gone: whoever reads
it checks what it finds.
"""

from __future__ import annotations

from pathlib import Path

from codebatch.model.errors import StoreError
from codebatch.store.bounds import SMALL_BYTES
from codebatch.store.files import append_line, read_file
from codebatch.store.layout import Layout, is_name

_MAX_BYTES = 64 * 1024


def read_hints(layout: Layout, key: str) -> list[str]:
    """The batch ids noted under a key, oldest first, each once."""
    return _read(layout, layout.shard_hint(key))


def add_hint(layout: Layout, key: str, batch_id: str) -> None:
    """Note a batch, unless it is noted."""
    if batch_id not in read_hints(layout, key):
        append_line(layout.door, layout.shard_hint(key), batch_id.encode())


def all_hints(layout: Layout) -> list[tuple[Path, list[str]]]:
    """Every file of hints with the batch ids in it, in order."""
    door, root = layout.door, layout.shard_hints
    folders = [root / name for name in door.names(root) if door.is_folder(root / name)]
    paths = [folder / name for folder in folders for name in door.names(folder)]
    return [(path, _read(layout, path)) for path in paths if door.is_file(path)]


def _read(layout: Layout, path: Path) -> list[str]:
    try:
        data = read_file(layout.door, path, SMALL_BYTES) or b""
    except StoreError:
        return []
    lines = data[-_MAX_BYTES:].decode("ascii", "replace").split("\n")[:-1]
    return list(dict.fromkeys(line for line in lines if is_name(line)))
