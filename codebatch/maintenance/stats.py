"""What a store holds and what takes its room: counts and bytes by kind, and where they come from.

Everything is looked at and nothing is checked. A few hundred bytes of memory are needed for each
object. ``bytes`` are the lengths of files as they lie in the store, each once, however many
names it has; ``disk_bytes`` is the room that the file system gives them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codebatch.display.displayed import Displayed, card
from codebatch.maintenance.gc.marks import batch_data, digests_in
from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import SnapshotNotFoundError, StoreError
from codebatch.model.records import FileRecord
from codebatch.store import StoreDirectory, path_kinds
from codebatch.store.inventory import FoundFile, files_below, is_removed, is_temporary
from codebatch.store.layout import INDEX_SUFFIX, PACK_SUFFIX
from codebatch.store.objects.packs import are_contiguous, is_index

SOURCE, DERIVED, UNREFERENCED = "source objects", "derived objects", "unreferenced objects"
PACKS, REMOVED, TEMPORARY, OTHER = "packs", "removed", "temporaries", "other"
_KINDS = {
    path_kinds.STORE: "store",
    path_kinds.SNAPSHOT: "snapshots",
    path_kinds.MANIFEST: "manifests",
    path_kinds.INPUTS: "inputs",
    path_kinds.EVENTS: "events",
    path_kinds.TASK: "tasks",
    path_kinds.STATE: "states",
    path_kinds.OUTPUTS: "outputs",
    path_kinds.ASKED: "events",
    path_kinds.NAME: "names",
    **dict.fromkeys((path_kinds.BATCH, path_kinds.PLAN), "batches"),
    **dict.fromkeys((path_kinds.LEASE, path_kinds.LOCK, path_kinds.HOLDER), "leases"),
}
_OWN_INDEXES = ("memo", "partials", "quarantine")
_PATHS = 5
_SUMMED = ("files", "bytes", "disk_bytes", "objects")


@dataclass
class Usage:
    """Files of one kind: how many names, how many bytes, and how many on disk; how many objects.

    The bytes of objects are theirs wherever they are: those of packs are what there is besides.
    """

    kind: str
    files: int = 0
    bytes: int = 0
    disk_bytes: int = 0
    objects: int = 0


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


@dataclass(frozen=True, repr=False)
class StoreStats(Displayed):
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

    def _card(self) -> card.Card:
        names = (
            *("snapshots", "batches", "files", "logical_bytes", "distinct_bytes", "stored_bytes"),
            *("deduplication", "compression", "saving"),
        )
        facts = {name.replace("_", " "): getattr(self, name) for name in names}
        kinds = [*map(card.row_of, (*self.kinds, self.total))]
        tables = [card.table_of(kinds)]
        for title, rows in (("growth", self.growth), ("largest objects", self.largest)):
            if rows:
                shown = [card.row_of(one) for one in rows[: card.MOST_ROWS]]
                tables.append(card.table_of(shown, len(rows), title))
        return card.Card("Store statistics", facts=facts, tables=tables)


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

    def stats(self, largest: int) -> StoreStats:
        """Everything that there is to say."""
        snapshots = self.store.snapshots.ids()
        sizes = [file.size for one in snapshots for file in self._files_of(one)]
        ids = self.store.batches.ids()
        ids.sort(key=lambda batch_id: (_created(self.store, batch_id), batch_id))
        batches = [(batch_id, self._referred(batch_id)) for batch_id in ids]
        self.derived.update(*(referred for _, referred in batches))
        self._add_objects()
        self._add_packs()
        growth = tuple(self._growth(batches))
        layout = self.store.layout
        for file in files_below(layout.door, layout.root, skip=layout.objects):
            if not file.path.startswith(layout.packs):
                self._add(self._kind_of_file(file.path), file)
        kinds = tuple(self.usage.values())
        total = Usage("total", *(sum(getattr(one, name) for one in kinds) for name in _SUMMED))
        return StoreStats(
            snapshots=len(snapshots),
            batches=len(batches),
            files=len(sizes),
            logical_bytes=sum(sizes),
            distinct_bytes=sum(self.sources.values()),
            stored_bytes=sum(self.stored.get(digest, 0) for digest in self.sources),
            kinds=kinds,
            total=total,
            growth=growth,
            largest=tuple(self._largest(largest)),
        )

    def _files_of(self, snapshot_id: str) -> Sequence[FileRecord]:
        """The files of a snapshot, whose objects are now known as sources."""
        try:
            files = self.store.snapshots.load_manifest(snapshot_id)
        except SnapshotNotFoundError:  # removed meanwhile
            return ()
        self.sources.update(
            (bytes.fromhex(file.object[len(DIGEST_PREFIX) :]), file.size) for file in files
        )
        return files

    def _folder(self, batch_id: str) -> Path:
        return self.store.layout.batch_document(batch_id).parent

    def _referred(self, batch_id: str) -> set[bytes]:
        lines = batch_data(self.store, [self._folder(batch_id)])
        return {digest for data in lines for digest in digests_in(data)}

    def _add_objects(self) -> None:
        layout = self.store.layout
        for file in files_below(layout.door, layout.objects):
            place = path_kinds.place_of(layout.door.place(file.path))
            if place is None:
                self._add(self._kind_of_file(file.path), file)
                continue
            digest = bytes.fromhex(place.digest[len(DIGEST_PREFIX) :])
            self.stored[digest] = file.size
            self._add(self._kind(digest), file).objects += 1

    def _add_packs(self) -> None:
        """Count the objects of packs, and what the files of packs have besides."""
        layout = self.store.layout
        found = {file.path: file for file in files_below(layout.door, layout.packs)}
        packs = self._usage(PACKS) if found else Usage(PACKS)
        for index in self.store.objects.packs.all():
            pack = found.get(layout.pack(index.name))
            frames = index.frames() if is_index(index.lines) else []
            if pack is None or not are_contiguous(frames, pack.size):
                continue
            for packed in frames:
                digest = bytes.fromhex(packed.digits)
                disk = packed.size * pack.disk // max(1, pack.size)
                self.stored[digest] = packed.size
                for usage, sign in ((self._usage(self._kind(digest)), 1), (packs, -1)):
                    usage.bytes += sign * packed.size
                    usage.disk_bytes += sign * disk
                self._usage(self._kind(digest)).objects += 1
        for file in found.values():
            is_part = os.path.basename(file.path).endswith((PACK_SUFFIX, INDEX_SUFFIX))
            is_pack = is_part and not is_temporary(file.path)
            self._add(PACKS if is_pack else self._kind_of_file(file.path), file)

    def _kind(self, digest: bytes) -> str:
        if digest in self.sources:
            return SOURCE
        return DERIVED if digest in self.derived else UNREFERENCED

    def _kind_of_file(self, path: str) -> str:
        place = os.path.relpath(path, self.store.root)
        if is_removed(place):
            return REMOVED
        if is_temporary(place):
            return TEMPORARY
        found = path_kinds.place_of(place)
        if found is None:
            return OTHER
        if found.kind != path_kinds.DERIVED:
            return _KINDS.get(found.kind, OTHER)
        folder = place.split("/")[1]
        return folder if folder in _OWN_INDEXES else f"indexes: {folder}"

    def _usage(self, kind: str) -> Usage:
        return self.usage.setdefault(kind, Usage(kind))

    def _add(self, kind: str, file: FoundFile) -> Usage:
        usage = self._usage(kind)
        usage.files += 1
        if file.inode not in self.seen:
            usage.bytes += file.size
            usage.disk_bytes += file.disk
        if file.links > 1:
            self.seen.add(file.inode)
        return usage

    def _growth(self, batches: Iterable[tuple[str, set[bytes]]]) -> Iterator[Growth]:
        known: set[bytes] = set()
        inodes: set[tuple[int, int]] = set()
        for batch_id, referred in batches:
            new = referred - known
            known |= referred
            own = 0
            for file in files_below(self.store.layout.door, self._folder(batch_id)):
                own += 0 if file.inode in inodes else file.size
                if file.links > 1:
                    inodes.add(file.inode)
            taken = sum(self.stored.get(digest, 0) for digest in new)
            yield Growth(batch_id, _created(self.store, batch_id), len(new), taken, own)

    def _largest(self, number: int) -> Iterator[LargeObject]:
        chosen = sorted(self.stored, key=lambda digest: (-self.stored[digest], digest))[:number]
        names = {digest: DIGEST_PREFIX + digest.hex() for digest in chosen}
        paths: dict[str, set[str]] = defaultdict(set)
        for data in self._lines() if chosen else ():
            for name in names.values():
                paths[name].update(_paths_with(data, f'"object":"{name}"'.encode()))
        for digest, name in names.items():
            found = sorted(paths[name])
            some, size = tuple(found[:_PATHS]), self.stored[digest]
            yield LargeObject(name, self._kind(digest), size, some, len(found))

    def _lines(self) -> Iterator[bytes]:
        """All lines that name paths together with objects: of manifests, inputs and outputs."""
        for snapshot_id in self.store.snapshots.ids():
            with contextlib.suppress(SnapshotNotFoundError):  # removed meanwhile
                yield self.store.snapshots.read_manifest(snapshot_id)
        yield from batch_data(self.store, map(self._folder, self.store.batches.ids()))


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


def _ratio(more: int, less: int) -> float | None:
    return round(more / less, 2) if less else None
