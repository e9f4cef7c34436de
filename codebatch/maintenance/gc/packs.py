"""The packs of a store in a `gc`: which of them go, and which objects are written into new ones.

A pack is never changed. What is needed of one that goes is read, checked, and written into a new
pack, which is durable before the old one is removed. One that holds something damaged that is
needed is left as it is. A new pack is as old as what it was made of.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path

from codebatch.maintenance.gc.marks import DigestSet
from codebatch.maintenance.gc.report import Collection
from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import StoreDamagedError, StoreError
from codebatch.store import ABSENT, StoredBytes, reporting_read_errors, whole_frame
from codebatch.store.files import read_file, remove_file
from codebatch.store.inventory import ASIDE_PREFIX, FoundFile, files_below, find_file
from codebatch.store.layout import CHUNK_BYTES, COMPRESSED_SUFFIX, INDEX_SUFFIX, PACK_SUFFIX
from codebatch.store.objects import pack_writer
from codebatch.store.objects.forms import read_frame
from codebatch.store.objects.pack_walk import Walk, walk_pack
from codebatch.store.objects.pack_writer import PackWriter
from codebatch.store.objects.packs import Found, PackIndex, are_contiguous, is_index
from codebatch.store.removal import remove_empty_folder, remove_if_old, remove_pack

Loose = tuple[str, FoundFile]  # the digits of an object, and the file of its own that it is in
_Frame = tuple[str, bytes, int]  # for a new pack: digits, bytes, and when they were written

# Of a pack written here; nothing in it is larger than a sixteenth.
MOST_BYTES = 240 * 2**20
# A pack is written anew as soon as one part in so many is of no use: a store takes at most a third
# more than what is needed, and three bytes are copied at most for each that is freed.
WASTE = 4
# Packs below so many bytes become one as soon as they are so many: each `gc` copies no more of
# what is needed than a few of them hold.
SMALL_BYTES = 32 * 2**20
LEAST_PACKS = 8

_DEAD, _NEEDED, _ELSEWHERE = range(3)


@dataclass(eq=False)
class _Pack:
    """A pack, and when it was written. State: ``uses`` has one of the three numbers above for
    each object, by digest; ``needed_bytes`` are those of the ones that this pack has to have.
    """

    index: PackIndex
    file: FoundFile
    written_ns: int
    uses: bytearray = field(default_factory=bytearray)
    needed_bytes: int = 0
    is_left: bool = False

    def frames(self) -> list[tuple[int, Found]]:
        """Return the use and the place of each object, in the order of places."""
        entries = zip(self.uses, self.index.starting_with(b""), strict=True)
        return sorted(entries, key=lambda entry: entry[1].offset)

    @property
    def is_small(self) -> bool:
        """Whether it is far from full, in bytes and objects."""
        is_short = len(self.index) <= pack_writer.MOST_OBJECTS // 2
        return is_short and self.file.size < SMALL_BYTES

    @property
    def needed(self) -> int:
        """How many objects it has to have."""
        return self.uses.count(_NEEDED)

    @property
    def is_wasteful(self) -> bool:
        """Whether too much of it is of no use."""
        return (self.file.size - self.needed_bytes) * WASTE >= self.file.size


class PackSweep:
    """Looks through packs and removes what is old; in a dry run only counts.

    State: ``_packs`` are all that can be read, in the order of readers; ``_homes`` says for each
    needed object of the part that is looked through which of them has it, and as which;
    ``_written`` has the files and packs that are wholly in new ones, once these are in place.
    """

    def __init__(self, collection: Collection, marks: DigestSet) -> None:
        self._collection = collection
        self._store = store = collection.store
        self._marks = marks
        self._layout = store.layout
        self._door = store.layout.door
        self._before_ns = collection.before_ns
        self._touched_ns = collection.touched_ns
        self._dry_run = collection.dry_run
        self._homes: dict[bytes, tuple[_Pack, int, Found]] = {}
        self._written: list[Loose | _Pack] = []
        if not self._dry_run:
            self._restore()
        store.objects.packs.refresh()  # an orphan may have had its index when packs were listed
        files = self._files()
        self._orphans(files)
        self._packs = [
            _Pack(one, files[one.name + PACK_SUFFIX], files[one.name + INDEX_SUFFIX].modified_ns)
            for one in store.objects.packs.all()
            if {one.name + PACK_SUFFIX, one.name + INDEX_SUFFIX} <= files.keys()
            and is_index(one.lines)
        ]

    def _files(self) -> dict[str, FoundFile]:
        files = files_below(self._door, self._layout.packs)
        return {os.path.basename(file.path): file for file in files}

    def _restore(self) -> None:
        """Give what an earlier `gc` set aside and did not remove its name again, packs first."""
        files = self._files()
        for name in sorted(files, reverse=True):
            if not name.startswith(ASIDE_PREFIX):
                continue
            plain = name.removeprefix(ASIDE_PREFIX)
            stem, suffix = os.path.splitext(plain)
            other = stem + (INDEX_SUFFIX if suffix == PACK_SUFFIX else PACK_SUFFIX)
            if plain not in files and {other, ASIDE_PREFIX + other} & files.keys():
                remove_if_old(self._door, files[name].path, 0)
            elif files[name].modified_ns < self._before_ns:
                remove_file(self._door, Path(files[name].path))

    def _orphans(self, files: dict[str, FoundFile]) -> None:
        """Remove packs of writers that were killed before they wrote the index, but for one that
        alone has something needed, to which `verify` gives an index, or that may have.
        """
        for name, file in files.items():
            stem, suffix = os.path.splitext(name)
            index = stem + INDEX_SUFFIX
            if suffix != PACK_SUFFIX or {index, ASIDE_PREFIX + index} & files.keys():
                continue
            is_old = file.modified_ns < self._before_ns and not name.startswith(ASIDE_PREFIX)
            if not is_old or self._may_be_needed(walk_pack(self._layout, stem)):
                continue
            if self._dry_run or remove_if_old(self._door, file.path, self._before_ns):
                self._collection.remove_file("packs", file)

    def _may_be_needed(self, walk: Walk) -> bool:
        digests = sorted(bytes.fromhex(frame.digits) for frame in walk.frames)
        for first, alike in groupby(digests, itemgetter(0)):
            needed = self._marks.starting_with(first)
            wanted = (DIGEST_PREFIX + one.hex() for one in alike if one in needed)
            if not all(map(self._store.objects.is_intact, wanted)):
                return True
        return not walk.is_finished

    def survey(self, prefix: str, needed: frozenset[bytes]) -> None:
        """Look through the objects of a prefix: all of them, one after the other, in order."""
        self._homes = homes = {}
        for pack in self._packs:
            for packed in pack.index.starting_with(prefix.encode()):
                digest = bytes.fromhex(packed.digits)
                use = _DEAD
                if digest in needed:
                    use = _ELSEWHERE if digest in homes else _NEEDED
                if use == _NEEDED:
                    homes[digest] = (pack, len(pack.uses), packed)
                    pack.needed_bytes += packed.size
                pack.uses.append(use)

    def have(self, digest: bytes, file: FoundFile) -> bool:
        """Return True if an object that a file has is whole in a pack. Where only the file is, the
        pack need not have it.
        """
        if digest not in self._homes:
            return False
        pack, number, packed = self._homes[digest]
        name = DIGEST_PREFIX + digest.hex()
        if self._store.objects.is_whole(packed, name):
            return True
        if not self._store.objects.is_whole(Found(file.path), name):
            pack.is_left = True  # nobody has it: what there is of it stays for `verify`
        elif pack.uses[number] == _NEEDED:
            pack.uses[number] = _DEAD
            pack.needed_bytes -= packed.size
        return False

    def write(self, loose: Iterator[Loose]) -> None:
        """Write new packs of loose objects, where these are many, and of what is needed of packs
        that go; remove these. ``loose`` is asked for all its objects first: they are surveyed then.
        """
        loose = (one for one in loose if one[1].size <= CHUNK_BYTES)
        few = list(islice(loose, pack_writer.LEAST_OBJECTS))
        is_enough = len(few) == pack_writer.LEAST_OBJECTS and self._store.objects.packing
        if self._dry_run or not is_enough:
            deque(loose, maxlen=0)
            few = []
        frames = chain(self._of_files(chain(few, loose)), self._of_packs())
        for first in frames:
            with self._store.group(durable=True) as group:
                self._fill(self._store.objects.pack_writer(group), chain([first], frames))
            self._remove_written()
        self._remove_written()

    def _fill(self, writer: PackWriter, frames: Iterable[_Frame]) -> None:
        """Write the next frames until a pack is full."""
        size = number = modified = 0
        for digits, data, modified_ns in frames:
            if digits not in writer:
                writer.add_frame(digits, data)
                size, number = size + len(data), number + 1
            writer.modified_ns = modified = max(modified, modified_ns)
            if size >= MOST_BYTES or number >= pack_writer.MOST_OBJECTS:
                break

    def _of_files(self, files: Iterable[Loose]) -> Iterator[_Frame]:
        for digits, file in files:
            with contextlib.suppress(StoreError):
                data = read_file(self._door, file.path, CHUNK_BYTES)
                is_frame = file.path.endswith(COMPRESSED_SUFFIX)
                frame = data and whole_frame(StoredBytes(DIGEST_PREFIX + digits, is_frame, data))
                if frame:  # else it stays, for `verify`
                    yield digits, frame, file.modified_ns
                    self._written.append((digits, file))

    def _of_packs(self) -> Iterator[_Frame]:
        chosen = self._chosen()
        for pack in self._packs:
            if pack not in chosen:
                self._keep(pack)
        for pack in chosen:
            if self._dry_run:
                self._count(pack)
                continue
            if pack.needed:
                yield from self._copied(pack)
            self._written.append(pack)

    def _copied(self, pack: _Pack) -> Iterator[_Frame]:
        """Yield what is needed of a pack that was sound."""
        path = pack.index.path
        with reporting_read_errors(path), self._door.stream(path) as stream:
            for use, found in pack.frames():
                if use == _NEEDED:
                    data = read_frame(stream, found)
                    if data is None:
                        raise StoreDamagedError(f"the pack {path} has changed while it was read")
                    yield found.digits, data, pack.written_ns

    def _remove_written(self) -> None:
        """Remove what is wholly in new packs, or of which nothing is needed."""
        written, self._written = self._written, []
        folders = set()
        for source in written:
            if not isinstance(source, _Pack):
                remove_if_old(self._door, source[1].path, self._before_ns)
                folders.add(os.path.dirname(source[1].path))
            elif self._is_as_found(source) and remove_pack(
                self._layout, source.index.name, self._touched_ns
            ):
                self._count(source)
            else:
                self._keep(source)
        for folder in sorted(folders):
            remove_empty_folder(self._door, folder)

    def _is_as_found(self, pack: _Pack) -> bool:
        """Return True unless a new pack has taken the place of this one: it would hold the same."""
        found = find_file(self._door, Path(pack.index.path))
        return found is not None and found.inode == pack.file.inode

    def _count(self, pack: _Pack) -> None:
        """Count a pack that goes, and what of it does not."""
        needed, size = pack.needed, pack.needed_bytes
        self._collection.remove("objects", len(pack.index) - needed, pack.file.size - size)
        self._collection.keep("objects", needed, size)
        self._collection.remove("packs", 1, 0 if needed else len(pack.index.lines))

    def _keep(self, pack: _Pack) -> None:
        self._collection.keep("objects", len(pack.index), pack.file.size)

    def _chosen(self) -> list[_Pack]:
        """Return the packs that go: those of which nothing is needed, and those to be written
        anew.
        """
        old = [
            pack
            for pack in self._packs
            if pack.written_ns < self._before_ns and pack.file.modified_ns < self._touched_ns
        ]
        used = [pack for pack in old if any(pack.uses)]
        small = [pack for pack in used if pack.is_small]
        merged = small if len(small) >= LEAST_PACKS else []
        anew = [pack for pack in used if pack.is_wasteful or pack in merged]
        is_packing = self._store.objects.packing
        return [
            *(pack for pack in old if not any(pack.uses)),
            *(pack for pack in anew if is_packing and self._is_sound(pack)),
        ]

    def _is_sound(self, pack: _Pack) -> bool:
        """Return True if all that is needed of a pack can be had without it."""
        path = self._layout.pack(pack.index.name)
        if pack.is_left or not are_contiguous(pack.index.frames(), pack.file.size):
            return False
        try:
            with reporting_read_errors(path), self._door.stream(path) as stream:
                return all(
                    self._is_elsewhere(pack, found.digits)
                    if use == _ELSEWHERE
                    else use == _DEAD or read_frame(stream, found) is not None
                    for use, found in pack.frames()
                )
        except (*ABSENT, StoreError):
            return False

    def _is_elsewhere(self, pack: _Pack, digits: str) -> bool:
        """Return True if the first pack that has an object has it whole."""
        others = (one.index.find(digits.encode()) for one in self._packs if one is not pack)
        packed = next((one for one in others if one is not None), None)
        is_whole = self._store.objects.is_whole
        return packed is not None and is_whole(packed, DIGEST_PREFIX + digits) is True
