"""The content-addressed object store: immutable bytes named by their digest.

An object is stored once, raw or zstd-compressed, whichever is clearly smaller; the name is
always the digest of the raw bytes. Every read checks the bytes against the name, so damage is
reported and never handed on.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple, cast

from codebatch.digest import DIGEST_PREFIX, digest_bytes
from codebatch.errors import ObjectNotFoundError, StoreDamagedError, StoreError
from codebatch.store.compression import COMPRESSION_LEVEL, zstd
from codebatch.store.files import WriteGroup, read_file, reporting_read_errors
from codebatch.store.layout import COMPRESSED_SUFFIX, Layout

OBJECT_MODE = 0o444
_WORTH_COMPRESSING = 128
_PORTION = 2**20


class StoredForm(NamedTuple):
    """How an object lies in the store: its bytes there, and whether they are compressed."""

    size: int
    compressed: bool


class StoredObject(NamedTuple):
    """An object in the store: ``size`` is of the raw bytes, ``location`` below all objects."""

    digest: str
    size: int
    location: str


class ObjectStore:
    """Reads and writes the objects of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def location(self, digest: str) -> str | None:
        """Where the object is, relative to the folder of all objects; None where it is not."""
        path = self._find(digest)
        return None if path is None else self._location(path)

    def are_at(self, locations: Iterable[bytes]) -> bool:
        """Whether there is an object at each of these places, whatever its bytes."""
        try:
            descriptor = os.open(self._layout.objects, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return not any(True for _ in locations)
        try:
            return all(os.access(place, os.F_OK, dir_fd=descriptor) for place in locations)
        finally:
            os.close(descriptor)

    def has(self, digest: str) -> bool:
        """Whether there is such an object, not empty; its bytes are not looked at."""
        path = self._find(digest)
        try:
            return path is not None and os.stat(path).st_size > 0
        except OSError:
            return False

    def is_intact(self, digest: str) -> bool:
        """Whether the object is there and its bytes are what its name says."""
        path = self._find(digest)
        if path is None:
            return False
        hasher = hashlib.sha256()
        try:
            with reporting_read_errors(path), _open_raw(path) as stream:
                while portion := stream.read(_PORTION):
                    hasher.update(portion)
        except (StoreError, FileNotFoundError, zstd.ZstdError, EOFError):
            return False
        return DIGEST_PREFIX + hasher.hexdigest() == digest

    def put(self, data: bytes, group: WriteGroup) -> StoredObject:
        """Add the bytes unless they are there, intact; durable when the group is."""
        digest = digest_bytes(data)
        raw = self._layout.object(digest)
        path = self._path_of(raw, data, group)
        if path is None:
            compressed = _compress(data)
            path = raw if compressed is None else raw + COMPRESSED_SUFFIX
            group.add(path, data if compressed is None else compressed, OBJECT_MODE)
        return StoredObject(digest, len(data), self._location(path))

    def put_stream(self, portions: Iterable[bytes], group: WriteGroup) -> StoredObject:
        """Add bytes of any length without holding them."""
        hasher = hashlib.sha256()
        size = 0
        compressor = zstd.ZstdCompressor(level=COMPRESSION_LEVEL)
        with group.stream(self._layout.objects, OBJECT_MODE) as file:
            for portion in portions:
                hasher.update(portion)
                size += len(portion)
                file.write(compressor.compress(portion))
            file.write(compressor.flush())
            digest = DIGEST_PREFIX + hasher.hexdigest()
            path = self._find(digest) if self.is_intact(digest) else None
            if path is None:
                path = file.path = self._layout.compressed_object(digest)
                group.makes_folder(os.path.dirname(path))
        return StoredObject(digest, size, self._location(path))

    def read(self, digest: str) -> bytes:
        """The raw bytes, checked against the digest."""
        for path in self._candidates(digest):
            stored = read_file(path)
            if stored is not None:
                return _checked(path, stored, digest)
        raise StoreDamagedError(
            f"object {digest} is missing", hints=["take the snapshot again to restore it"]
        )

    def find(self, digits: str) -> list[str]:
        """The digests that start with these hex digits (lower case, at least four), sorted."""
        try:
            names = os.listdir(f"{self._layout.objects}/{digits[:2]}/{digits[2:4]}")
        except FileNotFoundError:
            return []
        found = {name.removesuffix(COMPRESSED_SUFFIX) for name in names if name.startswith(digits)}
        return sorted(DIGEST_PREFIX + name for name in found)

    def stored_form(self, digest: str) -> StoredForm:
        """How the object is stored; `ObjectNotFoundError` where it is not."""
        path = self._find(digest)
        if path is None:
            raise ObjectNotFoundError(f"no object {digest} in the store")
        return StoredForm(os.stat(path).st_size, path.endswith(COMPRESSED_SUFFIX))

    def _find(self, digest: str) -> str | None:
        raw = self._layout.object(digest)
        compressed = raw + COMPRESSED_SUFFIX
        # Not `exists`, which raises and catches an error for each object that is absent.
        if os.access(compressed, os.F_OK):
            return compressed
        return raw if os.access(raw, os.F_OK) else None

    def _location(self, path: str) -> str:
        return path[len(self._layout.objects) + 1 :]

    def _path_of(self, raw: str, data: bytes, group: WriteGroup) -> str | None:
        """Where these bytes are, or are about to be; None where they are not, or damaged."""
        if group.makes_folder(os.path.dirname(raw)):
            return None
        for path in (raw + COMPRESSED_SUFFIX, raw):
            if group.is_pending(path):
                return path
            if os.access(path, os.F_OK):
                # The form that readers find first has to be right.
                return path if _holds(path, data) else None
        return None

    def _candidates(self, digest: str) -> tuple[str, str]:
        return self._layout.compressed_object(digest), self._layout.object(digest)


def _holds(path: str, data: bytes) -> bool:
    """Whether the stored object has these bytes."""
    try:
        stored = read_file(path)
        if stored is not None and path.endswith(COMPRESSED_SUFFIX):
            return _expand(stored, len(data)) == data
    except (StoreError, zstd.ZstdError):
        return False
    return stored == data


class _Compressor(threading.local):
    """A compressor for each thread: to make one costs more than to compress a source file."""

    def __init__(self) -> None:
        self.zstd = zstd.ZstdCompressor(level=COMPRESSION_LEVEL)

    def compress(self, data: bytes) -> bytes:
        """The bytes as one frame."""
        return self.zstd.compress(data, mode=zstd.ZstdCompressor.FLUSH_FRAME)


@functools.cache
def _compressor() -> _Compressor:
    return _Compressor()


def _compress(data: bytes) -> bytes | None:
    """The compressed form, or None where it would save less than an eighth."""
    if len(data) < _WORTH_COMPRESSING:
        return None
    compressed = _compressor().compress(data)
    return compressed if len(compressed) < len(data) - len(data) // 8 else None


def _expand(stored: bytes, size: int) -> bytes | None:
    """The bytes of a frame that holds ``size`` of them, None if it holds another number."""
    decompressor = zstd.ZstdDecompressor()
    data = decompressor.decompress(stored, max_length=size + 1)
    return data if decompressor.eof and not decompressor.unused_data else None


def _open_raw(path: str) -> BinaryIO:
    """The raw bytes of a stored object, to be read in portions."""
    if path.endswith(COMPRESSED_SUFFIX):
        return cast("BinaryIO", zstd.ZstdFile(path))
    return open(path, "rb")


def _checked(path: str, stored: bytes, digest: str) -> bytes:
    if path.endswith(COMPRESSED_SUFFIX):
        try:
            data = zstd.decompress(stored)
        except (zstd.ZstdError, EOFError) as error:
            raise _damaged(digest) from error
    else:
        data = stored
    if digest_bytes(data) != digest:
        raise _damaged(digest)
    return data


def _damaged(digest: str) -> StoreDamagedError:
    return StoreDamagedError(
        f"object {digest} is damaged: its bytes do not match its name",
        hints=["take the snapshot again with --no-cache, or resume the batch, to restore it"],
    )
