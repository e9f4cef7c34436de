"""The commit that a change is to be compared with, where none is named.

In the build of a pull request it is what the forge says in the environment. Else it is where the
branch left its upstream; where that is the branch itself as it was pushed, and where there is none,
it is where it left the default branch; and where there is none of all that, it is ``HEAD``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from codebatch.model.errors import NotFetchedError, RevisionNotFoundError
from codebatch.snapshot.git.history import History, open_history
from codebatch.snapshot.git.refs import BRANCHES, REMOTES

GITHUB_BASE = "GITHUB_BASE_REF"
GITLAB_BASE = "CI_MERGE_REQUEST_DIFF_BASE_SHA"
NO_COMMIT = "nothing, as there is no commit yet"

_FETCH_ALL = (
    "fetch it: git fetch --unshallow, or in CI fetch-depth: 0 (GitHub), GIT_DEPTH: 0 (GitLab)"
)


class Base(NamedTuple):
    """A commit, None where there is none yet, and words for what it is."""

    commit: str | None
    words: str


def find_base(here: bytes, environ: Mapping[str, str]) -> Base:
    """Return the base of the work tree in or above a folder. `NotFetchedError` where it is not in
    a shallow clone.
    """
    with open_history(here) as history:
        if sha := environ.get(GITLAB_BASE):
            return _of_gitlab(history, sha)
        head = history.resolve("HEAD")
        if head is None:
            return Base(None, NO_COMMIT)
        if branch := environ.get(GITHUB_BASE):
            return _of_github(history, head, branch)
        return _of_branch(history, head)


def _of_gitlab(history: History, sha: str) -> Base:
    commit = history.resolve(sha)
    if commit is None:
        raise NotFetchedError(
            f"the base {sha[:40]} of {GITLAB_BASE} is not in this clone; "
            f"{_FETCH_ALL}, or git fetch origin {sha[:40]}"
        )
    return Base(commit, f"the base of the merge request ({GITLAB_BASE})")


def _of_github(history: History, head: str, branch: str) -> Base:
    ref = f"{REMOTES}origin/{branch}"
    words = f"the merge base with origin/{branch} ({GITHUB_BASE})"
    tip = history.resolve(ref)
    found = history.merge_base(head, tip) if tip else None
    if found is not None:
        return Base(found, words)
    parents = history.commit_info(head).parents
    if len(parents) > 1 and (first := history.resolve("HEAD^1")):
        # The forge has merged the pull request into its base.
        return Base(first, f"the first parent of the merge into {branch} ({GITHUB_BASE})")
    if history.is_shallow:
        missing = f"its merge base with origin/{branch}" if tip else f"origin/{branch}"
        raise NotFetchedError(f"the clone is shallow and has not {missing}; {_FETCH_ALL}")
    if tip:
        raise RevisionNotFoundError(f"HEAD and origin/{branch} have no commit in common")
    raise NotFetchedError(
        f"origin/{branch}, the base of the pull request, is not in this clone; fetch it: "
        f"git fetch origin {branch}:{ref}"
    )


def _of_branch(history: History, head: str) -> Base:
    upstream, default = history.upstream(), history.default_branch()
    refs = [default]
    if upstream is not None and history.refs.hash(upstream.ref):
        is_own = upstream.branch == f"{BRANCHES}{history.refs.branch()}"
        if not is_own:
            refs = [upstream.ref, default]
        elif not history.is_shallow:
            refs = [default, upstream.ref]
    for ref in refs:
        tip = history.resolve(ref) if ref else None
        if ref is None or tip is None:
            continue
        if found := history.merge_base(head, tip):
            return Base(found, f"the merge base with {_short(ref)}")
        if history.is_shallow:
            raise NotFetchedError(
                f"the clone is shallow and has not the merge base of HEAD and {_short(ref)}; "
                + _FETCH_ALL
            )
    if history.is_shallow:
        raise NotFetchedError(
            f"the clone is shallow and has no upstream or default branch; {_FETCH_ALL}"
        )
    return Base(head, "HEAD, as it has no commit in common with an upstream or a default branch")


def _short(ref: str) -> str:
    return ref.removeprefix(REMOTES).removeprefix(BRANCHES)
