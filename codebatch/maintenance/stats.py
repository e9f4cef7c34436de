"""What a store holds and what takes its room: counts and bytes by kind, and where they come from.

Everything is looked at and nothing is checked. A few hundred bytes of memory are needed for each
object. ``bytes`` are the lengths of files as they lie in the store, each once, however many
names it has; ``disk_bytes`` is the room that the file system gives them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from codebatch.maintenance.gc.marks import batch_data, digests_in
from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import SnapshotNotFoundError, StoreError
from codebatch.store import StoreDirectory
from codebatch.store.inventory import (
    OBJECT_PREFIXES,
    FoundFile,
    files_below,
    is_removed,
    is_temporary,
    object_folders,
)
from codebatch.store.path_kinds import (
    BATCH,
    EVENTS,
    HOLDER,
    INPUTS,
    LEASE,
    LOCK,
    MANIFEST,
    OUTPUTS,
    PLAN,
    SNAPSHOT,
    STATE,
    STORE,
    TASK,
    place_of,
)
from codebatch.store.path_kinds import DERIVED as INDEX

SOURCE, DERIVED, UNREFERENCED = "source objects", "derived objects", "unreferenced objects"
REMOVED, TEMPORARY, OTHER = "removed", "temporaries", "other"
_KINDS = {
    STORE: "store",
    SNAPSHOT: "snapshots",
    MANIFEST: "manifests",
    BATCH: "batches",
    PLAN: "batches",
    INPUTS: "inputs",
    EVENTS: "events",
    TASK: "tasks",
    STATE: "states",
    OUTPUTS: "outputs",
    LEASE: "leases",
    LOCK: "leases",
    HOLDER: "leases",
}
_OWN_INDEXES = ("memo", "quarantine")
_PATHS = 5


@dataclass
class Usage:
    """Files of one kind: how many names, how many bytes, and how many on disk."""

    kind: str
    files: int = 0
    bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True)
class Growth:
    """What a batch brought: objects that no older batch refers to, and its own files."""

    batch_id: str
    created: str
    objects: int
    object_bytes: int
    own_bytes: int


@dataclass(frozen=True)
class LargeObject:
    """An object that takes much room, with some of the paths it has, and how many there are."""

    object: str
    kind: str
    bytes: int
    paths: tuple[str, ...]
    path_count: int


@dataclass(frozen=True)
class StoreStats:
    """The statistics of a store.

    ``logical_bytes`` is the sum over the files of all snapshots, ``distinct_bytes`` that over
    files of different content, ``stored_bytes`` what the store needs for them.
    """

    snapshots: int
    batches: int
    files: int
    logical_bytes: int
    distinct_bytes: int
    stored_bytes: int
    kinds: tuple[Usage, ...]
    total: Usage
    growth: tuple[Growth, ...]
    largest: tuple[LargeObject, ...]

    @property
    def deduplication(self) -> float | None:
        """The size of all snapshots by that of their different contents; None without any."""
        return _ratio(self.logical_bytes, self.distinct_bytes)

    @property
    def compression(self) -> float | None:
        """The size of the different contents by what is stored of them."""
        return _ratio(self.distinct_bytes, self.stored_bytes)

    @property
    def saving(self) -> float | None:
        """The size of all snapshots by what is stored of them."""
        return _ratio(self.logical_bytes, self.stored_bytes)


def store_stats(store: StoreDirectory, largest: int = 10) -> StoreStats:
    """Look through the whole store; ``largest`` is how many objects to name."""
    return _Counting(store).stats(largest)


@dataclass
class _Counting:
    """The count of one store.

    State: ``sources`` has the size of each object that a snapshot refers to, ``derived`` those
    that a batch refers to besides, ``stored`` what each object takes; ``seen`` the files with
    several names that are counted.
    """

    store: StoreDirectory
    sources: dict[bytes, int] = field(default_factory=dict)
    derived: set[bytes] = field(default_factory=set)
    stored: dict[bytes, int] = field(default_factory=dict)
    seen: set[tuple[int, int]] = field(default_factory=set)
    usage: dict[str, Usage] = field(default_factory=dict)
    files: int = 0
    logical: int = 0

    def stats(self, largest: int) -> StoreStats:
        """Everything that there is to say."""
        snapshots = self.store.snapshots.ids()
        for snapshot_id in snapshots:
            self._add_snapshot(snapshot_id)
        batches = [(batch_id, self._referred(batch_id)) for batch_id in self._oldest_first()]
        for _, referred in batches:
            self.derived |= referred
        self._add_objects()
        growth = tuple(self._growth(batches))
        self._add_files()
        kinds = tuple(self.usage.values())
        return StoreStats(
            snapshots=len(snapshots),
            batches=len(batches),
            files=self.files,
            logical_bytes=self.logical,
            distinct_bytes=sum(self.sources.values()),
            stored_bytes=sum(self.stored.get(digest, 0) for digest in self.sources),
            kinds=kinds,
            total=_sum(kinds),
            growth=growth,
            largest=tuple(self._largest(largest)),
        )

    def _add_snapshot(self, snapshot_id: str) -> None:
        try:
            files = self.store.snapshots.load_manifest(snapshot_id)
        except SnapshotNotFoundError:  # removed meanwhile
            return
        for file in files:
            self.files += 1
            self.logical += file.size
            self.sources[bytes.fromhex(file.object[len(DIGEST_PREFIX) :])] = file.size

    def _oldest_first(self) -> list[str]:
        return sorted(self.store.batches.ids(), key=lambda one: (_created(self.store, one), one))

    def _referred(self, batch_id: str) -> set[bytes]:
        folder = self.store.layout.batch_document(batch_id).parent
        return {digest for data in batch_data(self.store, [folder]) for digest in digests_in(data)}

    def _add_objects(self) -> None:
        for prefix in OBJECT_PREFIXES:
            for folder in object_folders(self.store.layout, prefix):
                for digest, file in folder.objects:
                    self.stored[digest] = file.size
                    self._add(self._kind(digest), file)
                for file in (*folder.temporaries, *(file for _, file in folder.aside)):
                    self._add(TEMPORARY, file)

    def _kind(self, digest: bytes) -> str:
        if digest in self.sources:
            return SOURCE
        return DERIVED if digest in self.derived else UNREFERENCED

    def _add_files(self) -> None:
        layout = self.store.layout
        for file in files_below(layout.door, layout.root, skip=layout.objects):
            self._add(self._kind_of_file(file.path), file)

    def _kind_of_file(self, path: str) -> str:
        place = os.path.relpath(path, self.store.root)
        if is_removed(place):
            return REMOVED
        if is_temporary(place):
            return TEMPORARY
        found = place_of(place)
        if found is None:
            return OTHER
        if found.kind != INDEX:
            return _KINDS.get(found.kind, OTHER)
        folder = place.split("/")[1]
        return folder if folder in _OWN_INDEXES else f"indexes: {folder}"

    def _add(self, kind: str, file: FoundFile) -> None:
        usage = self.usage.setdefault(kind, Usage(kind))
        usage.files += 1
        if file.inode not in self.seen:
            usage.bytes += file.size
            usage.disk_bytes += file.disk
        if file.links > 1:
            self.seen.add(file.inode)

    def _growth(self, batches: Iterable[tuple[str, set[bytes]]]) -> Iterator[Growth]:
        known: set[bytes] = set()
        inodes: set[tuple[int, int]] = set()
        for batch_id, referred in batches:
            new = referred - known
            known |= referred
            own = 0
            layout = self.store.layout
            for file in files_below(layout.door, layout.batch_document(batch_id).parent):
                own += 0 if file.inode in inodes else file.size
                if file.links > 1:
                    inodes.add(file.inode)
            taken = sum(self.stored.get(digest, 0) for digest in new)
            yield Growth(batch_id, _created(self.store, batch_id), len(new), taken, own)

    def _largest(self, number: int) -> Iterator[LargeObject]:
        chosen = sorted(self.stored, key=lambda digest: (-self.stored[digest], digest))[:number]
        paths = self._paths_of(chosen)
        for digest in chosen:
            name = DIGEST_PREFIX + digest.hex()
            found = sorted(paths[name])
            yield LargeObject(
                name, self._kind(digest), self.stored[digest], tuple(found[:_PATHS]), len(found)
            )

    def _paths_of(self, digests: list[bytes]) -> dict[str, set[str]]:
        """The paths that lines of manifests and outputs name together with an object."""
        paths: dict[str, set[str]] = defaultdict(set)
        names = [DIGEST_PREFIX + digest.hex() for digest in digests]
        batches = self.store.batches.ids()
        folders = [self.store.layout.batch_document(batch_id).parent for batch_id in batches]
        for data in chain(_manifests(self.store), batch_data(self.store, folders)):
            for name in names:
                paths[name].update(_paths_with(data, f'"object":"{name}"'.encode()))
        return paths


def _manifests(store: StoreDirectory) -> Iterator[bytes]:
    for snapshot_id in store.snapshots.ids():
        with contextlib.suppress(SnapshotNotFoundError):  # removed meanwhile
            yield store.snapshots.read_manifest(snapshot_id)


def _paths_with(data: bytes, reference: bytes) -> Iterator[str]:
    """The paths in the lines that hold a reference."""
    place = data.find(reference)
    while place >= 0:
        end = data.find(b"\n", place) + 1 or len(data)
        with contextlib.suppress(ValueError, RecursionError):  # a damaged line has no path
            yield str(json.loads(data[data.rfind(b"\n", 0, place) + 1 : end]).get("path", ""))
        place = data.find(reference, end)


def _created(store: StoreDirectory, batch_id: str) -> str:
    """Return when a batch was made; one whose document is damaged comes before all others."""
    try:
        return store.batches.time_of(batch_id)
    except StoreError:
        return ""


def _sum(kinds: Iterable[Usage]) -> Usage:
    total: Counter[str] = Counter()
    for usage in kinds:
        total.update(files=usage.files, bytes=usage.bytes, disk_bytes=usage.disk_bytes)
    return Usage("total", total["files"], total["bytes"], total["disk_bytes"])


def _ratio(more: int, less: int) -> float | None:
    return round(more / less, 2) if less else None
