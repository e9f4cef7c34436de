"""The content-addressed object store: immutable bytes named by their digest.

An object is stored once, raw or zstd-compressed, whichever is clearly smaller; the name is
always the digest of the raw bytes. Every read checks the bytes against the name, so damage is
reported and never handed on. Adding bytes that are there already restores them where they are
damaged, whatever stands in their place.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from codebatch.digest import DIGEST_PREFIX, digest_bytes
from codebatch.errors import ObjectNotFoundError, StoreDamagedError, StoreError
from codebatch.store.compression import COMPRESSION_LEVEL, zstd
from codebatch.store.files import WriteGroup, read_file, reporting_read_errors
from codebatch.store.frames import FrameDamagedError, FrameReader, FrameWriter, with_checksum
from codebatch.store.layout import COMPRESSED_SUFFIX, Layout
from codebatch.store.reliance import Reliance, kept_size

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


class StoredBytes(NamedTuple):
    """An object as it lies in the store, unchecked; `open_stored` gives the raw bytes."""

    digest: str
    compressed: bool
    data: bytes


class ObjectCheck(NamedTuple):
    """A stored object that is whole: its raw size; whether damage to its form would show."""

    size: int
    has_checksum: bool


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

    def is_kept(self, digest: str, since_ns: int | None) -> bool:
        """As `has`, and the object is safe from `gc` for a writer with a lease since then."""
        if since_ns is None:
            return self.has(digest)
        raw = self._layout.object(digest)
        sizes = (kept_size(path, since_ns) for path in (raw + COMPRESSED_SUFFIX, raw))
        return any(sizes)

    def is_intact(self, digest: str) -> bool:
        """Whether the object is there and its bytes are what its name says."""
        path = self._find(digest)
        try:
            return path is not None and check_object(path, digest) is not None
        except (StoreError, FileNotFoundError, NotADirectoryError, FrameDamagedError):
            return False

    def put(self, data: bytes, group: WriteGroup, reliance: Reliance | None = None) -> StoredObject:
        """Add the bytes unless they are there, intact; durable when the group is.

        Without a ``reliance`` they may be gone at any time after.
        """
        digest = digest_bytes(data)
        raw = self._layout.object(digest)
        path, is_whole = self._path_of(raw, data, group)
        if path is None or not is_whole or not self._may_stay(path, group, reliance):
            path, stored = _form(raw, data, path)
            group.add(path, stored, OBJECT_MODE)
        return StoredObject(digest, len(data), self._location(path))

    def put_stream(
        self, portions: Iterable[bytes], group: WriteGroup, reliance: Reliance | None = None
    ) -> StoredObject:
        """Add bytes of any length without holding them."""
        hasher = hashlib.sha256()
        size = 0
        compressor = FrameWriter()
        with group.stream(self._layout.objects, OBJECT_MODE) as file:
            for portion in portions:
                hasher.update(portion)
                size += len(portion)
                file.write(compressor.compress(portion))
            file.write(compressor.finish())
            digest = DIGEST_PREFIX + hasher.hexdigest()
            path = self._find(digest) if self.is_intact(digest) else None
            if path is None or not _holds_on(reliance, path):
                path = file.path = self._layout.compressed_object(digest)
                group.makes_folder(os.path.dirname(path))
        return StoredObject(digest, size, self._location(path))

    def read(self, digest: str) -> bytes:
        """The raw bytes, checked against the digest."""
        return open_stored(self.read_stored(digest))

    def read_stored(self, digest: str) -> StoredBytes:
        """The bytes as they lie in the store."""
        for path in self._candidates(digest):
            stored = read_file(path)
            if stored is not None:
                return StoredBytes(digest, path.endswith(COMPRESSED_SUFFIX), stored)
        raise _missing(digest)

    def read_head(self, digest: str, size: int) -> bytes:
        """The first bytes, checked as `read` checks; an object of any length is not held."""
        head = b""
        for portion in self.portions(digest):
            head += portion[: size - len(head)]
        return head

    def size(self, digest: str) -> int:
        """How many raw bytes the object has, checked as `read` checks."""
        return sum(map(len, self.portions(digest)))

    def portions(self, digest: str) -> Iterator[bytes]:
        """The raw bytes in portions. Whether they match the digest is known at the end: nothing
        may be made of them before.
        """
        path = self._find(digest)
        if path is None:
            raise _missing(digest)
        hasher = hashlib.sha256()
        try:
            with reporting_read_errors(path), open(path, "rb") as stream:
                compressed = path.endswith(COMPRESSED_SUFFIX)
                reader = FrameReader(stream.read) if compressed else None
                for portion in reader or iter(lambda: stream.read(_PORTION), b""):
                    hasher.update(portion)
                    yield portion
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(digest) from None
        except FrameDamagedError as error:
            raise _damaged(digest) from error
        if DIGEST_PREFIX + hasher.hexdigest() != digest:
            raise _damaged(digest)

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

    def _path_of(self, raw: str, data: bytes, group: WriteGroup) -> tuple[str | None, bool]:
        """Where these bytes are, or are about to be, None where they are not; and whether what
        is there is whole.
        """
        if group.makes_folder(os.path.dirname(raw)):
            return None, False
        for path in (raw + COMPRESSED_SUFFIX, raw):
            if group.is_pending(path):
                return path, True
            if os.access(path, os.F_OK):
                # The form that readers find first has to be right.
                return path, _holds(path, data)
        return None, False

    def _may_stay(self, path: str, group: WriteGroup, reliance: Reliance | None) -> bool:
        return group.is_pending(path) or _holds_on(reliance, path)

    def _candidates(self, digest: str) -> tuple[str, str]:
        return self._layout.compressed_object(digest), self._layout.object(digest)


def measure(portions: Iterable[bytes]) -> tuple[str, int]:
    """The digest of bytes that come in portions, and how many they are."""
    hasher = hashlib.sha256()
    size = 0
    for portion in portions:
        hasher.update(portion)
        size += len(portion)
    return DIGEST_PREFIX + hasher.hexdigest(), size


def open_stored(stored: StoredBytes) -> bytes:
    """The raw bytes of an object, checked against its digest."""
    data = stored.data
    if stored.compressed:
        try:
            data = b"".join(FrameReader(io.BytesIO(data).read))
        except FrameDamagedError as error:
            raise _damaged(stored.digest) from error
    if digest_bytes(data) != stored.digest:
        raise _damaged(stored.digest)
    return data


def check_object(path: str, digest: str) -> ObjectCheck | None:
    """Read a stored form of an object; None where its bytes are not what the digest says.

    `FrameDamagedError` where it is not stored as it should be, `StoreReadError` where it cannot
    be read.
    """
    if os.path.islink(path):
        raise FrameDamagedError("a symbolic link stands in its place")
    with reporting_read_errors(path), open(path, "rb") as stream:
        reader = FrameReader(stream.read) if path.endswith(COMPRESSED_SUFFIX) else None
        found, size = measure(reader or iter(lambda: stream.read(_PORTION), b""))
    has_checksum = reader is None or reader.has_checksum
    return ObjectCheck(size, has_checksum) if found == digest else None


def _form(raw: str, data: bytes, damaged: str | None) -> tuple[str, bytes]:
    """Where an object is written, and as what: one that is damaged in the form it has, so that
    no reader finds the damaged one first.
    """
    compressed = raw + COMPRESSED_SUFFIX
    if damaged == raw:
        return raw, data
    stored = _compress(data)
    if stored is None and damaged == compressed:
        stored = with_checksum(_compressor().compress(data))
    return (raw, data) if stored is None else (compressed, stored)


def _holds_on(reliance: Reliance | None, path: str) -> bool:
    return reliance is None or reliance.holds(path)


def _holds(path: str, data: bytes) -> bool:
    """Whether the stored object has these bytes."""
    try:
        stored = None if os.path.islink(path) else read_file(path)
        if stored is not None and path.endswith(COMPRESSED_SUFFIX):
            return b"".join(FrameReader(io.BytesIO(stored).read)) == data
    except (StoreError, FrameDamagedError):
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
    compressed = with_checksum(_compressor().compress(data))
    return compressed if len(compressed) < len(data) - len(data) // 8 else None


def _missing(digest: str) -> StoreDamagedError:
    return StoreDamagedError(
        f"object {digest} is missing", hints=["take the snapshot again to restore it"]
    )


def _damaged(digest: str) -> StoreDamagedError:
    return StoreDamagedError(
        f"object {digest} is damaged: its bytes do not match its name",
        hints=["take the snapshot again with --no-cache, or resume the batch, to restore it"],
    )
