"""Take a snapshot: walk a tree, store its files as objects, write the manifest.

The snapshot id is derived from the manifest's bytes alone: path, object, size and mode of each
file, in path order. Objects are durable before the manifest is written, the manifest before
the snapshot's document, so that a snapshot which can be listed is complete.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from codebatch.clock import now
from codebatch.digest import Document, canonical_json, digest_bytes, short_id
from codebatch.errors import SourceNotFoundError
from codebatch.records import SYMLINK_MODE, FileRecord, SkippedFile, path_key
from codebatch.sources import SourceEntry, TreeWalk, unreadable
from codebatch.store import SNAPSHOT_PREFIX, StoreDirectory, WriteGroup, is_store

STREAM_ABOVE_BYTES = 32 * 2**20
_PORTION = 2**20
_CHANGED = "changed into something else while being read"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SnapshotResult:
    """What one taking found; ``created`` is false where the store had the snapshot already."""

    snapshot_id: str
    file_count: int
    total_bytes: int
    skipped: tuple[SkippedFile, ...]
    created: bool


def take_snapshot(
    store: StoreDirectory,
    root: Path,
    *,
    ignore: bool = True,
    progress: Progress | None = None,
) -> SnapshotResult:
    """Snapshot the directory ``root``; ``progress`` is called with files and bytes so far."""
    check_directory(root)
    walk = TreeWalk(root, is_store, ignore)
    with store.group(durable=True) as group:
        files = sorted(_stored_files(store, walk, group, progress), key=lambda f: path_key(f.path))
    skipped = sorted(walk.skipped, key=lambda s: (path_key(s.path), s.reason))
    manifest = b"".join(canonical_json(asdict(file)) + b"\n" for file in files)
    snapshot_id = short_id(SNAPSHOT_PREFIX, digest_bytes(manifest))
    created = not store.has_snapshot(snapshot_id)
    total = sum(file.size for file in files)
    if created:
        store.save_snapshot(manifest, _document(root, files, total, skipped))
    return SnapshotResult(snapshot_id, len(files), total, tuple(skipped), created)


def check_directory(root: Path) -> None:
    """Raise `SourceNotFoundError` unless the directory can be listed."""
    hints = ["name the folder that holds the source tree"]
    if not root.exists():
        raise SourceNotFoundError(f"there is no directory {root}", hints=hints)
    if not root.is_dir():
        raise SourceNotFoundError(f"{root} is not a directory", hints=hints)
    try:
        os.scandir(root).close()
    except OSError as error:
        raise SourceNotFoundError(f"cannot list {root}: {error.strerror}") from error


def _document(
    root: Path, files: list[FileRecord], total: int, skipped: list[SkippedFile]
) -> Document:
    return {
        "taken": now(),
        "source": os.path.abspath(root),
        "file_count": len(files),
        "total_bytes": total,
        "skipped": [asdict(file) for file in skipped],
    }


def _stored_files(
    store: StoreDirectory, walk: TreeWalk, group: WriteGroup, progress: Progress | None
) -> Iterator[FileRecord]:
    count = total = 0
    for entry in walk.entries():
        try:
            stored = _store_entry(store, walk.absolute(entry.path), entry, group)
        except OSError as error:
            walk.skip(entry.path, unreadable(error, "file"))
            continue
        if stored is None:
            walk.skip(entry.path, _CHANGED)
            continue
        digest, size = stored
        count, total = count + 1, total + size
        if progress is not None:
            progress(count, total)
        path = entry.path.decode("utf-8", "surrogateescape")
        yield FileRecord(path, digest, size, entry.mode)


def _store_entry(
    store: StoreDirectory, absolute: bytes, entry: SourceEntry, group: WriteGroup
) -> tuple[str, int] | None:
    """Digest and size of the entry's bytes (a link's target); None where its type changed."""
    if entry.mode == SYMLINK_MODE:
        target = os.readlink(absolute)
        return store.objects.put(target, group), len(target)
    # Between listing and opening, the file may have become a link or a pipe: the flags
    # refuse the one and do not wait for the other.
    descriptor = os.open(absolute, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > STREAM_ABOVE_BYTES:
            portions = iter(lambda: stream.read(_PORTION), b"")
            return store.objects.put_stream(portions, group)
        data = stream.read()
    return store.objects.put(data, group), len(data)
