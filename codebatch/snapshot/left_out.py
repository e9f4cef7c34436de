"""Folders of which a walk takes nothing, for one reason: they are listed once, as a whole."""

from __future__ import annotations

from codebatch.model.records import SkippedFile, path_key


class FoldersLeftOut:
    """The folders that a walk enters, but of which it perhaps takes nothing.

    Of one without tracked files in which git would find ignored files and no others, git says that
    it is ignored as a whole, and so does a walk; the same of one in which no file is included.
    State: ``entered`` are their paths, the outer ones first, ``_left_out`` and ``_kept`` the
    folders in which something is left out for that reason, or is not.
    """

    def __init__(self) -> None:
        self.entered: list[bytes] = []
        self._left_out: set[bytes] = set()
        self._kept: set[bytes] = set()

    def note(self, path: bytes, *, is_left_out: bool) -> None:
        """Note whether something is left out."""
        (self._left_out if is_left_out else self._kept).add(path.rpartition(b"/")[0])

    def whole(self) -> set[bytes]:
        """Return the folders of which all is left out, when everything has been noted."""
        found = set()
        for path in reversed(self.entered):
            is_left_out = path in self._left_out and path not in self._kept
            if is_left_out:
                found.add(path)
            self.note(path, is_left_out=is_left_out)
        return found


def summed_up(skipped: list[SkippedFile], folders: set[bytes], reason: str) -> list[SkippedFile]:
    """Return what was skipped, with these folders in place of what is in them."""
    if not folders:
        return skipped
    outermost = {path for path in folders if not _is_below(path, folders)}
    kept = [file for file in skipped if not _is_below(path_key(file.path), outermost)]
    return kept + [
        SkippedFile(path.decode("utf-8", "surrogateescape"), reason) for path in sorted(outermost)
    ]


def _is_below(path: bytes, folders: set[bytes]) -> bool:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        if path in folders:
            return True
    return False
