"""Zstandard, from the standard library where it has it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    from backports import zstd
else:
    zstd = lazy("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

__all__ = ["COMPRESSION_LEVEL", "CompressionError", "compress", "decompress", "zstd"]

COMPRESSION_LEVEL = 1


class CompressionError(Exception):
    """The bytes are no Zstandard frame, or one of more bytes than allowed."""


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
