"""Packs of a repository: where an object is in one, and what is at that place, without its deltas.

Indexes are of version 2. Nothing is mapped into memory, as a file that is cut meanwhile would end
the process, and few packs are kept open at once.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from codebatch.snapshot.descriptors import Folder

BY_OFFSET, BY_NAME = 6, 7

_MOST_PACKS = 1000
_MOST_OPEN = 32
_PORTION = 2**16
# Seven bits a byte: more than 64 bits no size and no place has.
_LONGEST_NUMBER = 10
_FAN_OUT = struct.Struct(">8s256I")
_MAGIC = b"\xfftOc\0\0\0\2"


class Packed(NamedTuple):
    """What a place in a pack has: the type, its size when it is unpacked, where the packed bytes
    begin, and of a delta what it is based on: the place, or the name of an object.
    """

    kind: int
    size: int
    start: int
    base_offset: int = 0
    base_name: bytes = b""


class Pack:
    """One pack and its index. State: the descriptors while it is open, ``_fan_out`` how many names
    begin with a byte or a smaller one, once that was read.
    """

    def __init__(self, folder: Folder, index: bytes, hash_size: int) -> None:
        self._folder = folder
        self._name = index[: -len(b".idx")]
        self._hash_size = hash_size
        self._index = self._pack = -1
        self._fan_out: tuple[int, ...] = ()

    def close(self) -> None:
        """Give the descriptors back; what is asked later opens it again."""
        for descriptor in (self._index, self._pack):
            if descriptor >= 0:
                os.close(descriptor)
        self._index = self._pack = -1

    def offset(self, name: bytes) -> int | None:
        """Return where the object of this name is in the pack; None where it is not in it."""
        place, found = self._first_from(name)
        if found != name:
            return None
        offsets = 1032 + (self._hash_size + 4) * self._fan_out[255]
        offset = int.from_bytes(os.pread(self._index, 4, offsets + 4 * place), "big")
        if offset & 0x80000000:
            at = offsets + 4 * self._fan_out[255] + 8 * (offset & 0x7FFFFFFF)
            offset = int.from_bytes(os.pread(self._index, 8, at), "big")
        if offset >> 63:
            raise ValueError("a place that is nowhere")
        return offset

    def names_from(self, start: bytes, most: int) -> list[bytes]:
        """Return so many names in order, from the first that is not below ``start``."""
        place, _ = self._first_from(start)
        size = self._hash_size
        count = min(most, self._fan_out[255] - place)
        data = os.pread(self._index, size * count, 1032 + size * place)
        return [data[at : at + size] for at in range(0, len(data), size)]

    def at(self, offset: int) -> Packed:
        """Return what is at a place; ``ValueError`` or ``IndexError`` where that is nothing."""
        head = os.pread(self._descriptor(), 64, offset)
        kind = head[0] >> 4 & 7
        # The size: four bits, then seven in each byte.
        more, at = read_size(head, 1) if head[0] & 0x80 else (0, 1)
        size = more << 4 | head[0] & 0xF
        if kind == BY_OFFSET:
            back, start = read_offset(head, at)
            if not 0 < offset - back < offset:
                raise ValueError("a base that is nowhere")
            return Packed(kind, size, offset + start, offset - back)
        if kind == BY_NAME:
            start = at + self._hash_size
            return Packed(kind, size, offset + start, 0, head[at:start])
        return Packed(kind, size, offset + at)

    def inflated(self, packed: Packed) -> Iterator[bytes]:
        """Yield the unpacked bytes; ``ValueError`` where they are more or less than they should."""
        offset, left, stream = packed.start, packed.size, zlib.decompressobj()
        while not stream.eof:
            portion = stream.unconsumed_tail
            if not portion:
                portion = os.pread(self._descriptor(), _PORTION, offset)
                offset += len(portion)
            if not portion:
                break
            found = stream.decompress(portion, 16 * _PORTION)
            left -= len(found)
            if left < 0:
                break
            yield found
        if left or not stream.eof:
            raise ValueError("an object of another size")

    def _first_from(self, name: bytes) -> tuple[int, bytes]:
        """Return the place among the names of the first that is not below this one, and it."""
        if self._index < 0:
            self._index = self._folder.open_file(self._name + b".idx")
        if not self._fan_out:
            magic, *counts = _FAN_OUT.unpack(os.pread(self._index, _FAN_OUT.size, 0))
            if magic != _MAGIC:
                raise ValueError("an index of another version")
            self._fan_out = tuple(counts)
        low = self._fan_out[name[0] - 1] if name[0] else 0
        high = self._fan_out[name[0]]
        size, found = self._hash_size, b""
        while low < high:
            middle = (low + high) // 2
            read = os.pread(self._index, size, 1032 + size * middle)
            if read < name:
                low = middle + 1
            else:
                high, found = middle, read
        return low, found

    def _descriptor(self) -> int:
        if self._pack < 0:
            self._pack = self._folder.open_file(self._name + b".pack")
        return self._pack


class Packs:
    """The packs in a folder, that which was asked last with success first."""

    def __init__(self, folder: Folder, hash_size: int) -> None:
        names = sorted(map(os.fsencode, os.listdir(folder.descriptor)))
        names = [name for name in names if name.endswith(b".idx")][:_MOST_PACKS]
        self._packs = [Pack(folder, name, hash_size) for name in names]

    def close(self) -> None:
        """Close all."""
        for pack in self._packs:
            pack.close()

    def find(self, name: bytes) -> tuple[Pack, int] | None:
        """Return a pack that has the object, and the place in it."""
        for number, pack in enumerate(self._packs):
            with suppress(OSError, ValueError, IndexError, struct.error):  # a damaged one has none
                offset = pack.offset(name)
                if offset is not None:
                    self._packs.insert(0, self._packs.pop(number))
                    return pack, offset
            if number >= _MOST_OPEN:
                pack.close()
        return None

    def names_from(self, start: bytes, most: int) -> list[bytes]:
        """Return names that are not below ``start``, the first so many of each pack."""
        found: list[bytes] = []
        for number, pack in enumerate(self._packs):
            with suppress(OSError, ValueError, IndexError, struct.error):
                found += pack.names_from(start, most)
            if number >= _MOST_OPEN:
                pack.close()
        return found


def read_offset(data: bytes, at: int) -> tuple[int, int]:
    """Return a number as packs and indexes have it, the highest bits first, and its end."""
    value, last = data[at] & 0x7F, at + _LONGEST_NUMBER
    while data[at] & 0x80:
        at += 1
        if at == last:
            raise ValueError("a number that is too long")
        value = (value + 1 << 7) | (data[at] & 0x7F)
    return value, at + 1


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """Return a number that has its lowest bits first, and its end."""
    size = 0
    for shift in range(0, 7 * _LONGEST_NUMBER, 7):
        size |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return size, at
    raise ValueError("a number that is too long")
