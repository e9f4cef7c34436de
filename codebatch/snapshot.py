"""Take a snapshot: walk a tree, store its files as objects, write the manifest.

The snapshot id is derived from the manifest's bytes alone: path, object, size and mode of each
file, in path order. Objects are durable before the manifest appears, the manifest before the
snapshot's document, so that a snapshot which can be listed is complete.

What the tree was like is remembered in the store's stat cache. A file whose status is what it
was is not read again; a tree of which everything is as it was is not even walked. The cache
decides about the time this takes and about nothing else.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from codebatch.clock import now, now_ns
from codebatch.digest import Document, canonical_json, digest_bytes, short_id
from codebatch.errors import InvalidIdError, SourceNotFoundError
from codebatch.lazy import lazy
from codebatch.records import SYMLINK_MODE, SkippedFile, path_key
from codebatch.sources.git import GitAnswers, may_be_in_repository
from codebatch.sources.status import (
    STATUS_BYTES,
    UNKNOWN,
    WALK_VERSION,
    Status,
    are_absent,
    have_statuses,
    is_settled,
    pack,
    status_of,
)
from codebatch.store import SNAPSHOT_PREFIX, StoreDirectory, check_name, is_store
from codebatch.store.stat_cache import CachedTree, StatCache

if TYPE_CHECKING:
    from codebatch.sources import walk as walks
    from codebatch.sources.walk import SourceEntry, TreeWalk
    from codebatch.store.cas import StoredObject
    from codebatch.store.files import WriteGroup
else:
    walks = lazy("codebatch.sources.walk")

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
    use_cache: bool = True,
    progress: Progress | None = None,
) -> SnapshotResult:
    """Snapshot the directory ``root``; ``progress`` is called with files and bytes so far.

    Without ``use_cache`` every file is read, and every object of the snapshot that is damaged
    in the store is restored.
    """
    check_directory(root)
    place = os.fsencode(root)
    cache = StatCache(store.layout, _cache_name(place, ignore=ignore), STATUS_BYTES)
    known = cache.load() if use_cache else None
    if known is not None and known.circumstances.get("reader") != _reader():
        known = None
    with GitAnswers() as git:
        if known is not None:
            remembered = _remembered(store, place, known, git, ignore=ignore)
            if remembered is not None:
                if progress is not None:
                    progress(remembered.file_count, remembered.total_bytes)
                return remembered
        mark = walks.StoreMark(os.fsencode(store.layout.store_document.name), is_store)
        taking = _Taking(store, walks.TreeWalk(place, mark, git, ignore), known, progress)
        result = taking.run()
        cache.save(taking.as_cached(result))
    return result


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


# -- an unchanged tree -------------------------------------------------------------------------


def _cache_name(root: bytes, *, ignore: bool) -> bytes:
    return b"%d %s" % (ignore, os.path.realpath(root))


def _reader() -> Document:
    """What besides the tree decides what a walk takes: the rules, and who may read what."""
    return {
        "version": WALK_VERSION,
        "user": [os.geteuid(), os.getegid(), *sorted(os.getgroups())],
        "byteorder": sys.byteorder,
    }


def _remembered(
    store: StoreDirectory, root: bytes, known: CachedTree, git: GitAnswers, *, ignore: bool
) -> SnapshotResult | None:
    """The snapshot that was taken last, if the tree, git and the store are as they were then."""
    try:
        answers = {path_key(p): was for p, was in _repositories(known).items()}
        result = _result(known)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidIdError):
        return None
    if ignore and may_be_in_repository(root) != (b"" in answers):
        return None
    if b"" in answers:
        git.ask(os.path.join(root, b""))
    unchanged = (
        have_statuses(root, known.paths, known.statuses)
        and are_absent(root, known.absent)
        and store.objects.are_at(known.locations)
        and store.has_snapshot(result.snapshot_id)
        and all(git.digest(os.path.join(root, path)) == was for path, was in answers.items())
    )
    return result if unchanged else None


def _repositories(known: CachedTree) -> dict[str, str]:
    answers = cast("dict[str, str]", known.circumstances["git"])
    if any(".." in path.split("/") or path[:1] == "/" or "\0" in path for path in answers):
        raise ValueError("a repository outside the tree")
    return answers


def _result(known: CachedTree) -> SnapshotResult:
    answer = known.answer
    skipped = cast("list[dict[str, str]]", answer["skipped"])
    return SnapshotResult(
        check_name(cast("str", answer["snapshot_id"]), "snapshot id"),
        len(known.locations),
        int(cast("int", answer["total_bytes"])),
        tuple(SkippedFile(str(file["path"]), str(file["reason"])) for file in skipped),
        created=False,
    )


# -- a tree that is read -----------------------------------------------------------------------


class _File(NamedTuple):
    """A line of the manifest, the status that vouches for it, and where its object is."""

    path: bytes
    digest: str
    size: int
    mode: str
    status: Status
    location: str

    def line(self) -> bytes:
        """As it stands in the manifest."""
        path = self.path.decode("utf-8", "surrogateescape")
        record = {"mode": self.mode, "object": self.digest, "path": path, "size": self.size}
        return canonical_json(record) + b"\n"


class _Taking:
    """One taking. State: ``_files`` grows with the walk, ``_indexes`` are places in ``known``."""

    def __init__(
        self,
        store: StoreDirectory,
        walk: TreeWalk,
        known: CachedTree | None,
        progress: Progress | None,
    ) -> None:
        self._store = store
        self._walk = walk
        self._known = known
        self._indexes: dict[bytes, int] = {}
        if known is not None:
            files = range(len(known.locations))
            self._indexes = dict(zip(known.paths, files, strict=False))
        self._progress = progress
        self._moment = now_ns()
        self._files: list[_File] = []

    def run(self) -> SnapshotResult:
        """Store the files and the snapshot; both are durable on return."""
        with self._store.group(durable=True) as group:
            self._files = sorted(self._stored_files(group))
            manifest = b"".join(file.line() for file in self._files)
            snapshot_id = short_id(SNAPSHOT_PREFIX, digest_bytes(manifest))
            skipped = sorted(self._walk.skipped, key=lambda s: (path_key(s.path), s.reason))
            result = SnapshotResult(
                snapshot_id,
                len(self._files),
                sum(file.size for file in self._files),
                tuple(skipped),
                created=not self._store.has_snapshot(snapshot_id),
            )
            if result.created:
                document = _document(os.fsdecode(self._walk.root), result)
                self._store.add_snapshot(snapshot_id, manifest, document, group)
        return result

    def as_cached(self, result: SnapshotResult) -> CachedTree:
        """The tree as it was read, without the statuses that are too young to vouch for it."""
        walk = self._walk
        found = [*((file.path, file.status) for file in self._files), *walk.watched]
        answers = {
            os.fsdecode(folder): walk.git.digest(walk.absolute(folder))
            for folder in walk.repositories
        }
        return CachedTree(
            {"reader": _reader(), "git": answers},
            {
                "snapshot_id": result.snapshot_id,
                "total_bytes": result.total_bytes,
                "skipped": [file._asdict() for file in result.skipped],
            },
            b"".join(pack(s if is_settled(s, self._moment) else UNKNOWN) for _, s in found),
            [path for path, _ in found],
            [os.fsencode(file.location) for file in self._files],
            walk.absent,
        )

    def _stored_files(self, group: WriteGroup) -> Iterator[_File]:
        count = total = 0
        for entry in self._walk.entries():
            try:
                file = self._unread(entry) or self._read(entry, group)
            except OSError as error:
                self._walk.fail(entry.path, walks.unreadable(error, "file"))
                continue
            if file is None:
                self._walk.fail(entry.path, _CHANGED)
                continue
            count, total = count + 1, total + file.size
            if self._progress is not None:
                self._progress(count, total)
            yield file

    def _unread(self, entry: SourceEntry) -> _File | None:
        """The file as it was, if its status is what it was and its object is still there."""
        index = self._indexes.get(entry.path)
        if self._known is None or index is None:
            return None
        start = index * STATUS_BYTES
        if self._known.statuses[start : start + STATUS_BYTES] != pack(entry.status):
            return None
        digest = self._known.digest(index)
        location = digest and self._store.objects.location(digest)
        if not digest or not location:
            return None
        return _File(entry.path, digest, entry.size, entry.mode, entry.status, location)

    def _read(self, entry: SourceEntry, group: WriteGroup) -> _File | None:
        """The file with its bytes (a link's target) stored; None where its type changed."""
        absolute = self._walk.absolute(entry.path)
        if entry.mode == SYMLINK_MODE:
            target = os.readlink(absolute)
            stored = self._store.objects.put(target, group)
            seen = status_of(os.lstat(absolute))
        else:
            # Between listing and opening, the file may have become a link or a pipe: the flags
            # refuse the one and do not wait for the other.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(absolute, flags)
            try:
                seen = status_of(os.fstat(descriptor))
                if not stat.S_ISREG(seen[0]):
                    return None
                stored = self._put(descriptor, seen[3], group)
            finally:
                os.close(descriptor)
        # A file that another one replaced, or that has more bytes than it says, is read again.
        digest, size, location = stored
        status = seen if seen == entry.status and size == entry.size else UNKNOWN
        return _File(entry.path, digest, size, entry.mode, status, location)

    def _put(self, descriptor: int, size: int, group: WriteGroup) -> StoredObject:
        portions = iter(partial(os.read, descriptor, _PORTION), b"")
        if size > STREAM_ABOVE_BYTES:
            return self._store.objects.put_stream(portions, group)
        data = os.read(descriptor, size + 1)
        if len(data) != size:
            data += b"".join(portions)
        return self._store.objects.put(data, group)


def _document(source: str, result: SnapshotResult) -> Document:
    return {
        "taken": now(),
        "source": os.path.abspath(source),
        "file_count": result.file_count,
        "total_bytes": result.total_bytes,
        "skipped": [file._asdict() for file in result.skipped],
    }
