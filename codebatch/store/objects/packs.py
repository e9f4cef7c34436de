"""Packs: objects that were born together, in one file, and how one of them is found.

A pack has the stored frames of its objects one after the other, nothing else. Its index has a line
for each, in the order of digests and all of one length, so that one is found by bisection: the
digest, where its frame starts, how many bytes it has. Pack and index are named by the SHA-256 of
the index, written once and never changed. The pack is put into place first: what has an index is
whole.
"""

from __future__ import annotations

import hashlib
import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from operator import attrgetter
from typing import BinaryIO, NamedTuple

from codebatch.model.errors import StoreError
from codebatch.store.door import ABSENT
from codebatch.store.files import read_file
from codebatch.store.layout import CACHE_BYTES, COMPRESSED_SUFFIX, INDEX_SUFFIX, Layout
from codebatch.store.write_group import reporting_read_errors

HEX_DIGITS = 64
_INDEX = re.compile(rf"([0-9a-f]{{64}}){re.escape(INDEX_SUFFIX)}")
_LINE = re.compile(rb"([0-9a-f]{64}) ([0-9]{12}) ([0-9]{10})\n")
_WIDTH = HEX_DIGITS + 1 + 12 + 1 + 10 + 1


class Found(NamedTuple):
    """Where an object is: a file of its own, or a pack, from which byte on and how many."""

    path: str
    digits: str = ""
    pack: str = ""
    offset: int = 0
    size: int = 0

    @property
    def is_frame(self) -> bool:
        """Whether what is there is compressed."""
        return self.pack != "" or self.path.endswith(COMPRESSED_SUFFIX)


class PackIndex(NamedTuple):
    """The index of one pack, whose path is given."""

    name: str
    path: str
    lines: bytes

    def __len__(self) -> int:
        return len(self.lines) // _WIDTH

    def find(self, digits: bytes) -> Found | None:
        """Return where the object is whose digest has these 64 digits; None where it is not."""
        return next(self.starting_with(digits), None)

    def starting_with(self, digits: bytes) -> Iterator[Found]:
        """Yield where each object is whose digits begin with some, by digest."""
        for place in range(self._first(digits) * _WIDTH, len(self.lines), _WIDTH):
            line = self.lines[place : place + _WIDTH]
            if not line.startswith(digits):
                return
            match = _LINE.fullmatch(line)
            if match is not None:
                yield self._found(match)

    def frames(self) -> list[Found]:
        """Return the objects in the order in which they lie in the pack."""
        found = map(self._found, _LINE.finditer(self.lines))
        return sorted(found, key=attrgetter("offset", "size", "digits"))

    def _found(self, line: re.Match[bytes]) -> Found:
        return Found(self.path, line[1].decode(), self.name, int(line[2]), int(line[3]))

    def _first(self, digits: bytes) -> int:
        lines, length = self.lines, len(digits)
        return bisect_left(
            range(len(self)), digits, key=lambda n: lines[n * _WIDTH : n * _WIDTH + length]
        )


class _OpenPack:
    """A pack that is open as long as anybody refers to this."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.descriptor)


class Packs:
    """The packs of a store, as far as they were looked for.

    State: ``_names`` are those that were seen, ``_indexes`` the indexes of those that are whole,
    ``_last`` is the one in which an object was found last: what is read together was mostly written
    together. So the pack that was read last stays open, as ``_open``; ``_names`` is None before
    any was looked for.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._names: list[str] | None = None
        self._open: _OpenPack | None = None
        self._indexes: dict[str, PackIndex] = {}
        self._last: PackIndex | None = None

    def find(self, digits: str, *, fresh: bool = True) -> Found | None:
        """Return where an object is; None where it is not. Unless ``fresh``, only packs that are
        known are looked into.
        """
        sought = digits.encode()
        found = self._find(sought)
        is_stale = found is None and (fresh or self._names is None)
        return self._find(sought) if is_stale and self.refresh() else found

    def read(self, found: Found) -> bytes | None:
        """Return a stored frame, shorter where the pack is; None where there is no such pack."""
        opened = self._open  # which another thread may replace
        try:
            with reporting_read_errors(found.path):
                if opened is None or opened.name != found.pack:
                    self._open = opened = _OpenPack(found.pack, self._layout.door.open(found.path))
                return os.pread(opened.descriptor, found.size, found.offset)
        except ABSENT:
            return None

    def all(self) -> Iterator[PackIndex]:
        """Yield the packs there are, by name, but for those whose index is damaged."""
        self.refresh()
        yield from self._indexes.values()

    def refresh(self) -> bool:
        """Look for packs; return True if any has come or gone."""
        names = index_names(self._layout)
        if names == self._names:
            return False
        known = self._indexes
        found = (known.get(name) or load_index(self._layout, name) for name in names)
        self._indexes = {one.name: one for one in found if one is not None}
        self._names, self._last, self._open = names, None, None
        return True

    def _find(self, digits: bytes) -> Found | None:
        last, indexes = self._last, self._indexes
        # Another thread may have found that it is gone since.
        if last is not None and indexes.get(last.name) is last and (found := last.find(digits)):
            return found
        for index in indexes.values():
            found = index.find(digits)
            if found is not None:
                self._last = index
                return found
        return None


def index_names(layout: Layout) -> list[str]:
    """Return the names of the packs that have an index, sorted."""
    found = map(_INDEX.fullmatch, layout.door.names(layout.packs))
    return [match[1] for match in found if match is not None]


def load_index(layout: Layout, name: str) -> PackIndex | None:
    """Return the index of that name; None where it is damaged or not there."""
    try:
        data = read_file(layout.door, layout.pack_index(name), CACHE_BYTES)
    except StoreError:
        return None
    if data is None or index_name(data) != name:
        return None
    return PackIndex(name, layout.pack(name), data)


def index_of(frames: Iterable[tuple[str, int, int]]) -> bytes:
    """Return the index of frames: the digits of each digest, the first byte, how many bytes."""
    lines = (f"{name} {offset:012d} {size:010d}\n" for name, offset, size in sorted(frames))
    return "".join(lines).encode()


def index_name(data: bytes) -> str:
    """Return the name of a pack with such an index."""
    return hashlib.sha256(data).hexdigest()


def is_index(data: bytes) -> bool:
    """Return True if these are lines of an index, in order."""
    names = [match[1] for match in _LINE.finditer(data)]
    is_whole = len(names) * _WIDTH == len(data)
    return is_whole and all(a < b for a, b in pairwise(names))


def are_contiguous(frames: Iterable[Found], size: int) -> bool:
    """Return True if the frames, in their order, are all that there is in so many bytes."""
    end = 0
    for frame in frames:
        if frame.offset != end:
            return False
        end += frame.size
    return end == size


def part_of(stream: BinaryIO, found: Found) -> Callable[[int], bytes]:
    """Return what reads the next bytes of one frame of an opened pack, as far as it goes."""
    stream.seek(found.offset)
    left = found.size

    def read(size: int) -> bytes:
        nonlocal left
        portions = []
        while (wanted := min(size, left)) and (data := stream.read(wanted)):
            left -= len(data)
            size -= len(data)
            portions.append(data)
        return b"".join(portions)

    return read
