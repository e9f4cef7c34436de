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
from operator import attrgetter
from typing import NamedTuple

from codebatch.model.records import SkippedFile
from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.file_status import UNKNOWN, Status, status_of
from codebatch.snapshot.git import GIT_FOLDER, GitRules
from codebatch.snapshot.ignore import (
    GIT_IGNORE_FILE,
    OWN_IGNORE_FILE,
    FolderRules,
    is_ignored,
    read_rules,
    with_rules,
)
from codebatch.snapshot.left_out import FoldersLeftOut, summed_up
from codebatch.snapshot.selection import EVERYTHING, ROOT, Selection
from codebatch.snapshot.tree import OpenTree, SourceEntry, entry_of
from codebatch.store import STORE_DOCUMENT, is_store_document

IGNORED = "ignored"
EXCLUDED = "excluded"
NOT_INCLUDED = "not included"
GIT_METADATA = "git metadata"
STORE = "codebatch store"
TOO_LARGE = "larger than"

# A folder with a file of this name and with the content of one is a store.
_STORE_MARK = os.fsencode(STORE_DOCUMENT)
_LARGEST_MARK = 2**20
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

    def status(self) -> os.stat_result | None:
        """Return its own status; None where it is gone."""
        try:
            return self.entry.stat(follow_symlinks=False)
        except OSError:
            return None


class _Folder(NamedTuple):
    """A folder still to be listed, with the ignore rules that hold in it; where there is a
    repository, ``git`` says what its ignore files mean. Of one that is not ``is_taken``, only what
    is named below it is; all of one that ``is_included`` matches the patterns.
    """

    path: bytes
    rules: tuple[FolderRules, ...] = ()
    git: GitRules | None = None
    is_taken: bool = True
    is_included: bool = True

    def inner(self, name: bytes) -> bytes:
        """Return the path of something in the folder."""
        return self.path + b"/" + name if self.path else name


