"""Walk a directory in a stable order and say of everything in it: taken, or skipped and why.

Paths are bytes relative to the root, with ``/`` between components, in byte order; symbolic
links are entries of their own and are never followed. Nothing that the file system can hold
ends the walk: what cannot be taken is listed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from codebatch.records import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE, SkippedFile
from codebatch.sources.ignore import (
    GIT_IGNORE_FILE,
    OWN_IGNORE_FILE,
    FolderRules,
    git_ignored,
    is_ignored,
    read_rules,
)

IGNORED = "ignored"
GIT_METADATA = "git metadata"
STORE = "codebatch store"

_GIT_FOLDER = b".git"
_SPECIAL = (
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISCHR, "character device"),
)


@dataclass(frozen=True)
class SourceEntry:
    """A file or symbolic link of the tree; ``mode`` as in a manifest."""

    path: bytes
    mode: str


@dataclass(frozen=True)
class _Folder:
    """A folder still to be listed, with the ignore rules that hold in it."""

    path: bytes
    rules: tuple[FolderRules, ...] = ()
    ignored: frozenset[bytes] = frozenset()
    by_git: bool = False


@dataclass
class TreeWalk:
    """One walk: iterate `entries`; ``skipped`` grows meanwhile and is complete at the end.

    ``is_store`` says of a folder whether it is a store, which is never source code; with
    ``ignore`` false everything else is taken.
    """

    root: Path
    is_store: Callable[[Path], bool]
    ignore: bool = True
    skipped: list[SkippedFile] = field(default_factory=list)

    def entries(self) -> Iterator[SourceEntry]:
        """Files and links, folder by folder."""
        pending = [_Folder(b"")]
        while pending:
            folder = self._with_rules(pending.pop())
            subfolders = []
            for entry in self._list(folder.path):
                path = os.path.join(folder.path, entry.name)
                if (reason := self._left_out(folder, entry, path)) is not None:
                    self.skip(path, reason)
                elif entry.is_dir(follow_symlinks=False):
                    subfolders.append(_Folder(path, folder.rules, folder.ignored, folder.by_git))
                elif (mode := self._mode(entry, path)) is not None:
                    yield SourceEntry(path, mode)
            pending.extend(reversed(subfolders))

    def skip(self, path: bytes, reason: str) -> None:
        """List something as not taken."""
        self.skipped.append(SkippedFile(path.decode("utf-8", "surrogateescape"), reason))

    def absolute(self, path: bytes) -> bytes:
        """The path in the file system of a path relative to the root."""
        return os.path.join(os.fsencode(self.root), path)

    def _list(self, folder: bytes) -> list[os.DirEntry[bytes]]:
        try:
            with os.scandir(self.absolute(folder)) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.skip(folder, unreadable(error, "directory"))
            return []

    def _left_out(self, folder: _Folder, entry: os.DirEntry[bytes], path: bytes) -> str | None:
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and self.is_store(Path(os.fsdecode(entry.path))):
            return STORE
        if not self.ignore:
            return None
        if entry.name == _GIT_FOLDER:
            return GIT_METADATA
        if path in folder.ignored or is_ignored(folder.rules, path, is_folder=is_folder):
            return IGNORED
        return None

    def _mode(self, entry: os.DirEntry[bytes], path: bytes) -> str | None:
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except OSError as error:
            self.skip(path, unreadable(error, "file"))
            return None
        if stat.S_ISLNK(mode):
            return SYMLINK_MODE
        if stat.S_ISREG(mode):
            return EXECUTABLE_MODE if mode & stat.S_IXUSR else FILE_MODE
        kinds = (name for test, name in _SPECIAL if test(mode))
        self.skip(path, next(kinds, "special file"))
        return None

    def _with_rules(self, folder: _Folder) -> _Folder:
        """The folder with what its own ignore files, or its own repository, add."""
        if not self.ignore:
            return folder
        root = os.fsencode(self.root)
        rules, ignored, by_git = folder.rules, folder.ignored, folder.by_git
        if folder.path == b"" or os.path.lexists(self.absolute(os.path.join(folder.path, b".git"))):
            listed = git_ignored(self.absolute(folder.path))
            by_git = listed is not None
            ignored = frozenset(os.path.join(folder.path, path) for path in listed or ())
        names = (OWN_IGNORE_FILE,) if by_git else (GIT_IGNORE_FILE, OWN_IGNORE_FILE)
        added = (read_rules(root, folder.path, name) for name in names)
        return _Folder(folder.path, (*rules, *(a for a in added if a)), ignored, by_git)


def unreadable(error: OSError, what: str) -> str:
    """The reason to list for something that could not be read."""
    return f"unreadable {what}: {(error.strerror or str(error)).lower()}"
