"""A source tree, opened: its files and links, each read as what it was listed as."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from codebatch.model.errors import SourceNotFoundError
from codebatch.model.records import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE
from codebatch.snapshot.descriptors import FILE_FLAGS, Folder, Folders
from codebatch.snapshot.file_status import Status, status_of
from codebatch.snapshot.git import Answer, GitReader

STREAM_ABOVE_BYTES = 32 * 2**20
_PORTION = 2**20
# A file may have grown since it was looked at, or have a size that is not told; one that grows by
# more while it is read might never end.
_MOST_GROWTH = 64 * 2**20

T = TypeVar("T")


class OpenTree(NamedTuple):
    """The folders of a tree, and what git's files in it say."""

    folders: Folders
    git: GitReader

    def said_by_git(self, path: bytes) -> Answer | None:
        """Return what git says of a folder that has a ``.git``, or of the root; None: nothing."""
        return self.git.look_at(self.folders.at(path)) if path else self.git.look_around()


@contextmanager
def open_tree(root: Path) -> Iterator[OpenTree]:
    """Open a folder, which may be named by a link, as the root of a tree for a block."""
    try:
        folder = Folder.at(os.path.realpath(os.fsencode(root)))
    except OSError as error:
        raise SourceNotFoundError(f"cannot list {root}: {error.strerror}") from error
    with folder, Folders(folder) as folders, GitReader(folder) as git:
        yield OpenTree(folders, git)


class SourceEntry(NamedTuple):
    """A file or symbolic link of the tree; ``mode`` as in a manifest."""

    path: bytes
    mode: str
    status: Status

    @property
    def size(self) -> int:
        """Its size in bytes, as far as its status says."""
        return self.status[3]


def entry_of(path: bytes, status: Status) -> SourceEntry | None:
    """Return the entry for a path in this state; None where it is neither a file nor a link."""
    mode = status[0]
    if stat.S_ISREG(mode):
        return SourceEntry(path, EXECUTABLE_MODE if mode & stat.S_IXUSR else FILE_MODE, status)
    return SourceEntry(path, SYMLINK_MODE, status) if stat.S_ISLNK(mode) else None


def read_entry(
    folders: Folders,
    entry: SourceEntry,
    put: Callable[[bytes], T],
    put_stream: Callable[[Iterable[bytes]], T],
) -> tuple[T, Status] | None:
    """Return what ``put``, or ``put_stream`` for a large file, makes of the content, with the
    status it was read under; None where a file is no file by now. The content of a link is its
    target.
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
    """Yield what is still to be read, in portions; an error beyond so many bytes."""
    read = 0
    while portion := os.read(descriptor, _PORTION):
        read += len(portion)
        if read > most:
            raise OSError(errno.EFBIG, "it grows while it is read")
        yield portion
