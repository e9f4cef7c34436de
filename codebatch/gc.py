"""Trim what can be made again: the memo by age and size, hints and indexes of batches gone.

Nothing that a snapshot or a batch consists of is touched, so it is safe beside running batches:
what a run cannot recall it computes.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from codebatch.clock import now_ns
from codebatch.store import BATCH_PREFIX, StoreDirectory
from codebatch.store.files import remove_file
from codebatch.store.hints import all_hints
from codebatch.store.memo import MemoStore

DEFAULT_MEMO_BYTES = 2 * 2**30
DEFAULT_MEMO_DAYS = 90
_DAY_NS = 24 * 3600 * 10**9


@dataclass(frozen=True)
class GarbageReport:
    """What was removed, or would be: segments of the memo, indexes, and their bytes."""

    dry_run: bool
    memo: int
    indexes: int
    bytes: int
    memo_bytes_kept: int


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    changed: int


@dataclass(frozen=True)
class Limits:
    """How much of the memo is kept: so many bytes, and nothing unused for so many days."""

    memo_bytes: int = DEFAULT_MEMO_BYTES
    memo_days: int = DEFAULT_MEMO_DAYS

    @classmethod
    def of(cls, memo_bytes: int | None, memo_days: int | None) -> Limits:
        """These limits; None is the default."""
        return cls(
            DEFAULT_MEMO_BYTES if memo_bytes is None else memo_bytes,
            DEFAULT_MEMO_DAYS if memo_days is None else memo_days,
        )


def collect_garbage(
    store: StoreDirectory, limits: Limits, *, dry_run: bool = False
) -> GarbageReport:
    """Remove segments of the memo that no run has used for too long, then the longest unused
    until the rest is small enough; and indexes of batches that are gone.
    """
    oldest = now_ns() - limits.memo_days * _DAY_NS
    kept, dropped = _divide(MemoStore(store.layout).segments(), limits.memo_bytes, oldest)
    orphans = _orphans(store)
    if not dry_run:
        for path in [segment.path for segment in dropped] + [orphan.path for orphan in orphans]:
            remove_file(path)
    return GarbageReport(
        dry_run=dry_run,
        memo=len(dropped),
        indexes=len(orphans),
        bytes=sum(segment.size for segment in dropped) + sum(orphan.size for orphan in orphans),
        memo_bytes_kept=sum(segment.size for segment in kept),
    )


def _divide(
    segments: Iterable[tuple[str, Path]], max_bytes: int, oldest: int
) -> tuple[list[_File], list[_File]]:
    """The segments to keep and those to drop; the time of a segment is that of its last use."""
    files = sorted(_files(path for _, path in segments), key=lambda f: (-f.changed, f.path))
    kept: list[_File] = []
    dropped: list[_File] = []
    size = 0
    for file in files:
        size += file.size
        (kept if size <= max_bytes and file.changed >= oldest else dropped).append(file)
    return kept, dropped


def _orphans(store: StoreDirectory) -> list[_File]:
    """Indexes of batches that are not in the store."""
    batches = set(store.list_batches())
    derived = [
        path
        for folder in store.layout.batch_indexes()
        if folder.is_dir()
        for path in sorted(folder.glob(f"{BATCH_PREFIX}-*.*"))
        if path.name.partition(".")[0] not in batches
    ]
    hints = [path for path, named in all_hints(store.layout) if batches.isdisjoint(named)]
    return list(_files([*derived, *hints]))


def _files(paths: Iterable[Path]) -> Iterator[_File]:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # another gc was here
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield _File(path, status.st_size, status.st_mtime_ns)
