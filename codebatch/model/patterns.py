"""Patterns as in a ``.gitignore``: which paths they match, and what they are for another folder.

A tree whose root is another folder than that which patterns are relative to, above it or below,
needs other patterns for the same files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from codebatch.model.globs import GlobTable

_ANY_DEPTH = "**"


class PathPattern:
    """A pattern without a sign, for paths of files from the root. State: ``_known``, by folder."""

    def __init__(self, pattern: str) -> None:
        _, parts, end = _split(pattern)
        is_name = len(parts) == 2 and parts[0] == _ANY_DEPTH
        self._is_name, self._folders_only = is_name, bool(end)
        self._table = GlobTable(is_path=not is_name, fold=False)
        self._table.add(_encoded(parts[-1] if is_name else "/".join(parts)), 1)
        self._known: dict[str, bool] = {"": False}

    def matches(self, path: str) -> bool:
        """Return whether the path is that of a file that matches, or is in a folder that does."""
        folder = path.rpartition("/")[0]
        return self._has(folder) or (not self._folders_only and self._fits(path))

    def _has(self, folder: str) -> bool:
        if folder not in self._known:
            above = folder.rpartition("/")[0]
            self._known[folder] = self._has(above) or self._fits(folder)
        return self._known[folder]

    def _fits(self, path: str) -> bool:
        text = path.rpartition("/")[2] if self._is_name else path
        return self._table.best(_encoded(text)) == 1


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def rebased(patterns: Iterable[str], folder: str, root: str) -> list[str]:
    """Return patterns of ``folder`` as they are for a tree at ``root``, both real paths; as they
    stand where neither folder is in the other: the tree is another copy, or has no folder.

    One that does not reach into the tree has no counterpart; one that has all of it becomes ``*``.
    """
    within = os.path.commonpath([folder, root])
    if within not in (folder, root):
        return list(patterns)
    way = [part for part in os.path.relpath(folder, root).split(os.sep) if part != os.curdir]
    if root == within:
        return [_lengthened(pattern, way) for pattern in patterns]
    way = os.path.relpath(root, folder).split(os.sep)
    return [one for pattern in patterns for one in _shortened(pattern, way)]


def _split(pattern: str) -> tuple[str, list[str], str]:
    """Return a sign, the parts of a pattern (of a mere name one), and what it ends with."""
    sign, pattern = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
    end = "/" if pattern.endswith("/") else ""
    pattern = pattern.removesuffix("/")
    if "/" not in pattern:
        return sign, [_ANY_DEPTH, pattern], end
    return sign, pattern.removeprefix("/").split("/"), end


def _lengthened(pattern: str, way: Sequence[str]) -> str:
    if not way:
        return pattern
    sign, parts, end = _split(pattern)
    return f"{sign}/{'/'.join([*map(_escaped, way), *parts])}{end}"


def _shortened(pattern: str, way: Sequence[str]) -> list[str]:
    sign, parts, end = _split(pattern)
    left = (parts[start:] for start in sorted(_starts(parts, way)))
    return [f"{sign}/{'/'.join(rest)}{end}" if rest else f"{sign}*" for rest in left]


def _starts(parts: Sequence[str], way: Sequence[str]) -> set[int]:
    """Return where what is left of a pattern may start behind the folders on the way; the length of
    the pattern is that it has matched one of them.
    """
    starts = {0}
    for name in way:
        reached: set[int] = set()
        for start in sorted(starts):
            here = start
            while here < len(parts) and parts[here] == _ANY_DEPTH:  # which may stand for nothing
                reached.add(here)
                here += 1
            if here == len(parts):
                reached.add(here)
            elif _matches(parts[here], name):
                reached.add(here + 1)
        starts = reached
    return starts


def _matches(part: str, name: str) -> bool:
    table = GlobTable(is_path=False, fold=False)
    table.add(_encoded(part), 1)
    return table.best(_encoded(name)) == 1


def _escaped(name: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\*?[" else sign for sign in name)
