"""What is said of the things in a tree: a file or link that is taken, a reason why one is not."""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import NamedTuple

from codebatch.model.records import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE
from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.file_status import Status

IGNORED = "ignored"
GIT_METADATA = "git metadata"
STORE = "codebatch store"

_LARGEST_MARK = 2**20


class SourceEntry(NamedTuple):
    """A file or symbolic link of the tree; ``mode`` as in a manifest."""

    path: bytes
    mode: str
    status: Status

    @property
    def size(self) -> int:
        """Its size in bytes, as far as its status says."""
        return self.status[3]


class StoreMark(NamedTuple):
    """How to tell a store: a folder with a file of that name whose content ``is_mark``."""

    name: bytes
    is_mark: Callable[[bytes], bool]

    def is_in(self, folder: Folder) -> bool:
        """Return True if the folder is a store."""
        try:
            data = folder.read(self.name, _LARGEST_MARK)
        except OSError:
            return False
        return data is not None and self.is_mark(data)


def entry_of(path: bytes, status: Status) -> SourceEntry | None:
    """Return the entry for a path in this state; None where it is neither a file nor a link."""
    mode = status[0]
    if stat.S_ISREG(mode):
        return SourceEntry(path, EXECUTABLE_MODE if mode & stat.S_IXUSR else FILE_MODE, status)
    return SourceEntry(path, SYMLINK_MODE, status) if stat.S_ISLNK(mode) else None
