"""The forms of a stored object: a file with its raw bytes or a frame, or a frame in a pack.

Whichever it is, its name is the digest of the raw bytes, and whoever reads it checks them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.errors import StoreDamagedError
from codebatch.store.door import Door
from codebatch.store.layout import CHUNK_BYTES, COMPRESSED_SUFFIX, HELD_BYTES, OBJECT_BYTES
from codebatch.store.objects.compression import (
    CHECKSUM_BYTES,
    COMPRESSION_LEVEL,
    CompressionError,
    FrameReader,
    decompress,
    has_sound_frame,
    stored_limit,
    with_checksum,
    zstd,
)
from codebatch.store.objects.packs import Found, part_of
from codebatch.store.write_group import reporting_read_errors

_WORTH_COMPRESSING = 128
_PORTION = 2**20
FRAME_BYTES = stored_limit(CHUNK_BYTES)  # of an object in a pack


class StoredForm(NamedTuple):
    """How an object lies in the store: its bytes there, and whether they are compressed."""

    size: int
    compressed: bool


class StoredBytes(NamedTuple):
    """An object as it lies in the store, unchecked; `open_stored` gives the raw bytes."""

    digest: str
    compressed: bool
    data: bytes


class ObjectCheck(NamedTuple):
    """A stored object that is whole: its raw size; whether damage to its form would show."""

    size: int
    has_checksum: bool


def measure(portions: Iterable[bytes]) -> tuple[str, int]:
    """The digest of bytes that come in portions, and how many they are."""
    hasher = hashlib.sha256()
    size = 0
    for portion in portions:
        hasher.update(portion)
        size += len(portion)
    return DIGEST_PREFIX + hasher.hexdigest(), size


def open_stored(stored: StoredBytes, limit: int = HELD_BYTES) -> bytes:
    """The raw bytes of an object, checked against its digest; at most so many."""
    data = stored.data
    if stored.compressed:
        try:
            if has_sound_frame(data):
                data = decompress(data[:-CHECKSUM_BYTES], limit + 1)
            else:
                data = b"".join(FrameReader(io.BytesIO(data).read, limit))
        except CompressionError as error:
            raise damaged(stored.digest) from error
    if len(data) > limit or digest_bytes(data) != stored.digest:
        raise damaged(stored.digest)
    return data


def check_object(
    door: Door, found: Found, digest: str, limit: int = OBJECT_BYTES
) -> ObjectCheck | None:
    """Read a stored form of an object; None where its bytes are not what the digest says.

    `CompressionError` where it is not stored as it should be, `StoreError` where it cannot be
    read.
    """
    with reporting_read_errors(found.path), opened(door, found) as read:
        portions = raw_portions(found, read, limit)
        digest_found, size = measure(portions)
    has_checksum = not isinstance(portions, FrameReader) or portions.has_checksum
    return ObjectCheck(size, has_checksum) if digest_found == digest else None


def read_frame(stream: BinaryIO, found: Found) -> bytes | None:
    """Return the frame of an object in an opened pack; None where it is damaged, or too large."""
    if found.size > FRAME_BYTES:
        return None
    data = part_of(stream, found)(found.size)
    return whole_frame(StoredBytes(DIGEST_PREFIX + found.digits, compressed=True, data=data))


def whole_frame(stored: StoredBytes) -> bytes | None:
    """Return the frame of an object as a pack has it, with its checksum; None where the stored
    bytes are damaged, or stand for more than an object of a pack has.
    """
    if not stored.compressed:
        return frame(stored.data) if digest_bytes(stored.data) == stored.digest else None
    reader = FrameReader(io.BytesIO(stored.data).read, CHUNK_BYTES)
    try:
        digest, _ = measure(reader)
    except CompressionError:
        return None
    if digest != stored.digest:
        return None
    return stored.data if reader.has_checksum else with_checksum(stored.data)


@contextlib.contextmanager
def opened(door: Door, found: Found) -> Iterator[Callable[[int], bytes]]:
    """Yield what reads the next bytes of an object's stored form, for a block."""
    with door.stream(found.path) as stream:
        yield part_of(stream, found) if found.pack else stream.read


def raw_portions(found: Found, read: Callable[[int], bytes], limit: int) -> Iterable[bytes]:
    """Return the raw bytes in portions, of what ``read`` reads."""
    return FrameReader(read, limit) if found.is_frame else iter(lambda: read(_PORTION), b"")


def forms(name: str) -> tuple[str, str]:
    """The names that an object may have in its folder, in the order in which readers try them."""
    return name + COMPRESSED_SUFFIX, name


def new_form(name: str, data: bytes, damaged: str | None) -> tuple[str, bytes]:
    """Under what name an object is written, and as what: one that is damaged in the form it has,
    so that no reader finds the damaged one first.
    """
    compressed, _ = forms(name)
    if damaged == name:
        return name, data
    stored = _compress(data)
    if stored is None and damaged == compressed:
        stored = frame(data)
    return (name, data) if stored is None else (compressed, stored)


class _Compressor(threading.local):
    """A compressor for each thread: to make one costs more than to compress a source file."""

    def __init__(self) -> None:
        self.zstd = zstd.ZstdCompressor(level=COMPRESSION_LEVEL)


@functools.cache
def _compressor() -> _Compressor:
    return _Compressor()


def frame(data: bytes) -> bytes:
    """Return the compressed form."""
    zstd_of_thread = _compressor().zstd
    return with_checksum(zstd_of_thread.compress(data, mode=zstd.ZstdCompressor.FLUSH_FRAME))


def _compress(data: bytes) -> bytes | None:
    """The compressed form, or None where it would save less than an eighth."""
    if len(data) < _WORTH_COMPRESSING:
        return None
    compressed = frame(data)
    return compressed if len(compressed) < len(data) - len(data) // 8 else None


def missing(digest: str) -> StoreDamagedError:
    """The error for an object that is not there."""
    return StoreDamagedError(
        f"object {digest} is missing", hints=["take the snapshot again to restore it"]
    )


def damaged(digest: str) -> StoreDamagedError:
    """The error for an object whose bytes are not those of its name."""
    return StoreDamagedError(
        f"object {digest} is damaged: its bytes do not match its name",
        hints=["take the snapshot again with --no-cache, or resume the batch, to restore it"],
    )
