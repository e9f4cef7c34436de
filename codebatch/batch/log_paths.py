"""Files of a snapshot for the paths in a log, which may be rooted elsewhere.

All paths of a run that are absolute are below one folder, which stands for the root of the
snapshot; it is the one below which most of them are files of the snapshot. Relative ones are below
the root, a folder above it, or a folder of the snapshot, whichever fits most of them. Where two
folders of the snapshot fit equally many, none does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from posixpath import normpath
from typing import NamedTuple

from codebatch.model.records import path_key

_DRIVE = 3  # as in C:/
# What no path of a file is longer than, which is what the time goes by.
_MOST_BYTES, _MOST_PARTS = 4_095, 1_000


class _Root(NamedTuple):
    """A folder that the paths of a log are cut off, and one of the snapshot put before them."""

    cut: str = ""
    put: str = ""

    def file(self, path: str) -> str | None:
        """Return what the path of a log is in the snapshot; None for one that is not below."""
        return self.put + path[len(self.cut) :] if path.startswith(self.cut) else None


class SnapshotPaths:
    """The paths of a snapshot, to be found by those of logs."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)
        self._backwards = sorted(path[::-1] for path in self._paths)

    def find_all(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the path in the snapshot of each path of a run that has one."""
        found: dict[str, str] = {}
        plain = {path: _plain(path) for path in paths if _may_be_file(path)}
        for is_absolute in (False, True):
            own = {p: q for p, q in plain.items() if _is_absolute(q) == is_absolute}
            root = self._root_of([*own.values()])
            files = {} if root is None else {path: root.file(own[path]) for path in own}
            found |= {path: file for path, file in files.items() if file in self._paths}
        return found

    def _root_of(self, paths: Sequence[str]) -> _Root | None:
        """Return the root that fits most paths; of equals the nearest to that of the snapshot."""
        votes = Counter(root for path in paths for root in self._roots(path))
        if not votes:
            return None
        (best, number), *others = sorted(votes.items(), key=lambda one: (-one[1], *_size(one[0])))
        is_rivalled = best.put and others and others[0][1] == number
        return None if is_rivalled else best

    def _roots(self, path: str) -> Iterator[_Root]:
        """Yield each root with which a path is a file of the snapshot."""
        start = 0
        while start >= 0:
            if path[start:] in self._paths:
                yield _Root(cut=path[:start])
            start = path.find("/", start) + 1 or -1
        if not _is_absolute(path):
            end = f"/{path}"[::-1]
            for place in range(bisect_left(self._backwards, end), len(self._backwards)):
                one = self._backwards[place]
                if not one.startswith(end):
                    break
                yield _Root(put=one[len(path) :][::-1])


def _size(root: _Root) -> tuple[int, int, str]:
    return len(root.put), len(root.cut), root.put


def _may_be_file(path: str) -> bool:
    parts = path.count("/") + path.count("\\")
    return 0 < len(path_key(path)) <= _MOST_BYTES and parts < _MOST_PARTS


def _plain(path: str) -> str:
    return normpath(path.replace("\\", "/") if path[1:_DRIVE] == ":\\" else path)


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or path[1:_DRIVE] == ":/"
