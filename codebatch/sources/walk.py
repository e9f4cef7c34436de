"""Walk a directory in a stable order and say of everything in it: taken, or skipped and why.

Paths are bytes relative to the root, with ``/`` between components, in byte order; symbolic
links are entries of their own and are never followed. Nothing that the file system can hold
ends the walk: what cannot be taken is listed.

The walk also notes what it looked at in order to decide. As long as all of that is as it was,
and git gives the same answers, another walk takes and skips the same.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path

from codebatch.records import SkippedFile
from codebatch.sources.entries import (
    GIT_METADATA,
    IGNORED,
    STORE,
    SourceEntry,
    StoreMark,
    entry_of,
)
from codebatch.sources.git import GitAnswers, may_be_in_repository
from codebatch.sources.ignore import (
    GIT_IGNORE_FILE,
    OWN_IGNORE_FILE,
    FolderRules,
    is_ignored,
    read_rules,
)
from codebatch.sources.status import UNKNOWN, Status, status_of

_GIT_FOLDER = b".git"
_SPECIAL = (
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISCHR, "character device"),
)
_by_name = attrgetter("name")


@dataclass(frozen=True)
class _Folder:
    """A folder still to be listed, with the ignore rules that hold in it."""

    path: bytes
    rules: tuple[FolderRules, ...] = ()
    ignored: frozenset[bytes] = frozenset()
    by_git: bool = False

    def inner(self, name: bytes) -> bytes:
        """The path of something in the folder."""
        return self.path + b"/" + name if self.path else name


@dataclass
class TreeWalk:
    """One walk: iterate `entries`; the lists grow meanwhile and are complete at the end.

    A store is never source code, nor is a file of more than ``max_bytes`` (None: of any size);
    with ``ignore`` false everything else is taken.
    State: ``skipped`` is what was not taken. ``watched`` holds, of each folder that was listed
    and each file that was asked, its status before that, ``absent`` the files that were not there
    to be asked, ``repositories`` where git was asked.
    """

    root: bytes
    store_mark: StoreMark
    git: GitAnswers
    ignore: bool = True
    max_bytes: int | None = None
    skipped: list[SkippedFile] = field(default_factory=list)
    watched: list[tuple[bytes, Status]] = field(default_factory=list)
    absent: list[bytes] = field(default_factory=list)
    repositories: list[bytes] = field(default_factory=list)

    def entries(self) -> Iterator[SourceEntry]:
        """Files and links, folder by folder."""
        self._watch(b".", partial(os.stat, self.root))
        pending = [_Folder(b"")]
        while pending:
            folder = pending.pop()
            listed = self._list(folder)
            folder = self._with_rules(folder, {entry.name: entry for entry in listed})
            subfolders = []
            for entry in listed:
                path = folder.inner(entry.name)
                if (reason := self._left_out(folder, entry, path)) is not None:
                    self.skip(path, reason)
                elif entry.is_dir(follow_symlinks=False):
                    self._watch(path, partial(entry.stat, follow_symlinks=False))
                    subfolders.append(_Folder(path, folder.rules, folder.ignored, folder.by_git))
                elif (taken := self._taken(entry, path)) is not None:
                    yield taken
            pending.extend(reversed(subfolders))

    def skip(self, path: bytes, reason: str) -> None:
        """List something as not taken."""
        self.skipped.append(SkippedFile(path.decode("utf-8", "surrogateescape"), reason))

    def fail(self, path: bytes, reason: str) -> None:
        """List something as not taken for now: its status does not tell when it can be."""
        self.skip(path, reason)
        self.watched.append((path, UNKNOWN))

    def absolute(self, path: bytes) -> bytes:
        """The path in the file system of a path relative to the root."""
        return os.path.join(self.root, path)

    def _list(self, folder: _Folder) -> list[os.DirEntry[bytes]]:
        """What is in the folder, nothing if it is a store or cannot be listed."""
        failure = None
        try:
            before = self._identity(folder)
            with os.scandir(self.absolute(folder.path)) as entries:
                listed = sorted(entries, key=_by_name)
            if self._identity(folder) != before:
                raise NotADirectoryError(errno.ENOTDIR, "another one by now")
        except OSError as error:
            failure = unreadable(error, "directory")
            listed = []
        marked = failure is not None or self.store_mark.name in [e.name for e in listed]
        if folder.path and marked and self._is_store(folder.path):
            self.skip(folder.path, STORE)
            return []
        if failure is not None:
            self.fail(folder.path, failure)
        return listed

    def _identity(self, folder: _Folder) -> tuple[int, int]:
        """What tells the folder from another; it is an error if it has become a link, which
        would lead the walk out of the tree. The root may be one.
        """
        path = self.absolute(folder.path)
        seen = os.lstat(path) if folder.path else os.stat(path)
        if not stat.S_ISDIR(seen.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "no directory any more")
        return seen.st_dev, seen.st_ino

    def _is_store(self, path: bytes) -> bool:
        mark = os.path.join(path, self.store_mark.name)
        if os.path.lexists(self.absolute(mark)):
            self._watch(mark, partial(os.lstat, self.absolute(mark)))
        else:
            self.absent.append(mark)
        return self.store_mark.is_store(Path(os.fsdecode(self.absolute(path))))

    def _left_out(self, folder: _Folder, entry: os.DirEntry[bytes], path: bytes) -> str | None:
        if not self.ignore:
            return None
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name == _GIT_FOLDER:
            reason = GIT_METADATA
        elif path in folder.ignored or is_ignored(folder.rules, path, is_folder=is_folder):
            reason = IGNORED
        else:
            return None
        return STORE if is_folder and self._is_store(path) else reason

    def _taken(self, entry: os.DirEntry[bytes], path: bytes) -> SourceEntry | None:
        try:
            status = status_of(entry.stat(follow_symlinks=False))
        except OSError as error:
            self.fail(path, unreadable(error, "file"))
            return None
        taken = entry_of(path, status)
        if taken is None:
            kinds = (name for test, name in _SPECIAL if test(status[0]))
            self.skip(path, next(kinds, "special file"))
        elif self.max_bytes is not None and taken.size > self.max_bytes:
            self.skip(path, f"larger than {self.max_bytes} bytes")
            self.watched.append((path, status))
            return None
        return taken

    def _watch(self, path: bytes, look: Callable[[], os.stat_result]) -> None:
        """Note a status; that of a link says nothing of what it leads to."""
        try:
            seen = look()
        except OSError:
            status = UNKNOWN
        else:
            status = UNKNOWN if stat.S_ISLNK(seen.st_mode) else status_of(seen)
        self.watched.append((path, status))

    def _with_rules(self, folder: _Folder, listed: dict[bytes, os.DirEntry[bytes]]) -> _Folder:
        """The folder with what its own ignore files, or its own repository, add."""
        if not self.ignore:
            return folder
        rules, ignored, by_git = folder.rules, folder.ignored, folder.by_git
        if folder.path == b"" or _GIT_FOLDER in listed:
            answer = self._ask_git(folder.path)
            by_git = answer is not None
            ignored = frozenset(folder.inner(path) for path in answer or ())
        for name in (OWN_IGNORE_FILE,) if by_git else (GIT_IGNORE_FILE, OWN_IGNORE_FILE):
            if name in listed:
                self._watch(folder.inner(name), partial(listed[name].stat, follow_symlinks=False))
                added = read_rules(self.root, folder.path, name)
                rules = (*rules, added) if added else rules
        return _Folder(folder.path, rules, ignored, by_git)

    def _ask_git(self, folder: bytes) -> frozenset[bytes] | None:
        if not may_be_in_repository(self.absolute(folder)):
            return None
        self.repositories.append(folder)
        return self.git.ignored(self.absolute(folder))


def unreadable(error: OSError, what: str) -> str:
    """The reason to list for something that could not be read."""
    return f"unreadable {what}: {(error.strerror or str(error)).lower()}"
