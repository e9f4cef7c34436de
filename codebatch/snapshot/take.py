"""Take a snapshot: walk a tree, store its files as objects, write the manifest.

The snapshot id is derived from the manifest's bytes alone: path, object, size and mode of each
file, in path order. Objects are durable before the manifest appears, the manifest before the
snapshot's document, so that a snapshot which can be listed is complete.

What the tree was like is kept in the store's stat cache. A file whose status is what it
was is not read again; a tree in which no folder is in another state is not even walked
(`known_tree`). The cache decides about the time this takes and about nothing else.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

from codebatch.model.clock import now_ns
from codebatch.model.records import path_key
from codebatch.runtime.interrupts import check
from codebatch.runtime.lazy import lazily
from codebatch.snapshot import DEFAULT_MAX_FILE_BYTES
from codebatch.snapshot.file_status import STATUS_BYTES, evidence_of, is_evident, reader_of_files
from codebatch.snapshot.git.history import find_head
from codebatch.snapshot.known_tree import Taken, Taking, answer_of, take_known
from codebatch.snapshot.selection import EVERYTHING, Selection
from codebatch.snapshot.tree import SourceEntry, open_tree
from codebatch.snapshot.writer import (
    ObjectsGoneError,
    SnapshotResult,
    SnapshotWriter,
    TakenFile,
    writing_snapshot,
)
from codebatch.store import StoreDirectory
from codebatch.store.indexes.stat_cache import CachedTree, StatCache

with lazily():
    from codebatch.snapshot import walk as walks

_CHANGED = "changed into something else while being read"

Progress = Callable[[int, int], None]


def take_snapshot(  # noqa: PLR0913 - the options of a snapshot
    store: StoreDirectory,
    root: Path,
    *,
    selection: Selection = EVERYTHING,
    ignore: bool = True,
    max_file_bytes: int | None = DEFAULT_MAX_FILE_BYTES,
    use_cache: bool = True,
    progress: Progress | None = None,
    same_names: Collection[bytes] = (),
) -> SnapshotResult:
    """Snapshot a selection of the directory ``root``; ``progress`` is called with files and bytes
    so far.

    Files of more than ``max_file_bytes`` are listed and not taken; None takes all.

    Without ``use_cache`` every file is read, and every object of the snapshot that is damaged
    in the store is restored. ``same_names`` are folders, relative to the root, which is ``b"."``:
    in these, nothing has come or gone since the last snapshot of the tree, whatever their status.
    """
    place = os.fsencode(root)
    limit = -1 if max_file_bytes is None else max_file_bytes
    name = b"%d %d %s%s" % (ignore, limit, os.path.realpath(place), selection.key)
    head = find_head(place)
    cache = StatCache(store.layout, name, STATUS_BYTES)
    known = cache.load(now_ns()) if use_cache else None
    if known is not None and known.circumstances.get("reader") != reader_of_files():
        known = None
    with open_tree(root) as tree:
        taking = Taking(
            *(store, place, tree, selection, ignore, max_file_bytes, frozenset(same_names))
        )
        taken = known and take_known(taking, known)
        if not taken:
            try:
                taken = _Walking(taking, known, progress).run(at_once=False)
            except ObjectsGoneError:  # objects were removed that were found in the store
                taken = _Walking(taking, None, progress).run(at_once=True)
        elif progress is not None:
            progress(taken.result.file_count, taken.result.total_bytes)
        if taken.tree is not known:
            locations = store.objects.settled(taken.tree.locations)
            cache.save(taken.tree._replace(locations=locations))
    return replace(taken.result, source=os.path.abspath(root), **head._asdict())


class _Walking:
    """One taking by a walk. State: ``_places`` are those of the paths in ``known``, if its
    snapshot is there to keep their objects.
    """

    def __init__(self, taking: Taking, known: CachedTree | None, progress: Progress | None) -> None:
        self._taking = taking
        self._walk = walks.TreeWalk(
            taking.tree,
            ignore=taking.ignore,
            max_bytes=taking.max_bytes,
            selection=taking.selection,
        )
        self._known = known
        self._places: dict[bytes, int] = {}
        self._progress = progress
        self._moment = now_ns()

    def run(self, *, at_once: bool) -> Taken:
        """Store the files and the snapshot; both are durable on return."""
        taking, known = self._taking, self._known
        with writing_snapshot(taking.store, taking.root, at_once=at_once) as writer:
            if known is not None and writer.base_on(str(known.answer.get("snapshot_id"))):
                places = range(len(known.locations))
                self._places = dict(zip(known.paths, places, strict=False))
            files = sorted(self._stored_files(writer))
            skipped = sorted(self._walk.skipped, key=lambda s: (path_key(s.path), s.reason))
            manifest = io.BytesIO()
            manifest.writelines(file.line() for file in files)  # joining would list all first
            size = sum(file.size for file in files)
            result = writer.save(manifest.getvalue(), len(files), size, tuple(skipped))
        return Taken(result, self._as_cached(files, result))

    def _as_cached(self, files: list[TakenFile], result: SnapshotResult) -> CachedTree:
        walk = self._walk
        watched = (evidence_of(status, self._moment) for status in walk.watched.values())
        answers = {os.fsdecode(folder): digest for folder, digest in walk.answers.items()}
        return CachedTree(
            {
                # By these two, `gc` can tell that a tree is gone.
                "host": os.uname().nodename,
                "root": os.fsdecode(os.path.realpath(self._taking.root)),
                "reader": reader_of_files(),
                "git": answers,
            },
            answer_of(result),
            b"".join([*(file.evidence for file in files), *watched]),
            [*(file.path for file in files), *walk.watched],
            [file.location for file in files],
            walk.absent,
        )

    def _stored_files(self, writer: SnapshotWriter) -> Iterator[TakenFile]:
        count = total = 0
        folders = self._taking.tree.folders
        for entry in self._walk.entries():
            check()
            try:
                file = self._unread(entry) or writer.take(folders, entry, self._moment)
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

    def _unread(self, entry: SourceEntry) -> TakenFile | None:
        """Return the file as it was, if its status is what it was and its object still there."""
        place, known = self._places.get(entry.path), self._known
        if known is None or place is None or not is_evident(entry.status, known.statuses, place):
            return None
        digest = known.digest(place)
        location = digest and self._taking.store.objects.location(digest)
        if not digest or not location:
            return None
        evidence = evidence_of(entry.status, self._moment)
        return TakenFile(
            entry.path, digest, entry.size, entry.mode, evidence, os.fsencode(location)
        )
