"""What is known of a repository and its work tree: tracked files, patterns, unwritten files."""

from __future__ import annotations

import hashlib
from functools import cached_property

from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git.config import is_true
from codebatch.snapshot.git.index import read_index
from codebatch.snapshot.git.objects import Objects, entries_of_tree
from codebatch.snapshot.git.repository import Repository
from codebatch.snapshot.git.user import UserSettings
from codebatch.snapshot.ignore import GIT_IGNORE_FILE, LARGEST_RULES, FolderRules

_TREE = b"40000"


class WorkTree:
    """A repository's index and patterns, read at once; objects are read when they are needed.

    ``fold`` is true if the case of ASCII letters does not count. ``OSError`` or ``ValueError``
    where the index cannot be made out.
    """

    def __init__(self, repository: Repository, user: UserSettings) -> None:
        self._repository = repository
        git_folder = repository.own.absolute
        ignores_case = repository.settings.get(b"core.ignorecase")
        self.fold = user.ignores_case(git_folder) if ignores_case is None else is_true(ignores_case)
        with repository.own.open() as own:
            self._index = read_index(own.read, repository.hash_size, fold=self.fold)
        excludes = repository.excludes(LARGEST_RULES)
        self._excludes = user.excludes(git_folder) if excludes is None else excludes
        with repository.common.open() as common:
            self._info = _text(common, b"info/exclude")

    @cached_property
    def rules(self) -> tuple[FolderRules, ...]:
        """The patterns that hold for all folders; the last count most."""
        found = (FolderRules(b"", text, fold=self.fold) for text in (self._excludes, self._info))
        return tuple(rules for rules in found if rules)

    def has(self, path: bytes) -> bool:
        """Return True if a file is tracked."""
        if self._index.has(path):
            return True
        found = self._in_sparse_folder(path)
        return found is not None and found[0] != _TREE

    def has_below(self, folder: bytes, *, written: bool = False) -> bool:
        """Return True if something in a folder is tracked; with ``written``, if that belongs into
        the work tree.
        """
        if self._index.has_below(folder, written=written):
            return True
        found = None if written else self._in_sparse_folder(folder)
        return found is not None and found[0] == _TREE

    def has_submodule(self, path: bytes) -> bool:
        """Return True if another repository is tracked at a path."""
        return self._index.has_submodule(path)

    def unwritten_ignore_file(self, folder: bytes) -> tuple[bytes | None, bool]:
        """Return the text of a folder's ignore file that is not in the work tree on purpose, None
        if there is none; and False if there is one that cannot be had.
        """
        path = folder + b"/" + GIT_IGNORE_FILE if folder else GIT_IGNORE_FILE
        name = self._index.ignore_files.get(path)
        if name is None and (found := self._in_sparse_folder(path)) is not None:
            name = found[1]
        if name is None:
            return None, True
        blob = self._read_object(name)
        return (blob, True) if blob is not None else (None, False)

    def digest(self, *more: bytes) -> str:
        """Return what tells this from another state, and from another one of ``more``."""
        index = self._index
        special = sorted({**index.ignore_files, **index.sparse}.items())
        parts = (
            b"\0".join(index.paths),
            bytes(index.flags),
            *(path + b"\0" + name for path, name in special),
            *(b"%d" % self.fold, self._excludes, self._info, *more),
        )
        found = hashlib.sha256()
        for part in parts:
            found.update(b"%d " % len(part))
            found.update(part)
        return found.hexdigest()

    def _in_sparse_folder(self, path: bytes) -> tuple[bytes, bytes] | None:
        """Return mode and object of a path that the index only has a folder above of."""
        sparse = self._index.sparse
        if not sparse:
            return None
        names = path.split(b"/")
        for depth in range(1, len(names)):
            name = sparse.get(b"/".join(names[:depth]))
            if name is not None:
                return self._below(name, names[depth:])
        return None

    def _below(self, tree: bytes, names: list[bytes]) -> tuple[bytes, bytes] | None:
        found = (_TREE, tree)
        for name in names:
            if found[0] != _TREE:
                return None
            entries = self._entries(found[1])
            if name not in entries:
                return None
            found = entries[name]
        return found

    def _entries(self, tree: bytes) -> dict[bytes, tuple[bytes, bytes]]:
        if tree not in self._trees:
            data = self._read_object(tree, kind=b"tree")
            hash_size = self._repository.hash_size
            self._trees[tree] = entries_of_tree(data, hash_size) if data else {}
        return self._trees[tree]

    @cached_property
    def _trees(self) -> dict[bytes, dict[bytes, tuple[bytes, bytes]]]:
        return {}

    def _read_object(self, name: bytes, kind: bytes = b"blob") -> bytes | None:
        try:
            with self._repository.common.open() as common, common.open(b"objects") as folder:
                found = Objects(folder, self._repository.hash_size).read(name)
        except OSError:
            return None  # as one that was not fetched
        return found.data if found is not None and found.type == kind else None


def _text(folder: Folder, path: bytes) -> bytes:
    """Return the text of an ignore file; none of one that is a link, a pipe or not to be read."""
    try:
        return folder.read(path, LARGEST_RULES) or b""
    except OSError:
        return b""
