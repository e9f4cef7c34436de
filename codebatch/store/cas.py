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

from codebatch.digest import DIGEST_PREFIX, digest_bytes
from codebatch.errors import StoreDamagedError
from codebatch.store.files import WriteGroup, read_file
from codebatch.store.layout import COMPRESSED_SUFFIX, Layout

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OBJECT_MODE = 0o444
COMPRESSION_LEVEL = 1
_WORTH_COMPRESSING = 128
_PORTION = 2**20


class ObjectStore:
    """Reads and writes the objects of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def has(self, digest: str) -> bool:
        """Whether the object is there, in either form."""
        return self._find(digest) is not None

    def put(self, data: bytes, group: WriteGroup) -> str:
        """Add the bytes unless they are there already; durable when the group is."""
        digest = digest_bytes(data)
        if self.has(digest):
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

    def read_head(self, digest: str, length: int) -> bytes:
        """Up to ``length`` first raw bytes, unchecked (a prefix has no digest)."""
        path = self._find(digest)
        if path is None:
            return self.read(digest)[:length]
        with open(path, "rb") as stream:
            if path == self._layout.object(digest):
                return stream.read(length)
            try:
                with zstd.ZstdFile(stream) as raw:
                    return raw.read(length)
            except (zstd.ZstdError, EOFError) as error:
                raise _damaged(digest) from error

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
        hints=["remove the object's file and take the snapshot again to restore it"],
    )
