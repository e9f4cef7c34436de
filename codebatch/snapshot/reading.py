"""The content of one file or link of a tree, read as what it was listed as."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from codebatch.model.records import SYMLINK_MODE
from codebatch.snapshot.descriptors import FILE_FLAGS, Folders
from codebatch.snapshot.file_status import Status, status_of
from codebatch.snapshot.tree_entry import SourceEntry

STREAM_ABOVE_BYTES = 32 * 2**20
_PORTION = 2**20
# A file may have grown since it was looked at, or have a size that is not told; one that grows by
# more while it is read might never end.
_MOST_GROWTH = 64 * 2**20

T = TypeVar("T")


def read_entry(
    folders: Folders,
    entry: SourceEntry,
    put: Callable[[bytes], T],
    put_stream: Callable[[Iterable[bytes]], T],
) -> tuple[T, Status] | None:
    """What ``put``, or ``put_stream`` for a large file, makes of the content, with the status
    it was read under; of a link, the content is its target. None where a file is no file by now.
    """
    head, _, name = entry.path.rpartition(b"/")
    within = folders.at(head).descriptor
    if entry.mode == SYMLINK_MODE:
        target = os.readlink(name, dir_fd=within)
        return put(target), status_of(os.lstat(name, dir_fd=within))
    # Between listing and opening, the file may have become a link or a pipe: the flags refuse the
    # one and do not wait for the other.
    descriptor = os.open(name, FILE_FLAGS, dir_fd=within)
    try:
        seen = status_of(os.fstat(descriptor))
        if not stat.S_ISREG(seen[0]):
            return None
        size = seen[3]
        portions = _portions(descriptor, size + _MOST_GROWTH)
        if size > STREAM_ABOVE_BYTES:
            return put_stream(portions), seen
        data = os.read(descriptor, size + 1)
        if len(data) != size:
            data += b"".join(portions)
        return put(data), seen
    finally:
        os.close(descriptor)


def _portions(descriptor: int, most: int) -> Iterator[bytes]:
    """What is still to be read, in portions; an error beyond so many bytes."""
    read = 0
    while portion := os.read(descriptor, _PORTION):
        read += len(portion)
        if read > most:
            raise OSError(errno.EFBIG, "it grows while it is read")
        yield portion
