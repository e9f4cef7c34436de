"""Zstandard, and objects compressed at rest: one frame, and a checksum of its bytes behind it.

An object's name covers its raw bytes. A frame also has bits that no decoder looks at, and many
spellings of the same content, so a damaged frame may well give the right bytes. The checksum
finds that too. It stands in a skippable frame of its own, which every decoder passes by. Frames
without one are read as ever; of them, what a decoder ignores in the header is checked.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    from backports import zstd as zstd  # noqa: PLC0414 - for other modules as well
else:
    zstd = lazy("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

COMPRESSION_LEVEL = 1
_MAGIC = b"\x28\xb5\x2f\xfd"
_DESCRIPTOR = len(_MAGIC)
_NEVER_SET = 0b0001_1011  # the unused and the reserved bit, and those of a dictionary
_CHECKSUM = struct.Struct("<III")  # magic number of a skippable frame, its length, the CRC-32
CHECKSUM_BYTES = _CHECKSUM.size
_CHECKSUM_MAGIC = 0x184D2A5C
CHECKSUM_START = struct.pack("<II", _CHECKSUM_MAGIC, _CHECKSUM.size - 8)
_HEADER_BYTES = 18
_PORTION = 2**20


class CompressionError(Exception):
    """The bytes are not one frame, its checksum says something else, or it holds too many."""


def compress(data: bytes) -> bytes:
    """The bytes as one frame."""
    return zstd.compress(data, level=COMPRESSION_LEVEL)


def decompress(data: bytes, limit: int) -> bytes:
    """The bytes in a frame, at most ``limit`` of them."""
    decompressor = zstd.ZstdDecompressor()
    try:
        raw = decompressor.decompress(data, max_length=limit)
    except zstd.ZstdError as error:
        raise CompressionError(str(error)) from error
    if not decompressor.eof or decompressor.unused_data:
        raise CompressionError("not one frame, or too large")
    return raw


def declared_size(data: bytes) -> int | None:
    """Return how many bytes a frame says that it has; None where it does not, or is none."""
    try:
        size: int | None = zstd.get_frame_info(data).decompressed_size
    except zstd.ZstdError:
        return None
    return size


def has_sound_frame(stored: bytes) -> bool:
    """Return True if the bytes end with the checksum of those before."""
    frame = memoryview(stored)[:-CHECKSUM_BYTES]
    return stored.endswith(_checksum(zlib.crc32(frame)))


def with_checksum(frame: bytes) -> bytes:
    """A frame as it is stored."""
    return frame + _checksum(zlib.crc32(frame))


def open_frame(stored: bytes, limit: int) -> bytes:
    """Return the raw bytes, at most so many, of a stored frame that has its checksum."""
    _check_header(stored)
    if not has_sound_frame(stored):
        raise CompressionError("the compressed bytes do not match their checksum")
    return decompress(stored[:-CHECKSUM_BYTES], limit)


def stated_size(descriptor: int) -> int | None:
    """Return how many raw bytes the frame in a file says that it has; None where it says nothing,
    or has no checksum at its end, as one that is cut off.
    """
    end = os.fstat(descriptor).st_size - CHECKSUM_BYTES
    if not os.pread(descriptor, CHECKSUM_BYTES, max(end, 0)).startswith(CHECKSUM_START):
        return None
    return declared_size(os.pread(descriptor, _HEADER_BYTES, 0))


def stored_limit(size: int) -> int:
    """Return how many bytes a stored frame of so many raw ones has at most."""
    return size + size // 128 + 2**10


class FrameWriter:
    """Compresses what comes in portions. State: ``_crc`` is over what was written so far."""

    def __init__(self) -> None:
        self._zstd = zstd.ZstdCompressor(level=COMPRESSION_LEVEL)
        self._crc = 0

    def compress(self, data: bytes) -> bytes:
        """Return the bytes to be written for these so far."""
        return self._noted(self._zstd.compress(data))

    def finish(self) -> bytes:
        """The end of the frame, and the checksum."""
        return self._noted(self._zstd.flush()) + _checksum(self._crc)

    def _noted(self, written: bytes) -> bytes:
        self._crc = zlib.crc32(written, self._crc)
        return written


class FrameReader:
    """The raw bytes of a stored frame in portions; `CompressionError` where it is damaged, or
    holds more than ``limit`` bytes.

    ``has_checksum`` is known when the last portion was given.
    """

    def __init__(self, read: Callable[[int], bytes], limit: int | None = None) -> None:
        self._read = read
        self._left = limit
        self.has_checksum = False

    def __iter__(self) -> Iterator[bytes]:
        decompressor = zstd.ZstdDecompressor()
        stored = self._read(_PORTION)
        _check_header(stored)
        crc = 0
        while stored:
            for portion in _expanded(decompressor, stored):
                self._count(portion)
                yield portion
            unused = decompressor.unused_data if decompressor.eof else b""
            crc = zlib.crc32(memoryview(stored)[: len(stored) - len(unused)], crc)
            if decompressor.eof:
                self._check_rest(unused + self._read(_PORTION), crc)
                return
            stored = self._read(_PORTION)
        raise CompressionError("the frame is cut off")

    def _count(self, portion: bytes) -> None:
        if self._left is not None:
            self._left -= len(portion)
            if self._left < 0:
                raise CompressionError("it decompresses to more bytes than it may")

    def _check_rest(self, rest: bytes, crc: int) -> None:
        self.has_checksum = rest != b""
        if rest not in (b"", _checksum(crc)):
            raise CompressionError("the compressed bytes do not match their checksum")


def _expanded(decompressor: zstd.ZstdDecompressor, stored: bytes) -> Iterator[bytes]:
    """Yield the raw bytes of a portion, in portions: a few bytes may stand for very many."""
    try:
        yield decompressor.decompress(stored, max_length=_PORTION)
        while not decompressor.eof and not decompressor.needs_input:
            yield decompressor.decompress(b"", max_length=_PORTION)
    except zstd.ZstdError as error:
        raise CompressionError(f"it does not decompress: {error}") from error


def _check_header(stored: bytes) -> None:
    if not stored:
        raise CompressionError("the file is empty")
    if not stored.startswith(_MAGIC) or len(stored) <= _DESCRIPTOR:
        raise CompressionError("the file does not start with a Zstandard frame")
    if stored[_DESCRIPTOR] & _NEVER_SET:
        raise CompressionError("the header of the frame has bits set that never are")


def _checksum(crc: int) -> bytes:
    return _CHECKSUM.pack(_CHECKSUM_MAGIC, _CHECKSUM.size - 8, crc)
