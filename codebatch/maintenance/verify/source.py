"""A directory that may still have what a store has lost.

A file is what was lost if its bytes give the digest; a snapshot, if the directory taken again
gives its id. Where a file lies and what it is called does not matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from codebatch.maintenance.verify.findings import find_document
from codebatch.model.digest import canonical_json, digest_bytes, short_id
from codebatch.model.records import FileRecord, path_key
from codebatch.snapshot.take import take_snapshot
from codebatch.snapshot.tree import SourceEntry, open_tree, read_entry
from codebatch.snapshot.walk import TreeWalk
from codebatch.store import SNAPSHOT_PREFIX, StoreDirectory, measure
from codebatch.store.layout import SNAPSHOT_BYTES
from codebatch.store.removal import drop_file


class SourceTree:
    """State: ``_entries`` has the files by digest, ``_manifests`` the snapshots that taking the
    directory gives by either rule for ignored files, each once it was needed.
    """

    def __init__(self, store: StoreDirectory, root: Path) -> None:
        self._store = store
        self._root = root

    def restore_object(self, digest: str) -> bool:
        """Put the object into the store again, if some file has its content."""
        entry = self._entries.get(digest)
        if entry is None:
            return False
        objects = self._store.objects
        try:
            with self._store.group(durable=True) as group, open_tree(self._root) as tree:
                found = read_entry(
                    tree.folders,
                    entry,
                    lambda data: objects.put(data, group).digest,
                    lambda portions: objects.put_stream(portions, group).digest,
                )
        except OSError:
            return False  # it cannot be read any more, so it is not found here
        return found is not None and found[0] == digest

    def restore_snapshot(self, snapshot_id: str) -> bool:
        """Take the directory again, if that gives the snapshot of that id: its manifest, its
        document and every object are whole then.
        """
        for ignore, manifest in self._manifests.items():
            if short_id(SNAPSHOT_PREFIX, digest_bytes(manifest)) == snapshot_id:
                self._store.snapshots.restore_manifest(snapshot_id, manifest)
                # A document that is whole stays, any other is written anew.
                document = self._store.layout.snapshot_document(snapshot_id)
                drop_file(self._store.layout.door, document, self._is_whole)
                taken = take_snapshot(self._store, self._root, ignore=ignore, use_cache=False)
                return taken.snapshot_id == snapshot_id
        return False

    def _is_whole(self, path: str) -> bool:
        return find_document(self._store, Path(path), SNAPSHOT_BYTES).document is not None

    @cached_property
    def _entries(self) -> dict[str, SourceEntry]:
        return {file.object: entry for file, entry in self._files(ignore=False)}

    @cached_property
    def _manifests(self) -> dict[bool, bytes]:
        return {ignore: self._manifest(ignore=ignore) for ignore in (True, False)}

    def _manifest(self, *, ignore: bool) -> bytes:
        """The manifest that taking the directory would give; nothing is stored."""
        files = sorted((path_key(file.path), file) for file, _ in self._files(ignore=ignore))
        return b"".join(canonical_json(file._asdict()) + b"\n" for _, file in files)

    def _files(self, *, ignore: bool) -> Iterator[tuple[FileRecord, SourceEntry]]:
        """Each file of the directory that can be read, as it would stand in a manifest."""
        with open_tree(self._root) as tree:
            for entry in TreeWalk(tree, ignore=ignore).entries():
                try:
                    found = read_entry(tree.folders, entry, lambda data: measure([data]), measure)
                except OSError:
                    continue  # then the id is another one
                if found is not None:
                    (digest, size), _ = found
                    yield FileRecord(os.fsdecode(entry.path), digest, size, entry.mode), entry
