"""Which files of a work tree git ignores: not those that are tracked, whatever the patterns say.

Patterns count in git's order: the ignore files of the folders, the deepest first, then
``info/exclude``, then the user's own. What an excluded folder holds is ignored, but for what is
tracked. In a sparse checkout an ignore file that is not in the work tree is read from the objects.
"""

from __future__ import annotations

from typing import NamedTuple

from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git.work_tree import WorkTree
from codebatch.snapshot.ignore import (
    GIT_IGNORE_FILE,
    LARGEST_RULES,
    FolderRules,
    is_ignored,
    with_rules,
)


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
        try:
            text = folder.read(GIT_IGNORE_FILE, LARGEST_RULES) if is_listed else None
        except OSError:
            text = None  # a link, a pipe, or not to be read: git then looks into the index
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
        return not (self.work_tree.has_below(path) or self.work_tree.has_submodule(path))

    def inner(self, name: bytes) -> GitRules:
        """Return what is said of a folder in this one."""
        path = self._inner(name)
        return self._replace(
            path=path,
            is_excluded=self._excludes(path, is_folder=True),
            is_foreign=self.is_foreign or self.work_tree.has_submodule(path),
        )

    @property
    def is_untracked(self) -> bool:
        """True if nothing in the folder is tracked."""
        return not self.is_foreign and not self.work_tree.has_below(self.path)

    def _inner(self, name: bytes) -> bytes:
        return self.path + b"/" + name if self.path else name

    def _excludes(self, path: bytes, *, is_folder: bool) -> bool:
        return self.is_excluded or is_ignored(self.patterns, path, is_folder=is_folder)
