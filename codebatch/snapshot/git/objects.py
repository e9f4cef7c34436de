"""Objects of a repository: loose ones and those in its packs, read with bounds.

Only what the repository's own folder holds: no alternates, and nothing is fetched. An object that
is missing, damaged, or larger than `LARGEST_OBJECT` is not there.
"""

from __future__ import annotations

import os
import zlib
from typing import NamedTuple

from codebatch.snapshot.descriptors import Folder

LARGEST_OBJECT = 8 * 2**20
_MOST_PACKS = 1000
_LONGEST_CHAIN = 256
# What may be unpacked for the sake of one object, along a chain of deltas.
_MOST_UNPACKED = 64 * 2**20
_PORTION = 2**16
_TYPES = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
_BY_OFFSET, _BY_NAME = 6, 7


class GitObject(NamedTuple):
    """An object's type, such as ``blob``, and its content."""

    type: bytes
    data: bytes


class Objects:
    """The objects below one folder ``objects``.

    State: ``_packs`` are the indexes of the packs, once one was looked for there; ``_steps`` and
    ``_bytes`` are what may still be spent on the object that is read.
    """

    def __init__(self, folder: Folder, hash_size: int) -> None:
        self._folder = folder
        self._hash_size = hash_size
        self._packs: list[bytes] | None = None
        self._steps = self._bytes = 0

    def read(self, name: bytes) -> GitObject | None:
        """Return the object of this binary name."""
        self._steps, self._bytes = _LONGEST_CHAIN, _MOST_UNPACKED
        try:
            return self._find(name)
        except (OSError, ValueError, IndexError, zlib.error):
            return None

    def _find(self, name: bytes) -> GitObject | None:
        spelled = name.hex().encode()
        data = self._folder.read(spelled[:2] + b"/" + spelled[2:], _MOST_UNPACKED)
        if data is None:
            return self._packed(name)
        data = zlib.decompressobj().decompress(data, LARGEST_OBJECT + 33)
        header, _, content = data.partition(b"\0")
        kind, _, size = header.partition(b" ")
        found = size == b"%d" % len(content) and len(data) <= LARGEST_OBJECT + 32
        return GitObject(kind, content) if found else self._packed(name)

    def _packed(self, name: bytes) -> GitObject | None:
        if self._packs is None:
            with self._folder.open(b"pack") as packs:
                names = sorted(map(os.fsencode, os.listdir(packs.descriptor)))
            self._packs = [n for n in names if n.endswith(b".idx")][:_MOST_PACKS]
        for index in self._packs:
            offset = self._offset(index, name)
            if offset is not None:
                descriptor = self._folder.open_file(b"pack/" + index[:-4] + b".pack")
                try:
                    return self._at(descriptor, offset)
                finally:
                    os.close(descriptor)
        return None

    def _offset(self, index: bytes, name: bytes) -> int | None:
        """Return where the object is in the pack of an index of version 2: a table of how many
        names begin with which byte, the names, checksums, offsets, and offsets that are large.
        """
        descriptor = self._folder.open_file(b"pack/" + index)
        try:
            head = os.pread(descriptor, 8 + 1024, 0)
            counts = [int.from_bytes(head[at : at + 4], "big") for at in range(8, 1032, 4)]
            if head[:8] != b"\xfftOc\0\0\0\2":
                return None
            low, high = (counts[name[0] - 1] if name[0] else 0), counts[name[0]]
            size = self._hash_size
            while low < high:
                middle = (low + high) // 2
                found = os.pread(descriptor, size, 1032 + size * middle)
                if found == name:
                    offsets = 1032 + (size + 4) * counts[255]
                    offset = int.from_bytes(os.pread(descriptor, 4, offsets + 4 * middle), "big")
                    if offset & 0x80000000:
                        at = offsets + 4 * counts[255] + 8 * (offset & 0x7FFFFFFF)
                        offset = int.from_bytes(os.pread(descriptor, 8, at), "big")
                    return offset
                low, high = (middle + 1, high) if found < name else (low, middle)
            return None
        finally:
            os.close(descriptor)

    def _at(self, pack: int, offset: int) -> GitObject | None:
        """Return the object at a place in a pack, deltas applied to what they are based on."""
        deltas: list[bytes] = []
        while True:
            self._steps -= 1
            if self._steps < 0:
                raise ValueError("a chain that is too long")
            head = os.pread(pack, 64, offset)
            kind, base = head[0] >> 4 & 7, 0
            # The size: four bits, then seven in each byte.
            more, at = _size(head, 1) if head[0] & 0x80 else (0, 1)
            start = at
            if kind == _BY_OFFSET:
                back, start = read_offset(head, at)
                base = offset - back
            elif kind == _BY_NAME:
                start = at + self._hash_size
            data = self._inflated(pack, offset + start, more << 4 | head[0] & 0xF)
            if kind in _TYPES:
                found: GitObject | None = GitObject(_TYPES[kind], data)
                break
            deltas.append(data)
            if kind == _BY_NAME:
                found = self._find(head[at:start])
                break
            if kind != _BY_OFFSET or not 0 < base < offset:
                raise ValueError("a type that is not known")
            offset = base
        if found is None:
            return None
        data = found.data
        for delta in reversed(deltas):
            data = self._applied(delta, data)
        return found._replace(data=data) if len(data) <= LARGEST_OBJECT else None

    def _spend(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise ValueError("too much to unpack")

    def _inflated(self, pack: int, offset: int, size: int) -> bytes:
        self._spend(size)
        stream, found = zlib.decompressobj(), bytearray()
        while not stream.eof and len(found) <= size:
            portion = stream.unconsumed_tail or os.pread(pack, _PORTION, offset)
            if not portion:
                break
            if not stream.unconsumed_tail:
                offset += len(portion)
            found += stream.decompress(portion, size + 1 - len(found))
        if len(found) != size:
            raise ValueError("an object of another size")
        return bytes(found)

    def _applied(self, delta: bytes, base: bytes) -> bytes:
        """Return what a delta makes of its base: pieces of the base, and bytes of its own."""
        base_size, at = _size(delta, 0)
        size, at = _size(delta, at)
        self._spend(size)
        found = bytearray()
        while at < len(delta) and len(found) <= size:
            command = delta[at]
            at += 1
            if not command & 0x80:
                found += delta[at : at + command]
                at += command
                continue
            numbers = [0, 0]
            for bit in range(7):
                if command >> bit & 1:
                    numbers[bit // 4] |= delta[at] << 8 * (bit % 4)
                    at += 1
            start, length = numbers[0], numbers[1] or 0x10000
            found += base[start : start + length]
        if base_size != len(base) or size != len(found):
            raise ValueError("a delta that does not fit")
        return bytes(found)


def read_offset(data: bytes, at: int) -> tuple[int, int]:
    """Return a number as packs and indexes have it, the highest bits first, and its end."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1 << 7) | (data[at] & 0x7F)
    return value, at + 1


def _size(data: bytes, at: int) -> tuple[int, int]:
    """Return a number that has its lowest bits first, and its end."""
    size = shift = 0
    while True:
        size |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 0x80:
            return size, at


def entries_of_tree(data: bytes, hash_size: int) -> dict[bytes, tuple[bytes, bytes]]:
    """Return mode and object by name of what is in a tree object."""
    found, at = {}, 0
    while (space := data.find(b" ", at)) > 0 and (end := data.find(b"\0", space)) > 0:
        found[data[space + 1 : end]] = (data[at:space], data[end + 1 : end + 1 + hash_size])
        at = end + 1 + hash_size
    return found
