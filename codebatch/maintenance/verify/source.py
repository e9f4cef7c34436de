"""A directory that may still have what a store has lost.

A file is what was lost if its bytes give the digest; a snapshot, if the directory taken again
gives its id. Where a file lies and what it is called does not matter.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from codebatch.model.digest import canonical_json, digest_bytes, short_id
from codebatch.model.records import FileRecord
from codebatch.snapshot.file_status import status_of
from codebatch.snapshot.reading import read_entry
from codebatch.snapshot.take import take_snapshot
from codebatch.snapshot.tree import open_tree
from codebatch.snapshot.tree_entry import StoreMark, entry_of
from codebatch.snapshot.walk import TreeWalk
from codebatch.snapshot.writer import SnapshotResult
from codebatch.store import SNAPSHOT_PREFIX, StoreDirectory, is_store_document, measure

Whole = Callable[[bytes], str]
Stream = Callable[[Iterable[bytes]], str]


class SourceTree:
    """State: ``_by_size`` lists the files of each size, once something is looked for by size;
    ``_digests`` has the digests of the files read so far.
    """

    def __init__(self, store: StoreDirectory, root: Path) -> None:
        self._store = store
        self._root = os.fsencode(root)
        self._digests: dict[bytes, str | None] = {}

    def restore_object(self, digest: str, size: int | None, paths: Iterable[str]) -> bool:
        """Put the object into the store again, if some file has its content."""
        named = [os.fsencode(path) for path in sorted(paths)]
        for path in [*named, *(self._by_size.get(size, ()) if size is not None else ())]:
            if self._digest(path) == digest and self._put(path) == digest:
                return True
        return False

    @property
    def name(self) -> str:
        """The absolute path of the directory."""
        return os.path.abspath(os.fsdecode(self._root))

    def restore_snapshot(self, snapshot_id: str) -> SnapshotResult | None:
        """Take the directory again, if that gives the snapshot of that id: its manifest and every
        object are whole then.
        """
        for ignore, (found, manifest) in self._manifests.items():
            if found == snapshot_id:
                root = Path(os.fsdecode(self._root))
                self._store.snapshots.restore_manifest(snapshot_id, manifest)
                return take_snapshot(self._store, root, ignore=ignore, use_cache=False)
        return None

    @cached_property
    def _manifests(self) -> dict[bool, tuple[str, bytes]]:
        """The snapshot that the directory gives by either rule for ignored files."""
        return {ignore: self._manifest(ignore=ignore) for ignore in (True, False)}

    def _manifest(self, *, ignore: bool) -> tuple[str, bytes]:
        """The id and the manifest that taking the directory would give; nothing is stored."""
        with self._walk(ignore=ignore) as walk:
            lines = sorted(_lines(walk))
        manifest = b"".join(line for _, line in lines)
        return short_id(SNAPSHOT_PREFIX, digest_bytes(manifest)), manifest

    @contextlib.contextmanager
    def _walk(self, *, ignore: bool) -> Iterator[TreeWalk]:
        mark = StoreMark(os.fsencode(self._store.layout.store_document.name), is_store_document)
        root = Path(os.fsdecode(self._root))
        with open_tree(root) as tree:
            yield TreeWalk(tree.folders, mark, tree.git, ignore)

    @cached_property
    def _by_size(self) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        with self._walk(ignore=False) as walk:
            for entry in walk.entries():
                found.setdefault(entry.size, []).append(entry.path)
        return found

    def _digest(self, path: bytes) -> str | None:
        if path not in self._digests:
            found = self._read(path, digest_bytes, lambda portions: measure(portions)[0])
            self._digests[path] = found
        return self._digests[path]

    def _put(self, path: bytes) -> str | None:
        with self._store.group(durable=True) as group:
            objects = self._store.objects
            return self._read(
                path,
                lambda data: objects.put(data, group).digest,
                lambda portions: objects.put_stream(portions, group).digest,
            )

    def _read(self, path: bytes, whole: Whole, stream: Stream) -> str | None:
        try:
            with open_tree(Path(os.fsdecode(self._root))) as tree:
                status = tree.folders.at(b"").status(path)
                entry = status and entry_of(path, status_of(status))
                found = entry and read_entry(tree.folders, entry, whole, stream)
        except (OSError, ValueError):
            return None  # it cannot be read, so it is not found here
        return found[0] if found else None


def _lines(walk: TreeWalk) -> Iterator[tuple[bytes, bytes]]:
    """Path and line of each file of a walk that can be read."""
    for entry in walk.entries():
        try:
            found = read_entry(walk.folders, entry, lambda data: measure([data]), measure)
        except OSError:
            continue  # then the id is another one
        if found is not None:
            (digest, size), _ = found
            file = FileRecord(os.fsdecode(entry.path), digest, size, entry.mode)
            yield entry.path, canonical_json(file._asdict()) + b"\n"
