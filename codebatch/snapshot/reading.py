"""Files and links of a tree, each read as what it was listed as and stored."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from codebatch.model.digest import canonical_json
from codebatch.model.records import SYMLINK_MODE
from codebatch.snapshot.descriptors import FILE_FLAGS, Folders
from codebatch.snapshot.file_status import UNKNOWN, Status, is_settled, pack, status_of
from codebatch.snapshot.tree_entry import SourceEntry
from codebatch.snapshot.writer import SnapshotWriter
from codebatch.store import StoreDirectory

STREAM_ABOVE_BYTES = 32 * 2**20
_PORTION = 2**20
# A file may have grown since it was looked at, or have a size that is not told; one that grows by
# more while it is read might never end.
_MOST_GROWTH = 64 * 2**20

T = TypeVar("T")


class TakenFile(NamedTuple):
    """A line of the manifest, the packed status that vouches for it, and where its object is.

    All files of a tree are held at once, in the form in which they are remembered.
    """

    path: bytes
    digest: str
    size: int
    mode: str
    evidence: bytes
    location: bytes

    def line(self) -> bytes:
        """Return the line as it stands in the manifest."""
        path = self.path.decode("utf-8", "surrogateescape")
        record = {"mode": self.mode, "object": self.digest, "path": path, "size": self.size}
        return canonical_json(record) + b"\n"


class FileReader:
    """Reads files of the tree at ``root``, of which ``folders`` are, into the store."""

    def __init__(
        self, store: StoreDirectory, root: bytes, folders: Folders, max_bytes: int | None
    ) -> None:
        self.store = store
        self.root = root
        self.folders = folders
        self._max_bytes = max_bytes

    def is_wanted(self, entry: SourceEntry) -> bool:
        """Return True if the file is small enough to be taken."""
        return self._max_bytes is None or entry.size <= self._max_bytes

    def read(self, entry: SourceEntry, writer: SnapshotWriter, moment: int) -> TakenFile | None:
        """Return the file with its bytes (a link's target) stored, read after ``moment``; None
        where its type changed.
        """
        found = read_entry(self.folders, entry, writer.put, writer.put_stream)
        if found is None:
            return None
        (digest, size, location), seen = found
        # A file that another one replaced, or that has more bytes than it says, is read again.
        status = seen if seen == entry.status and size == entry.size else UNKNOWN
        evidence = evidence_of(status, moment)
        return TakenFile(entry.path, digest, size, entry.mode, evidence, os.fsencode(location))


def evidence_of(status: Status, moment: int) -> bytes:
    """Return the packed status; of one that is too young to vouch for anything, `UNKNOWN`."""
    return pack(status if is_settled(status, moment) else UNKNOWN)


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
