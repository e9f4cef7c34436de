"""Tell what git ignores in a work tree: not files that are tracked, whatever the patterns say.

Patterns count in git's order: the ignore files of the folders, the deepest first, then
``info/exclude``, then the user's own. What an excluded folder holds is ignored, but for what is
tracked. In a sparse checkout an ignore file that is not in the work tree is read from the objects.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from typing import NamedTuple

from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git.config import UserSettings, is_true
from codebatch.snapshot.git.index import read_index
from codebatch.snapshot.git.objects import entries_of_tree
from codebatch.snapshot.git.repository import (
    NoRepositoryError,
    Repository,
    folders_around,
    is_git_folder,
    is_own,
    open_objects,
    repository_of,
)
from codebatch.snapshot.ignore import (
    GIT_IGNORE_FILE,
    LARGEST_RULES,
    FolderRules,
    is_ignored,
    with_rules,
)

_TREE = b"40000"


class WorkTree:
    """A repository's index and patterns, read at once; objects are read when they are needed.

    ``fold`` is true if the case of ASCII letters does not count; ``rules`` are the patterns that
    hold for all folders, of which the last count most. ``OSError`` or ``ValueError`` where the
    index cannot be made out. State: ``_trees`` are the entries of tree objects that were read.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._trees: dict[bytes, dict[bytes, tuple[bytes, bytes]]] = {}
        user = UserSettings(repository.own.absolute)
        ignores_case = repository.settings.get(b"core.ignorecase")
        self.fold = user.ignores_case() if ignores_case is None else is_true(ignores_case)
        with repository.own.open() as own:
            self.index = read_index(own.read, repository.hash_size, fold=self.fold)
        excludes = repository.excludes(LARGEST_RULES)
        with repository.common.open() as common:
            self._texts = (
                user.excludes() if excludes is None else excludes,
                _text(common, b"info/exclude") or b"",
            )
        found = (FolderRules(b"", text, fold=self.fold) for text in self._texts)
        self.rules = tuple(rules for rules in found if rules)

    def has(self, path: bytes) -> bool:
        """Return True if a file is tracked."""
        return self.index.has(path) or self._kind_in_sparse(path) not in (None, _TREE)

    def has_below(self, folder: bytes) -> bool:
        """Return True if something in a folder is tracked."""
        return self.index.has_below(folder) or self._kind_in_sparse(folder) == _TREE

    def unwritten_ignore_file(self, folder: bytes) -> tuple[bytes | None, bool]:
        """Return the text of a folder's ignore file that is not in the work tree on purpose, None
        if there is none; and False if there is one that cannot be had.
        """
        path = folder + b"/" + GIT_IGNORE_FILE if folder else GIT_IGNORE_FILE
        name = self.index.ignore_files.get(path)
        if name is None and (found := self._in_sparse_folder(path)) is not None:
            name = found[1]
        blob = None if name is None else self._read_object(name, b"blob")
        return blob, name is None or blob is not None

    def digest(self, *more: bytes) -> str:
        """Return what tells this from another state, and from another one of ``more``."""
        index = self.index
        special = sorted({**index.ignore_files, **index.sparse}.items())
        parts = (
            b"\0".join(index.paths),
            index.flags,
            *(path + b"\0" + name for path, name in special),
            *(b"%d" % self.fold, *self._texts, *more),
        )
        found = hashlib.sha256()
        for part in parts:
            found.update(b"%d " % len(part))
            found.update(part)
        return found.hexdigest()

    def _kind_in_sparse(self, path: bytes) -> bytes | None:
        found = self._in_sparse_folder(path)
        return found and found[0]

    def _in_sparse_folder(self, path: bytes) -> tuple[bytes, bytes] | None:
        """Return mode and object of a path that the index only has a folder above of."""
        names = path.split(b"/") if self.index.sparse else []
        for depth in range(1, len(names)):
            name = self.index.sparse.get(b"/".join(names[:depth]))
            if name is not None:
                found: tuple[bytes, bytes] | None = (_TREE, name)
                for inner in names[depth:]:
                    found = self._entries(*found).get(inner) if found else None
                return found
        return None

    def _entries(self, mode: bytes, tree: bytes) -> dict[bytes, tuple[bytes, bytes]]:
        if mode != _TREE:
            return {}
        if tree not in self._trees:
            data = self._read_object(tree, b"tree") or b""
            self._trees[tree] = entries_of_tree(data, self._repository.hash_size)
        return self._trees[tree]

    def _read_object(self, name: bytes, kind: bytes) -> bytes | None:
        try:
            with (
                self._repository.common.open() as common,
                open_objects(self._repository, common) as objects,
            ):
                found = objects.read(name)
        except OSError:
            return None  # as one that was not fetched
        return found.data if found is not None and found.type == kind else None


