"""Which commits of a repository are meant: a range of them, some of it, those with a tag."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from codebatch.model.errors import RevisionNotFoundError, UsageError
from codebatch.snapshot.git.ancestry import CommitInfo
from codebatch.snapshot.git.history import History

_NEWEST = "HEAD"


class Chosen(NamedTuple):
    """Which commits are wanted. ``revs`` is ``A..B``, what is reachable from B and not from A, or
    ``B``; ``every`` takes each so-manyth of them and the newest; ``tags`` those that have a tag;
    ``first_parent`` leaves out what came by merges.
    """

    revs: str | None = None
    every: int | None = None
    tags: bool = False
    first_parent: bool = False


def check_chosen(chosen: Chosen) -> None:
    """Raise `UsageError` where it does not say what is wanted."""
    if chosen.revs is None and chosen.every is None and not chosen.tags:
        raise UsageError(
            "which revisions? give --revs A..B, --every N or --tags",
            hints=["all there are: --every 1"],
        )
    if chosen.every is not None and chosen.every < 1:
        raise UsageError("--every takes a number of at least 1")
    if chosen.revs is not None and (not chosen.revs or "..." in chosen.revs):
        raise UsageError(
            f"not a range of revisions: {chosen.revs!r}",
            hints=["A..B: what is in B and not in A; B: all that is in B"],
        )


def ends_of(history: History, revs: str | None) -> tuple[str | None, str]:
    """Return the commits that a range is between, the first None where it has none."""
    before, dots, last = (revs or _NEWEST).rpartition("..")
    newest = history.require(last or _NEWEST).hash
    return (history.require(before or _NEWEST).hash if dots else None), newest


def choose(history: History, chosen: Chosen) -> list[CommitInfo]:
    """Return the commits, each behind its parents and else the oldest first;
    `RevisionNotFoundError` where there are none.
    """
    check_chosen(chosen)
    old, new = ends_of(history, chosen.revs)
    found = history.between(old, new)
    if chosen.first_parent:
        found = _first_parents(history, found, new)
    if chosen.tags:
        tagged = {commit for _, commit in history.tags()}
        found = [commit for commit in found if commit in tagged]
    if chosen.every is not None:
        found = found[::-1][:: chosen.every][::-1]
    if not found:
        what = "no tagged commit" if chosen.tags else "no commit"
        raise RevisionNotFoundError(f"{what} in {chosen.revs or _NEWEST}")
    return [history.commit_info(commit) for commit in found]


def tags_by_commit(history: History) -> dict[str, tuple[str, ...]]:
    """Return the names of the tags of each commit that has some."""
    found: dict[str, list[str]] = {}
    for name, commit in history.tags():
        found.setdefault(commit, []).append(name)
    return {commit: tuple(names) for commit, names in found.items()}


def _first_parents(history: History, among: Iterable[str], newest: str) -> list[str]:
    wanted, found = set(among), []
    at: str | None = newest
    while at in wanted:
        found.append(at)
        at = next(iter(history.commit_info(at).parents), None)
    return found[::-1]
