"""Find the repositories of a tree, and the one that the tree lies in."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import NamedTuple

from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git.config import UserSettings
from codebatch.snapshot.git.repository import (
    GIT_FOLDER,
    NoRepositoryError,
    Repository,
    is_git_folder,
    repository_of,
)
from codebatch.snapshot.git.work_tree import GitRules, WorkTree


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
        self._user = UserSettings()
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

        The folders around are the user's surroundings. As git does, this stays in one file system
        and leaves alone what another user has there, who could otherwise hide files.
        """
        names: list[bytes] = []
        path = self._tree.path
        try:
            device = os.fstat(self._tree.descriptor).st_dev
            while True:
                top = self._around(path) if names else self._tree
                if os.fstat(top.descriptor).st_dev != device:
                    return _NO_ANSWER
                found = repository_of(top, top)
                if found is not None and (not names or _is_own(top)):
                    return self._answer(found, top, names)
                if found is not None or is_git_folder(top) or path == b"/":
                    return _NO_ANSWER
                path, name = os.path.split(path)
                names.insert(0, name)
        except (NoRepositoryError, OSError, ValueError):
            return _NO_ANSWER

    def _around(self, path: bytes) -> Folder:
        return self._opened.enter_context(Folder.at(path, search=True))

    def _answer(self, repository: Repository, top: Folder, names: list[bytes]) -> Answer:
        """Return what is said of the folder that these names lead to from the top."""
        work_tree = WorkTree(repository, self._user)
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


def _is_own(top: Folder) -> bool:
    """Return True if a work tree and its ``.git`` belong to the user, or the one behind sudo."""
    users = {os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        users.add(int(os.environ["SUDO_UID"]))
    status = top.status(GIT_FOLDER)
    return status is not None and {status.st_uid, os.fstat(top.descriptor).st_uid} <= users
