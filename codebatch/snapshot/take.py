"""Take a snapshot: walk a tree, store its files as objects, write the manifest.

The snapshot id is derived from the manifest's bytes alone: path, object, size and mode of each
file, in path order. Objects are durable before the manifest appears, the manifest before the
snapshot's document, so that a snapshot which can be listed is complete.

What the tree was like is remembered in the store's stat cache. A file whose status is what it
was is not read again; a tree in which nothing else is in another state is not even walked. The
cache decides about the time this takes and about nothing else.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from codebatch.model.clock import now_ns
from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import InvalidIdError, SourceNotFoundError, StoreError
from codebatch.model.records import FileRecord, SkippedFile, path_key
from codebatch.runtime.lazy import lazy
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES
from codebatch.snapshot.changes import WalkedTree, find_changes
from codebatch.snapshot.descriptors import Folders
from codebatch.snapshot.file_status import (
    STATUS_BYTES,
    UNKNOWN,
    Status,
    is_packed,
    is_settled,
    pack,
    reader_of_files,
)
from codebatch.snapshot.git import GitReader
from codebatch.snapshot.reading import read_entry
from codebatch.snapshot.tree import open_tree
from codebatch.snapshot.tree_entry import SourceEntry, StoreMark, entry_of
from codebatch.snapshot.writer import (
    ObjectsGoneError,
    SnapshotResult,
    SnapshotWriter,
    writing_snapshot,
)
from codebatch.store import StoreDirectory, check_name, is_store_document
from codebatch.store.indexes.stat_cache import CachedTree, StatCache

if TYPE_CHECKING:
    from codebatch.snapshot import walk as walks
    from codebatch.snapshot.walk import TreeWalk
else:
    walks = lazy("codebatch.snapshot.walk")

_CHANGED = "changed into something else while being read"

Progress = Callable[[int, int], None]


def take_snapshot(
    store: StoreDirectory,
    root: Path,
    *,
    ignore: bool = True,
    max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
    use_cache: bool = True,
    progress: Progress | None = None,
) -> SnapshotResult:
    """Snapshot the directory ``root``; ``progress`` is called with files and bytes so far.

    Files of more than ``max_file_bytes`` are listed and not taken; None takes all.

    Without ``use_cache`` every file is read, and every object of the snapshot that is damaged
    in the store is restored.
    """
    check_directory(root)
    place = os.fsencode(root)
    name = _cache_name(place, max_file_bytes, ignore=ignore)
    cache = StatCache(store.layout, name, STATUS_BYTES)
    known = cache.load(now_ns()) if use_cache else None
    if known is not None and known.circumstances.get("reader") != reader_of_files():
        known = None
    mark = StoreMark(os.fsencode(store.layout.store_document.name), is_store_document)
    with open_tree(root) as tree:
        reader = _Reader(store, place, tree.folders, max_file_bytes)
        taken = known and _remembered(reader, known, tree.git, mark, ignore=ignore)
        if not taken:
            taken = _walked(
                lambda: walks.TreeWalk(tree.folders, mark, tree.git, ignore, max_file_bytes),
                reader,
                known,
                progress,
            )
        elif progress is not None:
            progress(taken.result.file_count, taken.result.total_bytes)
        if taken.tree is not known:
            cache.save(taken.tree)
    return taken.result


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


class _Taken(NamedTuple):
    """A snapshot, and the tree to be remembered with it."""

    result: SnapshotResult
    tree: CachedTree


# -- a tree that is known ----------------------------------------------------------------------


def _cache_name(root: bytes, max_file_bytes: int | None, *, ignore: bool) -> bytes:
    limit = -1 if max_file_bytes is None else max_file_bytes
    return b"%d %d %s" % (ignore, limit, os.path.realpath(root))


def _remembered(
    reader: _Reader, known: CachedTree, git: GitReader, mark: StoreMark, *, ignore: bool
) -> _Taken | None:
    """The tree without a walk, if a walk would find what the last one did.

    That is so if everything but the content of files is as it was, and git gives the same answers.
    """
    moment = now_ns()
    store = reader.store
    try:
        result = _result(known)
        answers = cast("dict[str, str]", known.circumstances["git"])
        walked = WalkedTree(
            known.paths,
            result.file_count,
            known.statuses,
            known.absent,
            {path_key(folder): answer for folder, answer in answers.items()},
            result.skipped,
        )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidIdError):
        return None
    changes = find_changes(reader.folders, walked, mark, git, ignore=ignore)
    if changes is None or not store.objects.are_at(known.locations):
        return None
    if changes:
        return _renewed(reader, known, result, changes, moment)
    return _Taken(result, known) if store.has_snapshot(result.snapshot_id) else None


def _renewed(
    reader: _Reader,
    known: CachedTree,
    result: SnapshotResult,
    changes: dict[int, Status],
    moment: int,
) -> _Taken | None:
    """The tree with the changed files read again; None where that cannot be."""
    statuses, locations = bytearray(known.statuses), list(known.locations)
    total = result.total_bytes
    with (
        contextlib.suppress(ObjectsGoneError),  # the walk stores them again
        writing_snapshot(reader.store, reader.root) as writer,
    ):
        lines = _manifest_lines(reader.store, result)
        if lines is None or not writer.base_on(result.snapshot_id):
            return None
        for place, status in changes.items():
            evidence = _evidence(status, moment)
            if place < len(locations):
                file = _read_again(reader, known.paths[place], status, writer, moment)
                size = _size_in(lines[place], known.paths[place])
                if file is None or size is None:
                    return None
                evidence, total = file.evidence, total - size + file.size
                lines[place], locations[place] = file.line(), file.location
            statuses[place * STATUS_BYTES : (place + 1) * STATUS_BYTES] = evidence
        manifest = b"".join(lines)
        result = writer.save(manifest, result.file_count, total, result.skipped)
        tree = known._replace(answer=_answer(result), statuses=bytes(statuses), locations=locations)
        return _Taken(result, tree)
    return None


def _manifest_lines(store: StoreDirectory, result: SnapshotResult) -> list[bytes] | None:
    """The lines of the last manifest, if it is whole and about as many files as are known."""
    try:
        lines = store.read_manifest(result.snapshot_id).splitlines(keepends=True)
    except StoreError:
        return None  # the walk restores it
    return lines if len(lines) == result.file_count else None


def _size_in(line: bytes, path: bytes) -> int | None:
    """The size in a line of a manifest; None where the line is about another file."""
    try:
        file = FileRecord.from_document(json.loads(line))
    except (KeyError, TypeError, ValueError, RecursionError, InvalidIdError):
        return None
    return file.size if path_key(file.path) == path else None


def _read_again(
    reader: _Reader, path: bytes, status: Status, writer: SnapshotWriter, moment: int
) -> _File | None:
    entry = entry_of(path, status)
    try:
        return reader.read(entry, writer, moment) if entry and reader.is_wanted(entry) else None
    except OSError:
        return None  # the walk says why


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


# -- a tree that is walked ---------------------------------------------------------------------


def _walked(
    make_walk: Callable[[], TreeWalk],
    reader: _Reader,
    known: CachedTree | None,
    progress: Progress | None,
) -> _Taken:
    """Walk the tree; once more where objects were removed that were found in the store."""
    try:
        return _Taking(reader, make_walk(), known, progress).run(at_once=False)
    except ObjectsGoneError:
        return _Taking(reader, make_walk(), None, progress).run(at_once=True)


class _File(NamedTuple):
    """A line of the manifest, the packed status that vouches for it, and where its object is.

    All files of a tree are held at once, in the form in which they are remembered.
    """

    path: bytes
    digest: str
    size: int
    mode: str
    evidence: bytes
    location: bytes

    def line(self) -> bytes:
        """As it stands in the manifest."""
        path = self.path.decode("utf-8", "surrogateescape")
        record = {"mode": self.mode, "object": self.digest, "path": path, "size": self.size}
        return canonical_json(record) + b"\n"


class _Reader:
    """Reads files of the tree at ``root``, of which ``folders`` are, into the store."""

    def __init__(
        self, store: StoreDirectory, root: bytes, folders: Folders, max_bytes: int | None
    ) -> None:
        self.store = store
        self.root = root
        self.folders = folders
        self._max_bytes = max_bytes

    def is_wanted(self, entry: SourceEntry) -> bool:
        """Whether the file is small enough to be taken."""
        return self._max_bytes is None or entry.size <= self._max_bytes

    def read(self, entry: SourceEntry, writer: SnapshotWriter, moment: int) -> _File | None:
        """The file with its bytes (a link's target) stored, read after ``moment``; None where its
        type changed.
        """
        found = read_entry(self.folders, entry, writer.put, writer.put_stream)
        if found is None:
            return None
        (digest, size, location), seen = found
        # A file that another one replaced, or that has more bytes than it says, is read again.
        status = seen if seen == entry.status and size == entry.size else UNKNOWN
        evidence = _evidence(status, moment)
        return _File(entry.path, digest, size, entry.mode, evidence, os.fsencode(location))


class _Taking:
    """One taking by a walk. State: ``_indexes`` are the places of the paths in ``known``, if its
    snapshot is there to keep their objects.
    """

    def __init__(
        self,
        reader: _Reader,
        walk: TreeWalk,
        known: CachedTree | None,
        progress: Progress | None,
    ) -> None:
        self._reader = reader
        self._walk = walk
        self._known = known
        self._indexes: dict[bytes, int] = {}
        self._progress = progress
        self._moment = now_ns()

    def run(self, *, at_once: bool) -> _Taken:
        """Store the files and the snapshot; both are durable on return."""
        reader, known = self._reader, self._known
        with writing_snapshot(reader.store, reader.root, at_once=at_once) as writer:
            if known is not None and writer.base_on(str(known.answer.get("snapshot_id"))):
                places = range(len(known.locations))
                self._indexes = dict(zip(known.paths, places, strict=False))
            files = sorted(self._stored_files(writer))
            skipped = sorted(self._walk.skipped, key=lambda s: (path_key(s.path), s.reason))
            manifest = io.BytesIO()
            manifest.writelines(file.line() for file in files)  # joining would list all first
            size = sum(file.size for file in files)
            result = writer.save(manifest.getvalue(), len(files), size, tuple(skipped))
        return _Taken(result, self._as_cached(files, result))

    def _as_cached(self, files: list[_File], result: SnapshotResult) -> CachedTree:
        walk = self._walk
        answers = {os.fsdecode(folder): digest for folder, digest in walk.answers.items()}
        return CachedTree(
            {**_whereabouts(self._reader.root), "reader": reader_of_files(), "git": answers},
            _answer(result),
            b"".join([f.evidence for f in files] + [self._evidence(s) for _, s in walk.watched]),
            [*(file.path for file in files), *(path for path, _ in walk.watched)],
            [file.location for file in files],
            walk.absent,
        )

    def _stored_files(self, writer: SnapshotWriter) -> Iterator[_File]:
        count = total = 0
        for entry in self._walk.entries():
            try:
                file = self._unread(entry) or self._reader.read(entry, writer, self._moment)
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
        if not is_packed(entry.status, self._known.statuses[start : start + STATUS_BYTES]):
            return None
        digest = self._known.digest(index)
        location = digest and self._reader.store.objects.location(digest)
        if not digest or not location:
            return None
        evidence = self._evidence(entry.status)
        return _File(entry.path, digest, entry.size, entry.mode, evidence, os.fsencode(location))

    def _evidence(self, status: Status) -> bytes:
        return _evidence(status, self._moment)


def _whereabouts(root: bytes) -> Document:
    """By which `gc` can tell that a tree is gone."""
    return {"host": os.uname().nodename, "root": os.fsdecode(os.path.realpath(root))}


def _evidence(status: Status, moment: int) -> bytes:
    """The packed status; of one that is too young to vouch for anything, that of `UNKNOWN`."""
    return pack(status if is_settled(status, moment) else UNKNOWN)


def _answer(result: SnapshotResult) -> Document:
    return {
        "snapshot_id": result.snapshot_id,
        "total_bytes": result.total_bytes,
        "skipped": [file._asdict() for file in result.skipped],
    }