class TreeWalk:
    """One walk: iterate `entries`; the lists grow meanwhile and are complete at the end.

    A store is never source code, nor is a file of more than ``max_bytes`` (None: of any size);
    with ``ignore`` false everything else of the ``selection`` is taken.
    State: ``skipped`` is what was not taken. ``watched`` holds, of each folder that was listed
    and each file that was asked, its status before that, ``absent`` the files that were not there
    to be asked, ``answers`` the digests of what git's files said, by folder.
    """

    def __init__(
        self,
        tree: OpenTree,
        *,
        ignore: bool = True,
        max_bytes: int | None = None,
        selection: Selection = EVERYTHING,
    ) -> None:
        self.tree = tree
        self.skipped: list[SkippedFile] = []
        self.watched: dict[bytes, Status] = {}
        self.absent: list[bytes] = []
        self.answers: dict[bytes, str] = {}
        self._ignore = ignore
        self._max_bytes = max_bytes
        self._selection = selection
        self._is_part = selection != EVERYTHING
        self._untracked = FoldersLeftOut()
        self._unmatched = FoldersLeftOut()

    def entries(self) -> Iterator[SourceEntry]:
        """Yield files and links, folder by folder."""
        chosen = self._selection
        root = _Folder(ROOT, is_taken=chosen.is_named(ROOT), is_included=not chosen.include)
        pending = [root]
        while pending:
            folder, listed = self._opened(pending.pop())
            subfolders = []
            for found in listed:
                path = folder.inner(found.name)
                if not (folder.is_taken or chosen.leads_to_named(path)):
                    continue
                if (reason := self._left_out(folder, found, path)) is not None:
                    self.skip(path, reason)
                elif found.is_folder:
                    subfolders.append(self._subfolder(folder, found, path))
                elif (taken := self._taken(found, path)) is not None:
                    yield taken
            pending.extend(reversed(subfolders))
        ignored = self._untracked.whole()
        self.skipped = summed_up(self.skipped, ignored, IGNORED)
        self.skipped = summed_up(self.skipped, self._unmatched.whole(), NOT_INCLUDED)
        self.absent += [os.path.join(path, _STORE_MARK) for path in ignored]

    def skip(self, path: bytes, reason: str) -> None:
        """List something as not taken."""
        if self._selection.include:
            self._unmatched.note(path, is_left_out=reason is NOT_INCLUDED)
        self.skipped.append(SkippedFile(path.decode("utf-8", "surrogateescape"), reason))

    def fail(self, path: bytes, reason: str) -> None:
        """List something as not taken for now: its status does not tell when it can be."""
        self.skip(path, reason)
        self.watched[path] = UNKNOWN

    def _opened(self, folder: _Folder) -> tuple[_Folder, list[_Listed]]:
        """Open the folder, list it, and add its own rules; nothing is listed of a store or of one
        that cannot be opened.
        """
        listed: list[_Listed] = []
        try:
            opened = self.tree.folders.at(folder.path)
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
            return folder, []
        by_name = {found.name: found for found in listed}
        if folder.path and _STORE_MARK in by_name and self._is_store(opened, folder.path):
            self._skip_store(folder)
            return folder, []
        if self._ignore:
            folder = self._with_rules(folder, opened, by_name)
        return folder, sorted(listed, key=_by_name)

    def _skip_store(self, folder: _Folder) -> None:
        self.skip(folder.path, STORE)
        # As long as the mark says so it is one: what else changes in it does not matter.
        self.watched.pop(folder.path, None)
        self._untracked.note(folder.path, is_left_out=True)

    def _is_hidden_store(self, path: bytes) -> bool:
        """Look into a folder that cannot be listed, or need not be."""
        parent, _, name = path.rpartition(b"/")
        try:
            with self.tree.folders.at(parent).open(name, search=True) as folder:
                return self._is_store(folder, path)
        except OSError:
            return False

    def _is_store(self, folder: Folder, path: bytes) -> bool:
        mark = os.path.join(path, _STORE_MARK)
        status = folder.status(_STORE_MARK)
        if status is None:
            self.absent.append(mark)
            return False
        self._watch(mark, status)
        try:
            data = folder.read(_STORE_MARK, _LARGEST_MARK)
        except OSError:
            return False
        return data is not None and is_store_document(data)

    def _left_out(self, folder: _Folder, found: _Listed, path: bytes) -> str | None:
        is_folder = found.is_folder
        reason = None
        by_git = False
        if self._ignore and found.name == GIT_FOLDER:
            reason = GIT_METADATA
        elif self._ignore and not (self._is_part and self._selection.leads_to_named(path)):
            by_git = folder.git is not None and folder.git.ignores(found.name, is_folder=is_folder)
            if by_git or is_ignored(folder.rules, path, is_folder=is_folder):
                reason = IGNORED
        if self._is_part and reason is not GIT_METADATA:
            by_patterns = self._deselected(folder, path, is_folder=is_folder)
            reason = by_patterns if by_patterns is EXCLUDED else reason or by_patterns
        if reason not in (None, GIT_METADATA):
            self._untracked.note(path, is_left_out=reason is IGNORED and by_git)
        return STORE if reason and is_folder and self._is_hidden_store(path) else reason

    def _deselected(self, folder: _Folder, path: bytes, *, is_folder: bool) -> str | None:
        """Return why patterns leave something out."""
        if self._selection.excludes(path, is_folder=is_folder):
            return EXCLUDED
        if is_folder or folder.is_included or self._selection.includes(path, is_folder=False):
            return None
        return NOT_INCLUDED

    def _taken(self, found: _Listed, path: bytes) -> SourceEntry | None:
        self._untracked.note(path, is_left_out=False)
        if self._selection.include:
            self._unmatched.note(path, is_left_out=False)
        try:
            status = status_of(found.entry.stat(follow_symlinks=False))
        except OSError as error:
            self.fail(path, unreadable(error, "file"))
            return None
        taken = entry_of(path, status)
        if taken is None:
            kinds = (name for test, name in _SPECIAL if test(status[0]))
            self.skip(path, next(kinds, "special file"))
        elif self._max_bytes is not None and taken.size > self._max_bytes:
            self.skip(path, f"{TOO_LARGE} {self._max_bytes} bytes")
            self.watched[path] = status
            return None
        return taken

    def _watch(self, path: bytes, seen: os.stat_result | None) -> None:
        """Note a status; that of a link says nothing of what it leads to."""
        status = UNKNOWN if seen is None or stat.S_ISLNK(seen.st_mode) else status_of(seen)
        self.watched[path] = status

    def _subfolder(self, folder: _Folder, found: _Listed, path: bytes) -> _Folder:
        self._watch(path, found.status())
        git = folder.git and folder.git.inner(found.name)
        inner = self._inner(path, folder)
        if inner.is_taken:
            self._unmatched.entered.append(path)
        if git is not None and self._selection.leads_to_named(path):
            git = git._replace(is_excluded=False)
        if inner.is_taken and git is not None and git.is_untracked:
            self._untracked.entered.append(path)
        elif git is not None:
            self._untracked.note(path, is_left_out=False)
        return inner._replace(git=git)

    def _inner(self, path: bytes, folder: _Folder) -> _Folder:
        """Return a folder with the rules of the one around, and whether all of it is taken."""
        chosen = self._selection
        return _Folder(
            path,
            folder.rules,
            is_taken=folder.is_taken or chosen.is_named(path),
            is_included=folder.is_included or chosen.includes(path, is_folder=True),
        )

    def _with_rules(self, folder: _Folder, opened: Folder, listed: dict[bytes, _Listed]) -> _Folder:
        """Return the folder with what its own ignore files, or its own repository, add."""
        rules, git = folder.rules, self._asked(folder, listed)
        for name in (GIT_IGNORE_FILE, OWN_IGNORE_FILE):
            if name in listed:
                self._watch(folder.inner(name), listed[name].status())
            if name == GIT_IGNORE_FILE and git is not None:
                git, is_whole = git.with_own(opened, is_listed=name in listed)
                if not is_whole:
                    self.watched[folder.inner(name)] = UNKNOWN
            elif name in listed:
                rules = with_rules(rules, read_rules(opened, folder.path, name))
        return folder._replace(rules=rules, git=git)

    def _asked(self, folder: _Folder, listed: dict[bytes, _Listed]) -> GitRules | None:
        """Return git's rules for the folder: of the one around it, unless it has a repository."""
        if folder.path and GIT_FOLDER not in listed:
            return folder.git
        answer = self.tree.said_by_git(folder.path)
        self.answers[folder.path] = answer.digest if answer else ""
        if answer is None:
            return folder.git
        self._untracked.note(folder.path, is_left_out=False)  # a repository of its own
        self._untracked.note(folder.inner(GIT_FOLDER), is_left_out=False)
        return answer.rules


def unreadable(error: OSError, what: str) -> str:
    """Return the reason to list for something that could not be read."""
    return f"unreadable {what}: {(error.strerror or str(error)).lower()}"
