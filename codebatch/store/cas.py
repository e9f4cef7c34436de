"""The content-addressed object store: immutable bytes named by their digest.

An object is stored once, raw or zstd-compressed, whichever is clearly smaller; the name is
always the digest of the raw bytes. Every read checks the bytes against the name, so damage is
reported and never handed on.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, cast

from codebatch.digest import DIGEST_PREFIX, digest_bytes
from codebatch.errors import ObjectNotFoundError, StoreDamagedError, StoreError
from codebatch.store.files import WriteGroup, read_file, reporting_read_errors
from codebatch.store.layout import COMPRESSED_SUFFIX, Layout

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OBJECT_MODE = 0o444
COMPRESSION_LEVEL = 1
_WORTH_COMPRESSING = 128
_PORTION = 2**20


@dataclass(frozen=True)
class StoredForm:
    """How an object lies in the store: its bytes there, and whether they are compressed."""

    size: int
    compressed: bool


class ObjectStore:
    """Reads and writes the objects of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

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

    def put(self, data: bytes, group: WriteGroup) -> str:
        """Add the bytes unless they are there, intact; durable when the group is."""
        digest = digest_bytes(data)
        if self.is_intact(digest):
            return digest
        stored = _compress(data)
        if stored is None:
            group.add(self._layout.object(digest), data, OBJECT_MODE)
        else:
            group.add(self._layout.compressed_object(digest), stored, OBJECT_MODE)
        return digest

    def put_stream(self, portions: Iterable[bytes], group: WriteGroup) -> tuple[str, int]:
        """Add bytes of any length without holding them; returns digest and size in bytes."""
        hasher = hashlib.sha256()
        size = 0
        compressor = zstd.ZstdCompressor(level=COMPRESSION_LEVEL)
        # The final name is known only after the last byte.
        with group.stream(f"{self._layout.objects}/incoming", OBJECT_MODE) as write:
            for portion in portions:
                hasher.update(portion)
                size += len(portion)
                write(compressor.compress(portion))
            write(compressor.flush())
        digest = DIGEST_PREFIX + hasher.hexdigest()
        if self.is_intact(digest):
            group.drop_last()
            return digest, size
        target = self._layout.compressed_object(digest)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        group.rename_last(target)
        return digest, size

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
        return next((path for path in self._candidates(digest) if os.path.exists(path)), None)

    def _candidates(self, digest: str) -> tuple[str, str]:
        return self._layout.compressed_object(digest), self._layout.object(digest)


def _compress(data: bytes) -> bytes | None:
    """The compressed form, or None where it would save less than an eighth."""
    if len(data) < _WORTH_COMPRESSING:
        return None
    compressed = zstd.compress(data, level=COMPRESSION_LEVEL)
    return compressed if len(compressed) < len(data) - len(data) // 8 else None


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
        hints=["take the snapshot again, or resume the batch, to restore it"],
    )