class GitRules(NamedTuple):
    """What a repository says of a folder in its work tree, ``path`` relative to its top.

    ``patterns`` are those that count. Of a folder that ``is_excluded`` only what is tracked is
    taken; one that ``is_foreign`` belongs to another repository, and nothing is said of it.
    """

    work_tree: WorkTree
    path: bytes
    patterns: tuple[FolderRules, ...]
    is_excluded: bool = False
    is_foreign: bool = False

    def with_own(self, folder: Folder, *, is_listed: bool = True) -> tuple[GitRules, bool]:
        """Return the rules with those of the folder's own ignore file, if ``is_listed``, and False
        where that file should be among the objects and is not.
        """
        if self.is_foreign:
            return self, True
        # Of a link, a pipe, or a file that is not to be read, git looks into the index.
        text = _text(folder, GIT_IGNORE_FILE) if is_listed else None
        is_whole = True
        if text is None:
            text, is_whole = self.work_tree.unwritten_ignore_file(self.path)
        own = FolderRules(self.path, text, fold=self.work_tree.fold) if text else None
        return self._replace(patterns=with_rules(self.patterns, own)), is_whole

    def ignores(self, name: bytes, *, is_folder: bool) -> bool:
        """Return True if something in the folder is ignored; of a folder, all that is in it."""
        path = self._inner(name)
        if self.is_foreign or not self._excludes(path, is_folder=is_folder):
            return False
        if not is_folder:
            return not self.work_tree.has(path)
        return not (self.work_tree.has_below(path) or self.work_tree.index.has_submodule(path))

    def inner(self, name: bytes) -> GitRules:
        """Return what is said of a folder in this one."""
        path = self._inner(name)
        return self._replace(
            path=path,
            is_excluded=self._excludes(path, is_folder=True),
            is_foreign=self.is_foreign or self.work_tree.index.has_submodule(path),
        )

    @property
    def is_untracked(self) -> bool:
        """True if nothing in the folder is tracked."""
        return not self.is_foreign and not self.work_tree.has_below(self.path)

    def _inner(self, name: bytes) -> bytes:
        return self.path + b"/" + name if self.path else name

    def _excludes(self, path: bytes, *, is_folder: bool) -> bool:
        return self.is_excluded or is_ignored(self.patterns, path, is_folder=is_folder)


class Answer(NamedTuple):
    """What git says of a folder that has, or lies in, a repository.

    Without ``rules`` the ignore files alone decide: git would refuse the repository, or ignores
    the folder itself. ``digest`` tells one answer from another.
    """

    rules: GitRules | None
    digest: str


_NO_ANSWER = Answer(None, "")


class GitReader:
    """Reads what git says of the folders of ``tree``, to be used in a ``with`` block."""

    def __init__(self, tree: Folder) -> None:
        self._tree = tree
        self._opened = ExitStack()

    def __enter__(self) -> GitReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def look_at(self, folder: Folder) -> Answer | None:
        """Return the answer for a folder of the tree that has a ``.git``; None where that is not
        a repository's.
        """
        try:
            found = repository_of(folder, self._tree)
            return found and self._answer(found, folder, [])
        except (NoRepositoryError, OSError, ValueError):
            return _NO_ANSWER

    def look_around(self) -> Answer:
        """Return the answer for the root of the tree, which may lie in the work tree of a
        repository.

        As git does, this stays in one file system and leaves alone what another user has in the
        folders around, who could otherwise hide files.
        """
        tree = self._tree
        try:
            for top in folders_around(tree, self._opened):
                found = repository_of(top, top)
                if found is not None and (top is tree or is_own(top)):
                    below = os.path.relpath(tree.path, top.path)
                    return self._answer(found, top, [] if top is tree else below.split(b"/"))
                if found is not None or is_git_folder(top):
                    return _NO_ANSWER
        except (NoRepositoryError, OSError, ValueError):
            return _NO_ANSWER
        return _NO_ANSWER

    def _answer(self, repository: Repository, top: Folder, names: list[bytes]) -> Answer:
        """Return what is said of the folder that these names lead to from the top."""
        work_tree = WorkTree(repository)
        rules = GitRules(work_tree, b"", work_tree.rules)
        with ExitStack() as opened:
            folder = top
            for name in names:
                rules, _ = rules.with_own(folder)
                rules = rules.inner(name)
                folder = opened.enter_context(folder.open(name, search=True))
        texts = [rule.text for rule in rules.patterns]
        ignored = rules.is_excluded and not work_tree.index.has_below(rules.path, written=True)
        digest = work_tree.digest(rules.path, b"%d" % ignored, *texts)
        return Answer(None if ignored else rules, digest)


def _text(folder: Folder, path: bytes) -> bytes | None:
    """Return the text of an ignore file; None of one that is a link, a pipe or not to be read."""
    try:
        return folder.read(path, LARGEST_RULES)
    except OSError:
        return None
