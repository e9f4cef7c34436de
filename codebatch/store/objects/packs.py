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
from itertools import chain, pairwise
from operator import attrgetter
from typing import BinaryIO, NamedTuple

from codebatch.model.errors import StoreError
from codebatch.store.door import ABSENT
from codebatch.store.layout import CACHE_BYTES, COMPRESSED_SUFFIX, INDEX_SUFFIX, PACK_SUFFIX, Layout
from codebatch.store.write_group import reporting_read_errors

HEX_DIGITS = 64
_INDEX = re.compile(rf"([0-9a-f]{{64}}){re.escape(INDEX_SUFFIX)}")
_LINE = re.compile(rb"([0-9a-f]{64}) ([0-9]{12}) ([0-9]{10})\n")
_WIDTH = HEX_DIGITS + 1 + 12 + 1 + 10 + 1
_NUMBER = 8
_ENTRY = _WIDTH + _NUMBER
_LINES_A_SEARCH = 32  # that are passed by in the time in which one is searched
_MANY_LINES = 2**15  # of an index that is searched by itself


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
        lines = _starting_with(self.lines, _WIDTH, digits)
        yield from _frames(self.path, self.name, map(_LINE.fullmatch, lines))

    def frames(self) -> list[Found]:
        """Return the objects in the order in which they lie in the pack."""
        found = _frames(self.path, self.name, _LINE.finditer(self.lines))
        return sorted(found, key=attrgetter("offset", "size", "digits"))


def _frames(path: str, pack: str, lines: Iterable[re.Match[bytes] | None]) -> Iterator[Found]:
    """Yield where objects of a pack are, for those lines of an index that are some."""
    for line in filter(None, lines):
        yield Found(path, line[1].decode(), pack, int(line[2]), int(line[3]))


