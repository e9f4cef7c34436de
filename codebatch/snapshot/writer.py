"""Write the objects of a source tree and the snapshot of them, safe from `gc` meanwhile.

A snapshot that the store has already is not written again, and nothing is touched for its sake:
it refers to its objects itself. For a new one, every object that was found in place is secured
under a lease before the manifest appears. The lease begins when something is written first, so a
tree that is stored already can be snapshotted where nothing can be written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from codebatch.model.clock import now
from codebatch.model.digest import Document, digest_bytes, short_id
from codebatch.model.records import SkippedFile
from codebatch.store import SNAPSHOT_PREFIX, StoreDirectory, WriteGroup
from codebatch.store.leases.pins import Pins, pinning
from codebatch.store.objects.cas import StoredObject


@dataclass(frozen=True)
class SnapshotResult:
    """What one taking found; ``created`` is false where the store had the snapshot already."""

    snapshot_id: str
    file_count: int
    total_bytes: int
    skipped: tuple[SkippedFile, ...]
    created: bool


class ObjectsGoneError(Exception):
    """What a snapshot relied on was removed while it was taken: take it again."""


class SnapshotWriter:
    """Writes one snapshot.

    State: ``based_on`` is the snapshot whose objects are taken for granted, where there is one.
    """

    def __init__(self, store: StoreDirectory, root: bytes, group: WriteGroup, pins: Pins) -> None:
        self.based_on: str | None = None
        self._store = store
        self._root = root
        self._group = group
        self._pins = pins

    def put(self, data: bytes) -> StoredObject:
        """Store the bytes of a file."""
        return self._store.objects.put(data, self._group, self._pins)

    def put_stream(self, portions: Iterable[bytes]) -> StoredObject:
        """Store the bytes of a large file."""
        return self._store.objects.put_stream(portions, self._group, self._pins)

    def base_on(self, snapshot_id: str) -> bool:
        """Take the objects of a snapshot for granted, if it is listed."""
        listed = self._store.snapshots.lists(snapshot_id)
        self.based_on = snapshot_id if listed else None
        return listed

    def save(
        self,
        manifest: bytes,
        file_count: int,
        total_bytes: int,
        skipped: tuple[SkippedFile, ...],
    ) -> SnapshotResult:
        """Add the snapshot of that manifest to the group, unless the store has it.

        `ObjectsGoneError` where an object is not there any more.
        """
        snapshot_id = short_id(SNAPSHOT_PREFIX, digest_bytes(manifest))
        created = not self._store.snapshots.is_whole(snapshot_id)
        result = SnapshotResult(snapshot_id, file_count, total_bytes, skipped, created)
        if created:
            if not self._is_secure():
                raise ObjectsGoneError
            document = _document(os.fsdecode(self._root), result)
            self._store.snapshots.add(snapshot_id, manifest, document, self._group)
        return result

    def _is_secure(self) -> bool:
        """The order matters: of a snapshot that is listed when the lease has begun, the objects
        are kept as long as it is held, even if the snapshot is removed.
        """
        found = self._pins.secure()
        return found and (self.based_on is None or self._store.snapshots.lists(self.based_on))


@contextlib.contextmanager
def writing_snapshot(
    store: StoreDirectory, root: bytes, *, at_once: bool = False
) -> Iterator[SnapshotWriter]:
    """A writer for a block; all it wrote is durable at the end. With ``at_once``, objects are
    secured one by one, so that none can be gone when the snapshot is saved.
    """
    with (
        pinning(store.layout, "snapshot", at_once=at_once) as pins,
        store.group(durable=True, pins=pins) as group,
    ):
        yield SnapshotWriter(store, root, group, pins)


def _document(source: str, result: SnapshotResult) -> Document:
    return {
        "taken": now(),
        "source": os.path.abspath(source),
        "file_count": result.file_count,
        "total_bytes": result.total_bytes,
        "skipped": [file._asdict() for file in result.skipped],
    }
