"""A pack without its index: its frames are found by their ends, their digests from their bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from codebatch.model.digest import digest_bytes
from codebatch.model.errors import StoreError
from codebatch.store.door import ABSENT
from codebatch.store.layout import CHUNK_BYTES, Layout
from codebatch.store.objects.compression import (
    CHECKSUM_BYTES,
    CHECKSUM_START,
    CompressionError,
    open_frame,
    zstd,
)
from codebatch.store.objects.packs import HEX_DIGITS, Found
from codebatch.store.write_group import reporting_read_errors

MOST_BYTES = 2**30  # that are looked through: no writer makes a pack of a third of that
_MOST_FRAMES = 2**18  # nor puts half as many frames into one
_MOST_GAPS = 1000  # of a pack: a hostile one may have very many, each of which takes long
_PORTION = 2**16


class Walk(NamedTuple):
    """The whole frames of a pack, as they lie in it; whether all of it was looked through, and
    whether there is nothing else.
    """

    frames: list[Found]
    is_finished: bool = False
    is_whole: bool = False


def walk_pack(layout: Layout, name: str) -> Walk:
    """Read a pack from the first frame to the last; no frame where it cannot be read, or is larger
    than any writer makes one. What is damaged is left out, up to where a checksum ends.
    """
    frames: list[Found] = []
    path = layout.pack(name)
    offset = gaps = 0
    with (
        contextlib.suppress(StoreError, *ABSENT),
        reporting_read_errors(path),
        layout.door.stream(path) as stream,
    ):
        size = stream.seek(0, 2)
        while offset < size <= MOST_BYTES and gaps < _MOST_GAPS and len(frames) < _MOST_FRAMES:
            frame = _frame_at(stream, Found(path, pack=name, offset=offset))
            if frame is not None:
                frames.append(frame)
                offset += frame.size
            else:
                gaps += 1
                offset = _next_end(stream, offset, size)
        return Walk(frames, offset == size, is_whole=offset == size and not gaps)
    return Walk([])


def _frame_at(stream: BinaryIO, found: Found) -> Found | None:
    """Return the frame that starts at a byte, if it is whole, with its size and its object."""
    stream.seek(found.offset)
    try:
        size = sum(_parts_of_frame(stream)) + CHECKSUM_BYTES
        stream.seek(found.offset)
        stored = stream.read(size)
        raw = open_frame(stored, CHUNK_BYTES + 1)
    except (CompressionError, zstd.ZstdError):
        return None
    return found._replace(size=size, digits=digest_bytes(raw)[-HEX_DIGITS:])


def _parts_of_frame(stream: BinaryIO) -> Iterator[int]:
    """Yield how many bytes of each portion are of the compressed frame that starts here."""
    decompressor = zstd.ZstdDecompressor()
    left = CHUNK_BYTES
    while not decompressor.eof:
        is_hungry = decompressor.needs_input
        portion = stream.read(_PORTION) if is_hungry else b""
        left -= len(decompressor.decompress(portion, max_length=_PORTION))
        if left < 0 or (is_hungry and not portion):
            raise CompressionError("the frame is cut off, or of too many bytes")
        yield len(portion) - len(decompressor.unused_data)


def _next_end(stream: BinaryIO, offset: int, size: int) -> int:
    """Return where the next checksum ends; the size of the pack where there is none."""
    while offset < size:
        stream.seek(offset)
        found = stream.read(_PORTION + CHECKSUM_BYTES).find(CHECKSUM_START)
        if found >= 0:
            return offset + found + CHECKSUM_BYTES
        offset += _PORTION
    return size