class _Run(NamedTuple):
    """Sorted lines of one index; or of several, each with the number of its pack behind it."""

    lines: bytes
    pack: int | None = None

    def find(self, digits: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the lines of an object, each with the number of its pack."""
        for line in _starting_with(self.lines, self._width, digits):
            yield self._pack_of(line), line[:_WIDTH]

    def select(self, wanted: frozenset[bytes]) -> Iterator[tuple[bytes, int]]:
        """Yield those digits that have a line, with the number of their pack."""
        if len(wanted) * _LINES_A_SEARCH < len(self.lines) // self._width:
            searches = [_starting_with(self.lines, self._width, digits) for digits in wanted]
        else:
            searches = [iter(_split(self.lines, self._width))]
        for line in chain.from_iterable(searches):
            if line[:HEX_DIGITS] in wanted:
                yield line[:HEX_DIGITS], self._pack_of(line)

    @property
    def _width(self) -> int:
        return _WIDTH + (_NUMBER if self.pack is None else 0)

    def _pack_of(self, line: bytes) -> int:
        return int(line[_WIDTH:]) if self.pack is None else self.pack


class _Known(NamedTuple):
    """The packs that were found in a folder whose packs had some names: those whose index is whole,
    numbered and without their lines, which are in ``runs``.
    """

    names: frozenset[str] = frozenset()
    packs: tuple[PackIndex, ...] = ()
    runs: tuple[_Run, ...] = ()

    def with_packs(self, names: frozenset[str], found: Iterable[PackIndex]) -> _Known:
        """Return these and others. Those of few lines are merged: it takes a look at each of a few
        runs to say that an object is nowhere, not one at each pack.
        """
        packs, large, lines = [*self.packs], [], []
        for index in found:
            if len(index) < _MANY_LINES:
                lines += [line + b"%08d" % len(packs) for line in _split(index.lines, _WIDTH)]
            else:
                large.append(_Run(index.lines, len(packs)))
            packs.append(PackIndex(index.name, index.path, b""))
        merged = [run for run in self.runs if run.pack is None]
        while merged and len(merged[-1].lines) < 2 * len(lines) * _ENTRY:
            lines += _split(merged.pop().lines, _ENTRY)
        if lines:
            merged.append(_Run(b"".join(sorted(lines))))
        kept = [run for run in self.runs if run.pack is not None]
        return _Known(names, tuple(packs), (*kept, *large, *merged))


class _OpenPack:
    """A pack that is open as long as anybody refers to this."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.descriptor)


class Packs:
    """The packs of a store, as far as they were looked for.

    State: ``_known`` are those that were found, None before any was looked for; it is replaced,
    never changed, as threads share it. What is read together was mostly written together: the pack
    that was read last stays open, as ``_open``.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: _Known | None = None
        self._open: _OpenPack | None = None

    def places(self, digits: str, *, fresh: bool = True) -> list[Found]:
        """Return where an object is, once for each pack. Unless ``fresh``, only packs that are
        known are looked into.
        """
        known = self._known
        found = self._places(known, digits.encode())
        if not found and (fresh or known is None):
            self.refresh()
            if self._known is not known:  # whichever thread has seen it
                found = self._places(self._known, digits.encode())
        return found

    def find(self, digits: str, *, fresh: bool = True) -> Found | None:
        """Return the first place of an object; None where it is in no pack."""
        return next(iter(self.places(digits, fresh=fresh)), None)

    def names_of(self, wanted: frozenset[bytes]) -> dict[bytes, str]:
        """Return the name of a pack that is known for those digits that are in one."""
        known = self._known or _Known()
        places = chain.from_iterable(run.select(wanted) for run in known.runs)
        return {digits: known.packs[number].name for digits, number in places}

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

    def read_again(self, found: Found) -> bytes | None:
        """`read` from the file that has the name of the pack now."""
        self._open = None
        return self.read(found)

    def all(self) -> Iterator[PackIndex]:
        """Yield the packs there are, by name, but for those whose index is damaged."""
        loaded = (load_index(self._layout, name) for name in sorted(pack_names(self._layout)))
        yield from filter(None, loaded)

    def refresh(self) -> None:
        """Look for packs that have come or gone."""
        names, known = pack_names(self._layout), self._known
        if known is not None and names == known.names:
            return
        known = known or _Known()
        here = {pack.name for pack in known.packs}
        if not here <= names:
            known, here = _Known(), set()
        loaded = (load_index(self._layout, name) for name in sorted(names - here))
        self._known = known.with_packs(names, filter(None, loaded))
        self._open = None

    def _places(self, known: _Known | None, digits: bytes) -> list[Found]:
        found: list[Found] = []
        if known is not None:
            for number, line in chain.from_iterable(run.find(digits) for run in known.runs):
                pack = known.packs[number]
                found += _frames(pack.path, pack.name, [_LINE.fullmatch(line)])
        return found


def _starting_with(lines: bytes, width: int, digits: bytes) -> Iterator[bytes]:
    """Yield the lines that begin with some digits; they are sorted and have so many bytes each."""
    length = len(digits)
    count = len(lines) // width
    first = bisect_left(range(count), digits, key=lambda n: lines[n * width : n * width + length])
    for place in range(first * width, count * width, width):
        line = lines[place : place + width]
        if not line.startswith(digits):
            return
        yield line


def _split(lines: bytes, width: int) -> list[bytes]:
    return [lines[place : place + width] for place in range(0, len(lines), width)]


def pack_names(layout: Layout) -> frozenset[str]:
    """Return the names of the packs that are there with their index."""
    listed = {*layout.door.names(layout.packs)}
    found = filter(None, map(_INDEX.fullmatch, listed))
    return frozenset(one[1] for one in found if one[1] + PACK_SUFFIX in listed)


def load_index(layout: Layout, name: str) -> PackIndex | None:
    """Return the index of that name; None where it is damaged or not there."""
    try:
        with layout.door.stream(layout.pack_index(name)) as stream:
            size = os.fstat(stream.fileno()).st_size
            data = stream.read(_WIDTH)
            if size > CACHE_BYTES or size % _WIDTH or (size and _LINE.fullmatch(data) is None):
                return None  # which no index is: the rest is not read
            data += stream.read(size - _WIDTH)
    except (OSError, StoreError):
        return None
    if index_name(data) != name:
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
