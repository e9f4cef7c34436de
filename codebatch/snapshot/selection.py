"""What of a tree is to be taken: folders and files that are named, and patterns.

Patterns are those of ignore files, relative to the root. What is named is taken even if an ignore
file says otherwise, but not what is excluded, or not included, beside it, nor what is in a
``.git``, which may hold credentials: only as the tree itself, or from inside, it is taken.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from codebatch.model.digest import canonical_json
from codebatch.model.errors import SourceNotFoundError, UsageError
from codebatch.snapshot.git import GIT_FOLDER
from codebatch.snapshot.ignore import FolderRules
from codebatch.snapshot.tree import OpenTree, open_tree

ROOT = b""

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Selection:
    """Paths of a tree to take, `ROOT` for all of it, and the patterns for what is in these."""

    parts: tuple[bytes, ...] = (ROOT,)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def key(self) -> bytes:
        """What tells this from another selection; nothing where it is all of the tree."""
        if self == EVERYTHING:
            return b""
        parts = [os.fsdecode(part) for part in self.parts]
        return b"\0" + canonical_json([parts, list(self.include), list(self.exclude)])

    def leads_to_named(self, path: bytes) -> bool:
        """Return True if a path is named, or a folder on the way to what is."""
        return path in self._ways or self.is_named(path)

    def is_named(self, path: bytes) -> bool:
        """Return True if the path itself is named."""
        return path in self._named

    def excludes(self, path: bytes, *, is_folder: bool) -> bool:
        """Return True if a path is not to be taken, with all that is in it."""
        return bool(self.exclude) and self._excluded.decide(path, is_folder=is_folder) is True

    def includes(self, path: bytes, *, is_folder: bool) -> bool:
        """Return True if a path is to be taken; of a folder, all that is in it."""
        return not self.include or self._included.decide(path, is_folder=is_folder) is True

    def takes(self, path: bytes) -> bool:
        """Return True if a file is to be taken, wherever it is."""
        names = path.split(b"/")[:-1]
        folders = [b"/".join(names[:end]) for end in range(1, len(names) + 1)]
        if not any(map(self.is_named, (ROOT, *folders, path))):
            return False
        if self.excludes(path, is_folder=False):
            return False
        if any(self.excludes(one, is_folder=True) for one in folders):
            return False
        is_included = self.includes(path, is_folder=False)
        return is_included or any(self.includes(one, is_folder=True) for one in folders)

    @cached_property
    def _named(self) -> frozenset[bytes]:
        return frozenset(self.parts)

    @cached_property
    def _ways(self) -> frozenset[bytes]:
        names = (part.split(b"/") for part in self.parts)
        return frozenset(b"/".join(way[:end]) for way in names for end in range(1, len(way)))

    @cached_property
    def _excluded(self) -> FolderRules:
        return _rules(self.exclude)

    @cached_property
    def _included(self) -> FolderRules:
        return _rules(self.include)


EVERYTHING = Selection()


def select(
    paths: PathLike | Iterable[PathLike],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    *,
    ignore: bool = True,
    is_there: bool = True,
) -> tuple[Path, Selection]:
    """Return the root of the tree that is meant, and what of it. One directory need not be there
    without ``is_there``, as it is in a tree of git that it is looked for.

    One directory is the tree. Otherwise the root is the current folder where all paths are in
    it, else the folder nearest to them that holds all, outside of any ``.git``.
    `SourceNotFoundError` names a path that is not there, `UsageError` says that with ``ignore``
    nothing is left of paths in a ``.git``.
    """
    given = listed(paths)
    if not given or not all(map(os.fspath, given)):
        hints = ["is a variable not set?"]
        raise SourceNotFoundError("an empty name names no directory", hints=hints)
    _check_patterns((*include, *exclude))
    names = {os.path.abspath(os.fsencode(path)): path for path in given}
    if is_there and len(names) == 1 and not os.path.lexists(given[0]):
        raise SourceNotFoundError(f"there is no file or directory {os.fspath(given[0])}")
    if len(names) == 1 and not os.path.isfile(given[0]):
        if is_there or os.path.lexists(given[0]) or b"\0" in os.fsencode(given[0]):
            check_directory(Path(given[0]))
        return Path(given[0]), Selection((ROOT,), tuple(include), tuple(exclude))
    root = _root(list(names))
    parts = {_below(path, root): os.fsdecode(names[path]) for path in sorted(names)}
    with open_tree(Path(os.fsdecode(root))) as tree:
        for part, name in parts.items():
            _check_part(tree, part, name)
    if ignore and all(GIT_FOLDER in part.split(b"/") for part in parts):
        hints = ["to take it all the same: --no-ignore, in Python ignore=False"]
        raise UsageError(f"{min(parts.values())} is git metadata, which is left out", hints=hints)
    return Path(os.fsdecode(root)), Selection(tuple(parts), tuple(include), tuple(exclude))


def listed(paths: PathLike | Iterable[PathLike]) -> list[PathLike]:
    """Return one or several paths as a list."""
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def check_directory(root: Path) -> None:
    """Raise `SourceNotFoundError` unless the directory can be listed."""
    hints = ["name the folder that holds the source tree"]
    if not root.exists():
        raise SourceNotFoundError(f"there is no directory {root}", hints=hints)
    if not root.is_dir():
        raise SourceNotFoundError(f"{root} is not a directory", hints=hints)
    try:
        os.scandir(root).close()
    except OSError as error:
        raise SourceNotFoundError(f"cannot list {root}: {error.strerror}") from error


def _root(paths: Sequence[bytes]) -> bytes:
    """Return the current folder, or the nearest one in which all paths are."""
    here = os.getcwdb()
    if all(path == here or path.startswith(os.path.join(here, b"")) for path in paths):
        return here
    folders = (path if _is_folder(path) else os.path.dirname(path) for path in paths)
    nearest = os.path.commonpath(list(folders))
    outside, inside, _ = os.path.join(nearest, b"").partition(b"/" + GIT_FOLDER + b"/")
    return (outside or b"/") if inside else nearest


def _is_folder(path: bytes) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _below(path: bytes, root: bytes) -> bytes:
    return path.removeprefix(root).lstrip(b"/")


def _check_part(tree: OpenTree, part: bytes, name: str) -> None:
    """Raise unless a folder can be listed, or a file or a link is there: not over another link,
    which could lead anywhere.
    """
    if b"\0" in part:
        raise SourceNotFoundError("a name with a NUL names no file or directory")
    try:
        status = tree.folders.at(ROOT).status(part) if part else None
        if not part or (status is not None and stat.S_ISDIR(status.st_mode)):
            os.scandir(tree.folders.at(part).descriptor).close()
            return
    except OSError as error:
        raise SourceNotFoundError(f"cannot list {name}: {error.strerror}") from error
    if status is None and os.path.lexists(name):
        hints = ["name what the link leads to"]
        raise SourceNotFoundError(f"{name} is reached over a symbolic link", hints=hints)
    if status is None:
        raise SourceNotFoundError(f"there is no file or directory {name}")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        raise SourceNotFoundError(f"{name} is neither a file nor a directory")


def _check_patterns(patterns: Iterable[str]) -> None:
    for pattern in patterns:
        if not pattern.strip() or not {"\n", "\0"}.isdisjoint(pattern):
            hints = ["a pattern reads as a line of .gitignore: tests/, *.min.js, /docs/**/*.md"]
            raise UsageError(f"no pattern: {pattern!r}", hints=hints)


def _rules(patterns: Iterable[str]) -> FolderRules:
    """Return the patterns as rules at the root; none is a comment."""
    lines = (b"\\" + line if line[:1] == b"#" else line for line in map(os.fsencode, patterns))
    return FolderRules(ROOT, b"\n".join(lines))
