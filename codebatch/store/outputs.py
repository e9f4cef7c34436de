"""The records of a task on a shard as they lie in its folder: plain, or compressed as objects are.

A store is written in one form, which its version says, and read in both: whoever has it open
while it is upgraded finds one or the other. Of no records there need not be a file. The digest
in the state vouches for what is read, so it does not matter which of two files that is.
"""

from __future__ import annotations

import os
from pathlib import Path

from codebatch.store.door import Folder
from codebatch.store.files import link_file, read_file, remove_file, write_file
from codebatch.store.layout import COMPRESSED_SUFFIX, INDEX_BYTES, Layout
from codebatch.store.objects.compression import open_frame, stated_size, stored_limit
from codebatch.store.objects.forms import frame


def is_compressed(path: str | Path) -> bool:
    """Return True if outputs of that name are compressed."""
    return os.fspath(path).endswith(COMPRESSED_SUFFIX)


def size_in(layout: Layout, folder: Folder) -> int | None:
    """Return how many bytes of records the outputs in the folder of a shard say that they have;
    None where there are none, or they do not say it.
    """
    for name in layout.outputs_names:
        if folder.has(name):
            return _size_of(folder, name)
    return None


def _size_of(folder: Folder, name: str) -> int | None:
    if not is_compressed(name):
        return folder.status(name).st_size
    descriptor = folder.open(name)
    try:
        return stated_size(descriptor)
    finally:
        os.close(descriptor)


def read_records(layout: Layout, folder: str, size: int) -> bytes | None:
    """Return the records in the folder of a shard, at most so many bytes; None where there are
    none. `StoreDamagedError` or `CompressionError` where they are not stored as they should be.
    """
    limit = min(size, INDEX_BYTES)
    for name in layout.outputs_names:
        most = stored_limit(limit) if is_compressed(name) else limit
        stored = read_file(layout.door, f"{folder}/{name}", most)
        if stored is not None:
            return open_frame(stored, limit) if is_compressed(name) else stored
    return None


def write_records(layout: Layout, folder: str, data: bytes, *, durable: bool = False) -> None:
    """Put the records of a shard into place in the form of the store."""
    path = f"{folder}/{layout.outputs_names[0]}"
    if not is_compressed(path):
        write_file(layout.door, path, data, durable=durable)
    elif data:
        write_file(layout.door, path, frame(data), durable=durable)
    else:
        remove_file(layout.door, Path(path))


def is_spare(layout: Layout, path: str, size: int) -> bool:
    """Return True for a file of so many bytes that no reader takes for outputs, as those in the
    form of the store are beside it, or it has none.
    """
    own, other = layout.outputs_names
    folder, name = os.path.split(path)
    is_needless = size == 0 and is_compressed(own)
    return name == other and (is_needless or layout.door.is_file(f"{folder}/{own}"))


def link_records(layout: Layout, source: str, target: str) -> None:
    """Give the folder of a shard the outputs in that of another, as the same file or a copy."""
    names = layout.outputs_names
    name = next((one for one in names if layout.door.is_there(f"{source}/{one}")), names[0])
    link_file(layout.door, f"{source}/{name}", f"{target}/{name}")
