"""Patterns of a configuration file, said of another folder.

A pattern is a line of a ``.gitignore`` beside the file. A tree whose root is another folder, above
it or below, needs other patterns for the same files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from codebatch.model.globs import GlobTable

_ANY_DEPTH = "**"


def rebased(patterns: Iterable[str], folder: str, root: str) -> list[str] | None:
    """Return patterns of ``folder`` as they are for a tree at ``root``; None where neither folder
    is in the other. Both are real paths.

    One that does not reach into the tree has no counterpart; one that has all of it becomes ``*``.
    """
    within = os.path.commonpath([folder, root])
    if within not in (folder, root):
        return None
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
    found = {tuple(left) for left in _rest(parts, way)}
    return [f"{sign}/{'/'.join(left)}{end}" if left else f"{sign}*" for left in sorted(found)]


def _rest(parts: list[str], way: Sequence[str]) -> Iterable[list[str]]:
    """Yield what is left of a pattern behind the folders on the way."""
    if not way or not parts:
        yield parts
    elif parts[0] == _ANY_DEPTH:
        yield from _rest(parts, way[1:])
        yield from _rest(parts[1:], way)
    elif _matches(parts[0], way[0]):
        yield from _rest(parts[1:], way[1:])


def _matches(part: str, name: str) -> bool:
    table = GlobTable(is_path=False, fold=False)
    table.add(os.fsencode(part), 1)
    return table.best(os.fsencode(name)) == 1


def _escaped(name: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\*?[" else sign for sign in name)
