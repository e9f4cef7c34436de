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

    State: ``_packs`` are the indexes of the packs, once one was looked for there.
    """

    def __init__(self, folder: Folder, hash_size: int) -> None:
        self._folder = folder
        self._hash_size = hash_size
        self._packs: list[bytes] | None = None

    def read(self, name: bytes) -> GitObject | None:
        """Return the object of this binary name."""
        try:
            return self._loose(name) or self._packed(name, _Budget())
        except (OSError, ValueError, IndexError, zlib.error):
            return None

    def _loose(self, name: bytes) -> GitObject | None:
        spelled = name.hex().encode()
        data = self._folder.read(spelled[:2] + b"/" + spelled[2:], _MOST_UNPACKED)
        if data is None:
            return None
        header, _, content = _inflate(data, LARGEST_OBJECT + 32).partition(b"\0")
        kind, _, size = header.partition(b" ")
        return GitObject(kind, content) if size == b"%d" % len(content) else None

    def _packed(self, name: bytes, budget: _Budget) -> GitObject | None:
        if self._packs is None:
            with self._folder.open(b"pack") as packs:
                names = sorted(map(os.fsencode, os.listdir(packs.descriptor)))
            self._packs = [n for n in names if n.endswith(b".idx")][:_MOST_PACKS]
        for index in self._packs:
            offset = self._offset(index, name)
            if offset is not None:
                descriptor = self._folder.open_file(b"pack/" + index[:-4] + b".pack")
                try:
                    return self._at(descriptor, offset, budget)
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

    def _at(self, pack: int, offset: int, budget: _Budget) -> GitObject | None:
        """Return the object at a place in a pack, deltas applied to what they are based on."""
        deltas: list[bytes] = []
        while True:
            budget.spend_step()
            head = os.pread(pack, 64, offset)
            kind, size, at = _entry_header(head)
            base, start = 0, at
            if kind == _BY_OFFSET:
                back, start = _offset_back(head, at)
                base = offset - back
            elif kind == _BY_NAME:
                start = at + self._hash_size
            data = _inflate_at(pack, offset + start, size, budget)
            if kind in _TYPES:
                found: GitObject | None = GitObject(_TYPES[kind], data)
                break
            deltas.append(data)
            if kind == _BY_NAME:
                found = self._loose(head[at:start]) or self._packed(head[at:start], budget)
                break
            if kind != _BY_OFFSET or not 0 < base < offset:
                raise ValueError("a type that is not known")
            offset = base
        if found is None:
            return None
        data = found.data
        for delta in reversed(deltas):
            data = _applied(delta, data, budget)
        return found._replace(data=data) if len(data) <= LARGEST_OBJECT else None


class _Budget:
    """What may still be spent on one object."""

    def __init__(self) -> None:
        self._steps = _LONGEST_CHAIN
        self._bytes = _MOST_UNPACKED

    def spend_step(self) -> None:
        """Follow a chain by one."""
        self._steps -= 1
        if self._steps < 0:
            raise ValueError("a chain that is too long")

    def spend(self, size: int) -> None:
        """Unpack so many bytes."""
        self._bytes -= size
        if self._bytes < 0:
            raise ValueError("too much to unpack")


def _entry_header(head: bytes) -> tuple[int, int, int]:
    """Return type and unpacked size of what is in a pack, and where the header ends."""
    kind, size, shift, at = head[0] >> 4 & 7, head[0] & 0xF, 4, 1
    while head[at - 1] & 0x80:
        size |= (head[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return kind, size, at


def _offset_back(head: bytes, at: int) -> tuple[int, int]:
    value = head[at] & 0x7F
    while head[at] & 0x80:
        at += 1
        value = (value + 1 << 7) | (head[at] & 0x7F)
    return value, at + 1


def _inflate(data: bytes, most: int) -> bytes:
    found = zlib.decompressobj().decompress(data, most + 1)
    if len(found) > most:
        raise ValueError("an object that is too large")
    return found


def _inflate_at(pack: int, offset: int, size: int, budget: _Budget) -> bytes:
    budget.spend(size)
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


def _applied(delta: bytes, base: bytes, budget: _Budget) -> bytes:
    """Return what a delta makes of its base: pieces of the base, and bytes of its own."""
    base_size, at = _size(delta, 0)
    size, at = _size(delta, at)
    budget.spend(size)
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


def _size(delta: bytes, at: int) -> tuple[int, int]:
    size = shift = 0
    while True:
        size |= (delta[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not delta[at - 1] & 0x80:
            return size, at


def entries_of_tree(data: bytes, hash_size: int) -> dict[bytes, tuple[bytes, bytes]]:
    """Return mode and object by name of what is in a tree object."""
    found, at = {}, 0
    while (space := data.find(b" ", at)) > 0 and (end := data.find(b"\0", space)) > 0:
        found[data[space + 1 : end]] = (data[at:space], data[end + 1 : end + 1 + hash_size])
        at = end + 1 + hash_size
    return found
