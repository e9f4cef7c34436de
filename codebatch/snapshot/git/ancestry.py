"""Commits and how they descend from each other: merge bases, and what one has that another lacks.

Commits are visited newest first, as git does, so that of a long history only the part is read in
which an answer can be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

_FIRST, _SECOND, _STALE = 1, 2, 4
_BOTH = _FIRST | _SECOND
# So many more commits are visited where clocks say that nothing is left: they may have been wrong.
_MORE_STEPS = 1000
_MOST_BASES = 64


class CommitInfo(NamedTuple):
    """A commit: its hash, its parents, its tree, when it was made, in seconds since 1970, and the
    first paragraph of its message.
    """

    hash: str
    parents: tuple[str, ...]
    tree: str
    time: int
    subject: str


Lookup = Callable[[str], CommitInfo]


class _Queue:
    """Commits to be visited, the newest first."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._heap: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self._heap)

    def push(self, commit: str) -> None:
        heappush(self._heap, (-self._lookup(commit).time, commit))

    def pop(self) -> str:
        return heappop(self._heap)[1]

    @property
    def newest(self) -> int:
        return -self._heap[0][0]


def merge_base(lookup: Lookup, first: str, second: str) -> str | None:
    """Return the best common ancestor of two commits, the newest of several; None for none."""
    found = sorted(
        _common(lookup, first, second), key=lambda commit: (-lookup(commit).time, commit)
    )[:_MOST_BASES]
    if len(found) > 1:
        # Where clocks were wrong, one may be an ancestor of another.
        found = [one for one in found if not _is_behind(lookup, one, found)]
    return found[0] if found else None


def _is_behind(lookup: Lookup, one: str, commits: list[str]) -> bool:
    """Return True if a commit is an ancestor of another one of these."""
    others = [other for other in commits if other != one]
    return one in _common(lookup, one, *others)


def _common(lookup: Lookup, first: str, *second: str) -> set[str]:
    """Return common ancestors, of one and of any of others, none of which is known to be one of
    another.
    """
    if first in second:
        return {first}
    flags = dict.fromkeys(second, _SECOND) | {first: _FIRST}
    found: set[str] = set()
    queue = _Queue(lookup)
    queued: Counter[str] = Counter()
    fresh = 0
    for commit in flags:
        queue.push(commit)
        queued[commit] += 1
        fresh += 1
    while fresh:
        commit = queue.pop()
        queued[commit] -= 1
        flag = flags[commit]
        fresh -= not flag & _STALE
        if flag & _BOTH == _BOTH and not flag & _STALE:
            found.add(commit)
        given = flag | _STALE if flag & _BOTH == _BOTH else flag
        for parent in lookup(commit).parents:
            before = flags.get(parent, 0)
            if before | given == before:
                continue
            if given & _STALE and not before & _STALE:
                fresh -= queued[parent]
            flags[parent] = before | given
            queue.push(parent)
            queued[parent] += 1
            fresh += not flags[parent] & _STALE
    return {commit for commit in found if not flags[commit] & _STALE}


def between(lookup: Lookup, old: str | None, new: str) -> list[str]:
    """Return the commits that are reachable from ``new`` and not from ``old``, each behind its
    parents, and else the oldest first. With None, none is left out.
    """
    hidden = set() if old is None else {old}
    seen = hidden | {new}
    found: set[str] = set()
    queue = _Queue(lookup)
    waiting = 0
    for commit in tuple(seen):
        queue.push(commit)
        waiting += commit not in hidden
    oldest, left = lookup(new).time, _MORE_STEPS
    while queue and left:
        left = _MORE_STEPS if waiting or queue.newest >= oldest else left - 1
        commit = queue.pop()
        if commit in hidden:
            newly = _hide(lookup, lookup(commit).parents, hidden, found, seen)
            waiting -= newly
        else:
            waiting -= 1
            found.add(commit)
            oldest = min(oldest, lookup(commit).time)
        for parent in lookup(commit).parents:
            if parent not in seen:
                seen.add(parent)
                queue.push(parent)
                waiting += parent not in hidden
    return _sorted(lookup, found)


def _hide(
    lookup: Lookup, commits: Iterable[str], hidden: set[str], found: set[str], seen: set[str]
) -> int:
    """Hide commits and their ancestors as far as they were seen; return how many of them were
    still to be visited.
    """
    pending, waiting = list(commits), 0
    while pending:
        commit = pending.pop()
        if commit in hidden:
            continue
        hidden.add(commit)
        if commit in found:
            found.discard(commit)
            pending.extend(lookup(commit).parents)
        elif commit in seen:
            waiting += 1
    return waiting


def _sorted(lookup: Lookup, commits: set[str]) -> list[str]:
    children: dict[str, list[str]] = {}
    missing = {}
    for commit in commits:
        parents = {parent for parent in lookup(commit).parents if parent in commits}
        missing[commit] = len(parents)
        for parent in parents:
            children.setdefault(parent, []).append(commit)
    ready = [(lookup(commit).time, commit) for commit, count in missing.items() if not count]
    heapify(ready)
    found = []
    while ready:
        _, commit = heappop(ready)
        found.append(commit)
        for child in children.get(commit, ()):
            missing[child] -= 1
            if not missing[child]:
                heappush(ready, (lookup(child).time, child))
    return found
