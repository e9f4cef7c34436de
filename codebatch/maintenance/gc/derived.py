"""Trim what can be made again: the memo by age and size, indexes of batches gone, and
what is known of source trees that are gone or were not looked at for long.

It is safe beside running batches: what a run does not find it computes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from codebatch.maintenance.gc.report import Collected
from codebatch.store import BATCH_PREFIX, StoreDirectory
from codebatch.store.door import Door
from codebatch.store.files import remove_file
from codebatch.store.indexes.memo import MemoStore
from codebatch.store.indexes.stat_cache import root_of
from codebatch.store.inventory import FoundFile, files_below, find_file, is_temporary


def trim_memo(store: StoreDirectory, max_bytes: int, oldest_ns: int, found: Collected) -> None:
    """Remove segments that no run has used for too long, then the longest unused until the rest
    is small enough. The time of a segment is that of its last use.
    """
    paths = (path for _, path in MemoStore(store.layout).segments())
    size = 0
    for file in sorted(_found(store.layout.door, paths), key=lambda f: (-f.modified_ns, f.path)):
        size += file.size
        if size <= max_bytes and file.modified_ns >= oldest_ns:
            found.keep("memo", file)
        else:
            _remove("memo", store.layout.door, file, found)


def remove_orphans(store: StoreDirectory, found: Collected) -> None:
    """Remove indexes of batches that are not in the store, and what no version writes any more."""
    batches = set(store.batches.ids())
    door = store.layout.door
    derived = [
        path
        for folder in (store.layout.sql_indexes, store.layout.all_totals)
        for path in (folder / name for name in door.names(folder))
        if path.name.startswith(f"{BATCH_PREFIX}-") and path.name.partition(".")[0] not in batches
    ]
    for file in (*_found(door, derived), *files_below(door, store.layout.shard_hints)):
        _remove("indexes", door, file, found)


def trim_stat_caches(store: StoreDirectory, oldest_ns: int, found: Collected) -> None:
    """Remove what is known of trees of this machine that are gone, and of any tree that no
    snapshot was taken of for too long.
    """
    door = store.layout.door
    for file in files_below(door, store.layout.stat_caches):
        if is_temporary(file.path):
            continue
        host, root = root_of(door, Path(file.path)) or (None, "")
        gone = host == os.uname().nodename and not os.path.isdir(os.fsencode(root))
        if host is None or gone or file.modified_ns < oldest_ns:
            _remove("stat_caches", door, file, found)


def _remove(kind: str, door: Door, file: FoundFile, found: Collected) -> None:
    found.add(kind, file)
    if not found.dry_run:
        remove_file(door, Path(file.path))


def _found(door: Door, paths: Iterable[Path]) -> Iterator[FoundFile]:
    """The regular files there are: another gc may have been here."""
    files = (find_file(door, path) for path in paths)
    return (file for file in files if file is not None)
