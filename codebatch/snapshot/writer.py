"""Store the files of a source tree and the snapshot of them, safe from `gc` meanwhile.

A snapshot that the store has already is not written again, and nothing is touched for its sake:
it refers to its objects itself. For a new one, every object that was found in place is secured
under a lease before the manifest appears. The lease begins when something is written first, so a
tree that is stored already can be snapshotted where nothing can be written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from codebatch.display.displayed import Displayed
from codebatch.model.clock import now
from codebatch.model.digest import canonical_json, digest_bytes, short_id
from codebatch.model.records import SkippedFile
from codebatch.runtime.interrupts import deferred
from codebatch.snapshot.descriptors import Folders
from codebatch.snapshot.file_status import UNKNOWN, evidence_of
from codebatch.snapshot.tree import SourceEntry, read_entry
from codebatch.store import SNAPSHOT_PREFIX, Checkout, StoreDirectory, WriteGroup
from codebatch.store.leases.leases import Pins, pinning


class TakenFile(NamedTuple):
    """A line of the manifest, the packed status that vouches for it, and where its object is.

    All files of a tree are held at once, in the form in which they are cached.
    """

    path: bytes
    digest: str
    size: int
    mode: str
    evidence: bytes
    location: bytes

    def line(self) -> bytes:
        """Return the line as it stands in the manifest."""
        path = canonical_json(self.path.decode("utf-8", "surrogateescape"))
        values = self.mode.encode(), self.digest.encode(), path, self.size
        return b'{"mode":"%b","object":"%b","path":%b,"size":%d}\n' % values


@dataclass(frozen=True, repr=False)
class SnapshotResult(Displayed):
    """What one taking found; ``created`` is false where the store had the snapshot already.

    ``source``, ``branch`` and ``commit`` say where the tree is and what it was at.
    """

    snapshot_id: str
    file_count: int
    total_bytes: int
    skipped: tuple[SkippedFile, ...]
    created: bool
    source: str | None = field(default=None, compare=False)
    branch: str | None = field(default=None, compare=False)
    commit: str | None = field(default=None, compare=False)

    @property
    def checkout(self) -> Checkout:
        """Where the tree is, and what it was at."""
        return Checkout(self.source, self.branch, self.commit)

    @property
    def id(self) -> str:
        """The id, as of the snapshot itself."""
        return self.snapshot_id


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

    def take(self, folders: Folders, entry: SourceEntry, moment: int) -> TakenFile | None:
        """Return a file with its bytes (a link's target) stored, read after ``moment``; None where
        its type changed.
        """
        objects, group, pins = self._store.objects, self._group, self._pins
        put = partial(objects.put, group=group, pins=pins)
        found = read_entry(folders, entry, put, partial(objects.put_stream, group=group, pins=pins))
        if found is None:
            return None
        (digest, size, location), seen = found
        # A file that another one replaced, or that has more bytes than it says, is read again.
        status = seen if seen == entry.status and size == entry.size else UNKNOWN
        evidence = evidence_of(status, moment)
        return TakenFile(entry.path, digest, size, entry.mode, evidence, location.encode())

    def put(self, data: bytes) -> tuple[str, int]:
        """Store bytes; return digest and size."""
        return self._store.objects.put(data, self._group, self._pins)[:2]

    def put_stream(self, portions: Iterable[bytes]) -> tuple[str, int]:
        """Store bytes of any length; return digest and size."""
        return self._store.objects.put_stream(portions, self._group, self._pins)[:2]

    def has(self, digest: str) -> bool:
        """Return True if an object is there, and take it for granted."""
        return self._store.objects.pin(digest, self._pins)

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
        snapshots = self._store.snapshots
        snapshot_id = short_id(SNAPSHOT_PREFIX, digest_bytes(manifest))
        created = not snapshots.is_whole(snapshot_id)
        if created:
            # The order matters: of a snapshot that is listed when the lease has begun, the objects
            # are kept as long as it is held, even if the snapshot is removed.
            is_secure = self._pins.secure()
            if not is_secure or (self.based_on is not None and not snapshots.lists(self.based_on)):
                raise ObjectsGoneError
            document = {
                "taken": now(),
                "source": os.path.abspath(os.fsdecode(self._root)),
                "file_count": file_count,
                "total_bytes": total_bytes,
                "skipped": [file._asdict() for file in skipped],
            }
            snapshots.add(snapshot_id, manifest, document, self._group)
        return SnapshotResult(snapshot_id, file_count, total_bytes, skipped, created)


@contextlib.contextmanager
def writing_snapshot(
    store: StoreDirectory, root: bytes, *, at_once: bool = False
) -> Iterator[SnapshotWriter]:
    """Open a writer for a block; all it wrote is durable at the end. With ``at_once``, objects are
    secured one by one, so that none can be gone when the snapshot is saved. Interrupts are put off
    to the next `check`: a lease that is not given up would last.
    """
    with (
        deferred(),
        pinning(store.layout, "snapshot", at_once=at_once) as pins,
        store.group(durable=True, pins=pins) as group,
    ):
        yield SnapshotWriter(store, root, group, pins)
