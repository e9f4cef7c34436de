"""Walk a directory in a stable order and say of everything in it: taken, or skipped and why.

Paths are bytes relative to the root, with ``/`` between components, in byte order; symbolic
links are entries of their own and are never followed: every folder is reached by descriptors from
the one that holds it. Nothing that the file system can hold ends the walk: what cannot be taken is
listed.

The walk also notes what it looked at in order to decide. As long as all of that is as it was,
and git's files say the same, another walk takes and skips the same.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from codebatch.model.records import SkippedFile
from codebatch.snapshot.descriptors import Folder, Folders
from codebatch.snapshot.file_status import UNKNOWN, Status, status_of
from codebatch.snapshot.git import GitReader, GitRules
from codebatch.snapshot.ignore import (
    GIT_IGNORE_FILE,
    OWN_IGNORE_FILE,
    FolderRules,
    is_ignored,
    read_rules,
    with_rules,
)
from codebatch.snapshot.tree_entry import (
    GIT_METADATA,
    IGNORED,
    STORE,
    SourceEntry,
    StoreMark,
    entry_of,
)
from codebatch.snapshot.untracked import UntrackedFolders, summed_up

_GIT_FOLDER = b".git"
_SPECIAL = (
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISCHR, "character device"),
)

_by_name = attrgetter("name")


class _Listed(NamedTuple):
    """Something in a folder."""

    name: bytes
    entry: os.DirEntry[str]
    is_folder: bool


@dataclass(frozen=True)
class _Folder:
    """A folder still to be listed, with the ignore rules that hold in it; where there is a
    repository, ``git`` says what its ignore files mean.
    """

    path: bytes
    rules: tuple[FolderRules, ...] = ()
    git: GitRules | None = None

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
    to be asked, ``answers`` the digests of what git's files said, by folder.
    """

    folders: Folders
    store_mark: StoreMark
    git: GitReader
    ignore: bool = True
    max_bytes: int | None = None
    skipped: list[SkippedFile] = field(default_factory=list)
    watched: dict[bytes, Status] = field(default_factory=dict)
    absent: list[bytes] = field(default_factory=list)
    answers: dict[bytes, str] = field(default_factory=dict)
    _untracked: UntrackedFolders = field(default_factory=UntrackedFolders)

    def entries(self) -> Iterator[SourceEntry]:
        """Files and links, folder by folder."""
        pending = [_Folder(b"")]
        while pending:
            folder = pending.pop()
            subfolders = []
            opened, listed = self._list(folder)
            if opened is not None:
                folder = self._with_rules(folder, opened, {found.name: found for found in listed})
            for found in listed:
                path = folder.inner(found.name)
                if (reason := self._left_out(folder, found, path)) is not None:
                    self.skip(path, reason)
                elif found.is_folder:
                    subfolders.append(self._subfolder(folder, found, path))
                elif (taken := self._taken(found, path)) is not None:
                    yield taken
            pending.extend(reversed(subfolders))
        ignored = self._untracked.ignored()
        self.skipped = summed_up(self.skipped, ignored)
        self.absent += [os.path.join(path, self.store_mark.name) for path in ignored]

    def skip(self, path: bytes, reason: str) -> None:
        """List something as not taken."""
        self.skipped.append(SkippedFile(path.decode("utf-8", "surrogateescape"), reason))

    def fail(self, path: bytes, reason: str) -> None:
        """List something as not taken for now: its status does not tell when it can be."""
        self.skip(path, reason)
        self.watched[path] = UNKNOWN

    def _list(self, folder: _Folder) -> tuple[Folder | None, list[_Listed]]:
        """Open the folder and list it; nothing if it is a store or cannot be listed."""
        listed: list[_Listed] = []
        try:
            opened = self.folders.at(folder.path)
            if not folder.path:
                self._watch(b".", os.fstat(opened.descriptor))
            with os.scandir(opened.descriptor) as entries:
                for entry in entries:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    listed.append(_Listed(os.fsencode(entry.name), entry, is_folder))
        except OSError as error:
            if folder.path and self._is_hidden_store(folder.path):
                self._skip_store(folder)
            else:
                self.fail(folder.path, unreadable(error, "directory"))
            return None, []
        has_mark = folder.path and self.store_mark.name in [found.name for found in listed]
        if has_mark and self._is_store(opened, folder.path):
            self._skip_store(folder)
            return None, []
        return opened, sorted(listed, key=_by_name)

    def _skip_store(self, folder: _Folder) -> None:
        self.skip(folder.path, STORE)
        # As long as the mark says so it is one: what else changes in it does not matter.
        self.watched.pop(folder.path, None)
        self._untracked.note(folder.path, is_ignored=True)

    def _is_hidden_store(self, path: bytes) -> bool:
        """Look into a folder that cannot be listed, or need not be."""
        parent, _, name = path.rpartition(b"/")
        try:
            with self.folders.at(parent).open(name, search=True) as folder:
                return self._is_store(folder, path)
        except OSError:
            return False

    def _is_store(self, folder: Folder, path: bytes) -> bool:
        mark = os.path.join(path, self.store_mark.name)
        status = folder.status(self.store_mark.name)
        if status is None:
            self.absent.append(mark)
            return False
        self._watch(mark, status)
        return self.store_mark.is_in(folder)

    def _left_out(self, folder: _Folder, found: _Listed, path: bytes) -> str | None:
        if not self.ignore:
            return None
        by_git = folder.git is not None and folder.git.ignores(
            found.name, is_folder=found.is_folder
        )
        if found.name == _GIT_FOLDER:
            reason = GIT_METADATA
        elif by_git or is_ignored(folder.rules, path, is_folder=found.is_folder):
            reason = IGNORED
        else:
            return None
        if reason is IGNORED:
            self._untracked.note(path, is_ignored=by_git)
        return STORE if found.is_folder and self._is_hidden_store(path) else reason

    def _taken(self, found: _Listed, path: bytes) -> SourceEntry | None:
        self._untracked.note(path, is_ignored=False)
        try:
            status = status_of(found.entry.stat(follow_symlinks=False))
        except OSError as error:
            self.fail(path, unreadable(error, "file"))
            return None
        taken = entry_of(path, status)
        if taken is None:
            kinds = (name for test, name in _SPECIAL if test(status[0]))
            self.skip(path, next(kinds, "special file"))
        elif self.max_bytes is not None and taken.size > self.max_bytes:
            self.skip(path, f"larger than {self.max_bytes} bytes")
            self.watched[path] = status
            return None
        return taken

    def _watch(self, path: bytes, seen: os.stat_result | None) -> None:
        """Note a status; that of a link says nothing of what it leads to."""
        status = UNKNOWN if seen is None or stat.S_ISLNK(seen.st_mode) else status_of(seen)
        self.watched[path] = status

    def _subfolder(self, folder: _Folder, found: _Listed, path: bytes) -> _Folder:
        self._watch(path, _status(found))
        git = folder.git and folder.git.inner(found.name)
        if git is not None and git.is_untracked:
            self._untracked.enter(path)
        elif git is not None:
            self._untracked.note(path, is_ignored=False)
        return _Folder(path, folder.rules, git)

    def _with_rules(self, folder: _Folder, opened: Folder, listed: dict[bytes, _Listed]) -> _Folder:
        """The folder with what its own ignore files, or its own repository, add."""
        if not self.ignore:
            return folder
        rules, git = folder.rules, self._asked(folder, opened, listed)
        for name in (GIT_IGNORE_FILE, OWN_IGNORE_FILE):
            if name in listed:
                self._watch(folder.inner(name), _status(listed[name]))
            if name == GIT_IGNORE_FILE and git is not None:
                git, is_whole = git.with_own(opened, is_listed=name in listed)
                if not is_whole:
                    self.watched[folder.inner(name)] = UNKNOWN
            elif name in listed:
                rules = with_rules(rules, read_rules(opened, folder.path, name))
        return _Folder(folder.path, rules, git)

    def _asked(
        self, folder: _Folder, opened: Folder, listed: dict[bytes, _Listed]
    ) -> GitRules | None:
        """Return git's rules for the folder: of the one around it, unless it has a repository."""
        if folder.path and _GIT_FOLDER not in listed:
            return folder.git
        answer = self.git.look_at(opened) if folder.path else self.git.look_around()
        self.answers[folder.path] = answer.digest if answer else ""
        if answer is None:
            return folder.git
        self._untracked.note(folder.path, is_ignored=False)  # a repository of its own
        self._untracked.note(folder.inner(_GIT_FOLDER), is_ignored=False)
        return answer.rules


def unreadable(error: OSError, what: str) -> str:
    """The reason to list for something that could not be read."""
    return f"unreadable {what}: {(error.strerror or str(error)).lower()}"


def _status(found: _Listed) -> os.stat_result | None:
    try:
        return found.entry.stat(follow_symlinks=False)
    except OSError:
        return None
