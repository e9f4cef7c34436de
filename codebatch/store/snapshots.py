"""The snapshots of a store: a manifest each, and a document that says how it was taken."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache

from codebatch.model.checks import check_manifest, check_snapshot
from codebatch.model.digest import Document, digest_bytes, seal, short_id
from codebatch.model.errors import SnapshotNotFoundError, StoreDamagedError, StoreError
from codebatch.model.records import FileRecord
from codebatch.store.documents import (
    LINES_KEPT,
    Documents,
    Kind,
    check_there,
    parse_line,
    pretty,
    typed,
)
from codebatch.store.files import read_file, write_file
from codebatch.store.layout import INDEX_BYTES, SNAPSHOT_BYTES, SNAPSHOT_PREFIX, Layout
from codebatch.store.write_group import WriteGroup

_KIND = Kind(
    noun="snapshot",
    plural="snapshots",
    prefix=SNAPSHOT_PREFIX,
    time_key="taken",
    missing=SnapshotNotFoundError,
    most_bytes=SNAPSHOT_BYTES,
    check=check_snapshot,
)


class Snapshots(Documents):
    """Reads and writes the snapshots of one store."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout, _KIND, layout.snapshots, layout.snapshot_document)

    def load_manifest(self, snapshot_id: str) -> list[FileRecord]:
        """Return the files of a snapshot ordered by path; checked against the snapshot's id."""
        files = list(self.read_files(snapshot_id))
        typed(files, check_manifest, f"the manifest of {snapshot_id}")
        return files

    def read_files(self, snapshot_id: str) -> Iterator[FileRecord]:
        """Return the files of a snapshot one by one, as its manifest, which is whole, has them."""
        return map(_parse_file, io.BytesIO(self.read_manifest(snapshot_id)))

    def read_manifest(self, snapshot_id: str) -> bytes:
        """Return the bytes of a manifest, checked against the snapshot's id."""
        data = read_file(self._door, self._layout.manifest(snapshot_id), INDEX_BYTES)
        if data is None:
            check_there(self._layout, snapshot_id)
            raise StoreDamagedError(f"the manifest of {snapshot_id} is missing")
        if short_id(SNAPSHOT_PREFIX, digest_bytes(data)) != snapshot_id:
            raise StoreDamagedError(
                f"the manifest of {snapshot_id} is damaged: its bytes give another id",
                hints=["take the snapshot again to restore it"],
            )
        return data

    def is_whole(self, snapshot_id: str) -> bool:
        """Return True if the snapshot is there and undamaged."""
        try:
            self.load(snapshot_id)
            self.read_manifest(snapshot_id)
        except StoreError:
            return False
        return True

    def add(self, snapshot_id: str, manifest: bytes, document: Document, group: WriteGroup) -> None:
        """Add a snapshot to the group that has its objects: they appear before its manifest,
        and that before its document.
        """
        group.flush()
        group.add(self._layout.manifest(snapshot_id), manifest)
        group.flush()
        body = seal({**document, "snapshot_id": snapshot_id})
        group.add(self._layout.snapshot_document(snapshot_id), pretty(body))

    def restore_manifest(self, snapshot_id: str, manifest: bytes) -> None:
        """Put a manifest that gives the id into place again."""
        write_file(self._door, self._layout.manifest(snapshot_id), manifest, durable=True)

    def restore_document(self, snapshot_id: str, document: Document) -> None:
        """Put the document of a snapshot whose manifest is whole into place again."""
        data = pretty(seal({**document, "snapshot_id": snapshot_id}))
        write_file(self._door, self._layout.snapshot_document(snapshot_id), data, durable=True)


# From one revision to the next, most lines are the same.
@lru_cache(maxsize=LINES_KEPT)
def _parse_file(line: bytes) -> FileRecord:
    return parse_line(line, FileRecord.from_document)
