"""Folders of a git work tree of which all is ignored, though they are not themselves.

Of a folder without tracked files in which git would find ignored files and no others, git says
that it is ignored as a whole, and so does a walk.
"""

from __future__ import annotations

from collections.abc import Sequence

from codebatch.model.records import SkippedFile, path_key
from codebatch.snapshot.tree_entry import IGNORED


class UntrackedFolders:
    """The untracked folders that a walk enters, the outer ones first.

    State: ``_entered`` are their paths, ``_ignored`` and ``_kept`` the folders in which something
    is ignored by git, or not.
    """

    def __init__(self) -> None:
        self._entered: list[bytes] = []
        self._ignored: set[bytes] = set()
        self._kept: set[bytes] = set()

    def enter(self, path: bytes) -> None:
        """Note a folder without tracked files that is not ignored."""
        self._entered.append(path)

    def note(self, path: bytes, *, is_ignored: bool) -> None:
        """Note whether git ignores something."""
        (self._ignored if is_ignored else self._kept).add(path.rpartition(b"/")[0])

    def ignored(self) -> set[bytes]:
        """Return the folders of which all is ignored, when everything has been noted."""
        found = set()
        for path in reversed(self._entered):
            is_ignored = path in self._ignored and path not in self._kept
            if is_ignored:
                found.add(path)
            self.note(path, is_ignored=is_ignored)
        return found


def summed_up(skipped: Sequence[SkippedFile], folders: set[bytes]) -> list[SkippedFile]:
    """Return what was skipped, with these folders in place of what is in them."""
    if not folders:
        return list(skipped)
    outermost = {path for path in folders if not _is_below(path, folders)}
    kept = [file for file in skipped if not _is_below(path_key(file.path), outermost)]
    kept += [
        SkippedFile(path.decode("utf-8", "surrogateescape"), IGNORED) for path in sorted(outermost)
    ]
    return kept


def _is_below(path: bytes, folders: set[bytes]) -> bool:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        if path in folders:
            return True
    return False
