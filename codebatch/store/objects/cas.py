"""The content-addressed object store: immutable bytes named by their digest.

An object is stored once, raw or zstd-compressed, whichever is clearly smaller; the name is
always the digest of the raw bytes. Every read checks the bytes against the name, so damage is
reported and never handed on. Adding bytes that are there already restores them where they are
damaged, whatever stands in their place.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.errors import ObjectNotFoundError, StoreDamagedError, StoreError
from codebatch.store.door import ABSENT, Door, Folder
from codebatch.store.layout import COMPRESSED_SUFFIX, HELD_BYTES, OBJECT_BYTES, Layout
from codebatch.store.leases.leases import Pins, kept_in
from codebatch.store.objects.compression import (
    COMPRESSION_LEVEL,
    CompressionError,
    FrameReader,
    FrameWriter,
    with_checksum,
    zstd,
)
from codebatch.store.write_group import WriteGroup, reporting_read_errors

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
        self._door = layout.door
        self._place = layout.door.place(layout.objects)

    def location(self, digest: str) -> str | None:
        """Return the path relative to the folder of all objects; None where it is not there."""
        path = self._find(digest)
        return None if path is None else self._location(path)

    def are_at(self, locations: Iterable[bytes]) -> bool:
        """Return True if there is an object at each of these places, whatever its bytes."""
        try:
            folder = self._door.folder(self._layout.objects)
        except (OSError, StoreError):
            return not any(True for _ in locations)
        with folder:
            # Very many at once, to spare reading their sources: whoever reads one of them looks
            # closer, and whoever lists them in a snapshot relies on the bytes alone.
            return all(os.access(place, os.F_OK, dir_fd=folder.descriptor) for place in locations)

    def has(self, digest: str) -> bool:
        """Return True if there is such an object, not empty; its bytes are not looked at."""
        return self._any_form(digest, lambda folder, name: folder.status(name).st_size > 0)

    def is_kept(self, digest: str, since_ns: int | None) -> bool:
        """Return True if `has` does and `gc` keeps it for a writer with a lease since then."""
        if since_ns is None:
            return self.has(digest)
        return self._any_form(digest, lambda folder, name: bool(kept_in(folder, name, since_ns)))

    def _any_form(self, digest: str, holds: Callable[[Folder, str], bool]) -> bool:
        """Return True if that holds of a form that is there, tried in the order of readers."""
        parent, name = os.path.split(self._layout.object(digest))
        try:
            with self._door.folder(parent) as folder:
                forms = (form for form in _forms(name) if folder.has(form))
                return any(holds(folder, form) for form in forms)
        except (OSError, StoreError):
            return False

    def is_intact(self, digest: str, limit: int = OBJECT_BYTES) -> bool:
        """Return True if it is there and its bytes, at most so many, are what its name says."""
        path = self._find(digest)
        try:
            return path is not None and check_object(self._door, path, digest, limit) is not None
        except (StoreError, FileNotFoundError, NotADirectoryError, CompressionError):
            return False

    def put(self, data: bytes, group: WriteGroup, pins: Pins | None = None) -> StoredObject:
        """Add the bytes unless they are there, intact; durable when the group is.

        Without ``pins`` they may be gone at any time after.
        """
        digest = digest_bytes(data)
        parent, name = os.path.split(self._door.place(self._layout.object(digest)))
        form, is_whole = _form_of(parent, name, data, group)
        place = f"{parent}/{form}"
        if (
            form is None
            or not is_whole
            or not (group.is_pending(place) or _pin(pins, f"{self._door.root}/{place}"))
        ):
            form, stored = _new_form(name, data, form)
            place = f"{parent}/{form}"
            group.add_below(self._place, place, stored, OBJECT_MODE)
        return StoredObject(digest, len(data), place[len(self._place) + 1 :])

    def pin(self, digest: str, pins: Pins) -> bool:
        """Pin an object; return False where it is not there."""
        path = self._find(digest)
        return path is not None and pins.add(path)

    def put_stream(
        self, portions: Iterable[bytes], group: WriteGroup, pins: Pins | None = None
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
            path = self._find(digest) if self.is_intact(digest, size) else None
            if path is None or not _pin(pins, path):
                path = file.path = self._layout.compressed_object(digest)
        return StoredObject(digest, size, self._location(path))

    def read(self, digest: str, limit: int = HELD_BYTES) -> bytes:
        """The raw bytes, checked against the digest; an object of more than so many is damaged."""
        return open_stored(self.read_stored(digest, limit), limit)

    def read_stored(self, digest: str, limit: int = HELD_BYTES) -> StoredBytes:
        """The bytes as they lie in the store, of an object that has at most so many."""
        parent, name = os.path.split(self._layout.object(digest))
        try:
            with reporting_read_errors(parent), self._door.folder(parent) as folder:
                for form in _forms(name):
                    with contextlib.suppress(FileNotFoundError):
                        stored = folder.read(form, limit + _around(limit))
                        return StoredBytes(digest, form.endswith(COMPRESSED_SUFFIX), stored)
        except ABSENT:
            pass
        raise _missing(digest)

    def read_head(self, digest: str, size: int) -> bytes:
        """The first bytes, checked as `read` checks; an object of any length is not held."""
        head = b""
        for portion in self.portions(digest):
            head += portion[: size - len(head)]
        return head

    def size(self, digest: str) -> int:
        """Return the number of raw bytes, checked as `read` checks."""
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
            with reporting_read_errors(path), self._door.stream(path) as stream:
                for portion in _raw_portions(path, stream.read, OBJECT_BYTES):
                    hasher.update(portion)
                    yield portion
        except ABSENT:
            raise _missing(digest) from None
        except CompressionError as error:
            raise _damaged(digest) from error
        if DIGEST_PREFIX + hasher.hexdigest() != digest:
            raise _damaged(digest)

    def find(self, digits: str) -> list[str]:
        """The digests that start with these hex digits (lower case, at least four), sorted."""
        names = self._door.names(f"{self._layout.objects}/{digits[:2]}/{digits[2:4]}")
        found = {name.removesuffix(COMPRESSED_SUFFIX) for name in names if name.startswith(digits)}
        return sorted(DIGEST_PREFIX + name for name in found)

    def stored_form(self, digest: str) -> StoredForm:
        """Return the form in which the object is stored; `ObjectNotFoundError` where it is not."""
        path = self._find(digest)
        if path is None:
            raise ObjectNotFoundError(f"no object {digest} in the store")
        status = self._door.status(path)
        size = 0 if status is None else status.st_size
        return StoredForm(size, path.endswith(COMPRESSED_SUFFIX))

    def _find(self, digest: str) -> str | None:
        parent, name = os.path.split(self._layout.object(digest))
        try:
            with reporting_read_errors(parent), self._door.folder(parent) as folder:
                found = next((form for form in _forms(name) if folder.has(form)), None)
        except ABSENT:
            return None
        return None if found is None else f"{parent}/{found}"

    def _location(self, path: str) -> str:
        return path[len(self._layout.objects) + 1 :]


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
            data = b"".join(FrameReader(io.BytesIO(data).read, limit))
        except CompressionError as error:
            raise _damaged(stored.digest) from error
    if len(data) > limit or digest_bytes(data) != stored.digest:
        raise _damaged(stored.digest)
    return data


def check_object(
    door: Door, path: str, digest: str, limit: int = OBJECT_BYTES
) -> ObjectCheck | None:
    """Read a stored form of an object; None where its bytes are not what the digest says.

    `CompressionError` where it is not stored as it should be, `StoreError` where it cannot be
    read.
    """
    with reporting_read_errors(path), door.stream(path) as stream:
        portions = _raw_portions(path, stream.read, limit)
        found, size = measure(portions)
    has_checksum = not isinstance(portions, FrameReader) or portions.has_checksum
    return ObjectCheck(size, has_checksum) if found == digest else None


def _raw_portions(path: str, read: Callable[[int], bytes], limit: int) -> Iterable[bytes]:
    if path.endswith(COMPRESSED_SUFFIX):
        return FrameReader(read, limit)
    return iter(lambda: read(_PORTION), b"")


def _around(limit: int) -> int:
    """Return how many bytes more a frame of incompressible bytes may have."""
    return limit // 128 + 2**10


def _forms(name: str) -> tuple[str, str]:
    """The names that an object may have in its folder, in the order in which readers try them."""
    return name + COMPRESSED_SUFFIX, name


def _form_of(parent: str, name: str, data: bytes, group: WriteGroup) -> tuple[str | None, bool]:
    """The name under which these bytes are in a folder, or are about to be, None where they are
    not; and whether what is there is whole.
    """
    for form in _forms(name):
        if group.is_pending(f"{parent}/{form}"):
            return form, True
    folder = group.folder(parent)
    if folder is not None:
        with folder:
            for form in _forms(name):
                if folder.has(form):
                    # The form that readers find first has to be right.
                    return form, _holds(folder, form, data)
    return None, False


def _new_form(name: str, data: bytes, damaged: str | None) -> tuple[str, bytes]:
    """Under what name an object is written, and as what: one that is damaged in the form it has,
    so that no reader finds the damaged one first.
    """
    compressed, _ = _forms(name)
    if damaged == name:
        return name, data
    stored = _compress(data)
    if stored is None and damaged == compressed:
        stored = _frame(data)
    return (name, data) if stored is None else (compressed, stored)


def _pin(pins: Pins | None, path: str) -> bool:
    return pins is None or pins.add(path)


def _holds(folder: Folder, form: str, data: bytes) -> bool:
    """Return True if the stored object has these bytes."""
    try:
        stored = folder.read(form, len(data) + _around(len(data)))
        if form.endswith(COMPRESSED_SUFFIX):
            return b"".join(FrameReader(io.BytesIO(stored).read, len(data))) == data
    except (OSError, StoreError, CompressionError):
        return False
    return stored == data


class _Compressor(threading.local):
    """A compressor for each thread: to make one costs more than to compress a source file."""

    def __init__(self) -> None:
        self.zstd = zstd.ZstdCompressor(level=COMPRESSION_LEVEL)


@functools.cache
def _compressor() -> _Compressor:
    return _Compressor()


def _frame(data: bytes) -> bytes:
    zstd_of_thread = _compressor().zstd
    return with_checksum(zstd_of_thread.compress(data, mode=zstd.ZstdCompressor.FLUSH_FRAME))


def _compress(data: bytes) -> bytes | None:
    """The compressed form, or None where it would save less than an eighth."""
    if len(data) < _WORTH_COMPRESSING:
        return None
    compressed = _frame(data)
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
