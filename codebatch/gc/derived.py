"""Trim what can be made again: the memo by age and size, hints and indexes of batches gone, and
what is known of source trees that are gone or were not looked at for long.

It is safe beside running batches: what a run cannot recall it computes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from codebatch.gc.report import Collected
from codebatch.store import BATCH_PREFIX, StoreDirectory
from codebatch.store.files import remove_file
from codebatch.store.hints import all_hints
from codebatch.store.inventory import FoundFile, files_below, find_file, is_temporary
from codebatch.store.memo import MemoStore
from codebatch.store.stat_cache import root_of


def trim_memo(store: StoreDirectory, max_bytes: int, oldest_ns: int, found: Collected) -> None:
    """Remove segments that no run has used for too long, then the longest unused until the rest
    is small enough. The time of a segment is that of its last use.
    """
    paths = (path for _, path in MemoStore(store.layout).segments())
    size = 0
    for file in sorted(_found(paths), key=lambda f: (-f.modified_ns, f.path)):
        size += file.size
        if size <= max_bytes and file.modified_ns >= oldest_ns:
            found.keep("memo", file)
        else:
            _remove("memo", file, found)


def remove_orphans(store: StoreDirectory, found: Collected) -> None:
    """Remove indexes of batches that are not in the store."""
    batches = set(store.list_batches())
    derived = [
        path
        for folder in store.layout.batch_indexes()
        if folder.is_dir()
        for path in sorted(folder.glob(f"{BATCH_PREFIX}-*.*"))
        if path.name.partition(".")[0] not in batches
    ]
    hints = [path for path, named in all_hints(store.layout) if batches.isdisjoint(named)]
    for file in _found([*derived, *hints]):
        _remove("indexes", file, found)


def trim_stat_caches(store: StoreDirectory, oldest_ns: int, found: Collected) -> None:
    """Remove what is known of trees of this machine that are gone, and of any tree that no
    snapshot was taken of for too long.
    """
    for file in files_below(store.layout.stat_caches):
        if is_temporary(file.path):
            continue
        host, root = root_of(Path(file.path)) or (None, "")
        gone = host == os.uname().nodename and not os.path.isdir(os.fsencode(root))
        if host is None or gone or file.modified_ns < oldest_ns:
            _remove("stat_caches", file, found)


def _remove(kind: str, file: FoundFile, found: Collected) -> None:
    found.add(kind, file)
    if not found.dry_run:
        remove_file(Path(file.path))


def _found(paths: Iterable[Path]) -> Iterator[FoundFile]:
    """The regular files there are: another gc may have been here."""
    files = map(find_file, paths)
    return (file for file in files if file is not None)
