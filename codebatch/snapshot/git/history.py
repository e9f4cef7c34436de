"""The history of a repository, read from its files: what a revision names, and how commits descend
from each other.

A revision is ``HEAD`` or ``@``, the name of a branch or a tag, a full name of a ref, a hash or the
beginning of one, or ``@{upstream}``, with ``~N`` and ``^N`` behind it. What the repository's own
folder does not hold, as an object that was not fetched, is not there; nothing outside of it is read
for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from codebatch.model.errors import (
    AmbiguousIdError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    UsageError,
)
from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git import ancestry
from codebatch.snapshot.git.ancestry import CommitInfo
from codebatch.snapshot.git.config import LARGEST_CONFIG, read_settings
from codebatch.snapshot.git.objects import Objects, not_fetched
from codebatch.snapshot.git.refs import REMOTES, TAGS, Refs, is_safe
from codebatch.snapshot.git.repository import (
    NoRepositoryError,
    Repository,
    bare_repository,
    folders_around,
    is_own,
    open_objects,
    repository_of,
)

__all__ = ["CommitInfo", "Head", "History", "find_head", "open_history"]

_STEPS = r"(?:~[0-9]{0,4}|\^[0-9]{0,4}|\^\{(?:commit)?\})*"
_REVISION = re.compile(
    r"(?P<name>[^~^:\s\\?*\[@][^~^:\s\\?*\[]*?|@)?(?P<up>@\{(?:u|upstream)\})?(?P<steps>"
    + _STEPS
    + r")\Z",
    re.IGNORECASE,
)
_STEP = re.compile(r"[~^][0-9]*(?![0-9{])")
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z", re.IGNORECASE)
_SHORT = re.compile(r"[0-9a-f]{4,63}\Z", re.IGNORECASE)
_PLACES = (
    *("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}"),
    "refs/remotes/{}/HEAD",
)
_HEADER = re.compile(rb"(tree|parent|object) ([0-9a-f]{64}|[0-9a-f]{40})\n")
_COMMITTER = re.compile(rb"^committer [^\n]* (-?[0-9]{1,18}) [-+][0-9]+$", re.MULTILINE)
_DEFAULTS = ("refs/remotes/origin/main", "refs/remotes/origin/master")
_OWN_DEFAULTS = ("refs/heads/main", "refs/heads/master")
_FILES = b"files"
_MOST_STEPS = 5
_MOST_COMMITS = 2**21
_LARGEST_SHALLOW = 2**24
_LONGEST_SUBJECT = 1000


class Head(NamedTuple):
    """What a work tree is at: the name of a branch, None for none, and the hash of a commit, None
    where there is none yet.
    """

    branch: str | None = None
    commit: str | None = None


class Upstream(NamedTuple):
    """What a branch follows: the full name of the ref here, and that of the branch there."""

    ref: str
    branch: str


class History:
    """The refs and commits of a repository. ``top`` is the path of its work tree, None where it
    has none; ``objects`` reads what it holds.

    State: ``_commits`` are those that were read.
    """

    def __init__(
        self, repository: Repository, refs: Refs, objects: Objects, common: Folder
    ) -> None:
        self.repository = repository
        self.refs = refs
        self.objects = objects
        self._common = common
        self._commits: dict[str, CommitInfo] = {}
        text = common.read(b"shallow", _LARGEST_SHALLOW) or b""
        self._cut = set(text.decode("ascii", "replace").split())

    @property
    def top(self) -> bytes | None:
        """The path of the work tree, None of a bare repository."""
        return None if self.repository.is_bare else self.repository.top.path

    @property
    def is_shallow(self) -> bool:
        """True if what is behind some commits was not fetched."""
        return bool(self._cut)

    def resolve(self, text: str) -> str | None:
        """Return the hash of the commit that a revision names; None where there is none.

        `AmbiguousIdError` for the beginning of several hashes.
        """
        match = _REVISION.match(text)
        if match is None or not text:
            return None
        name, found = match["name"] or "", None
        if match["up"]:
            upstream = self.upstream(None if name in ("", "@", "HEAD") else name)
            found = upstream and self._commit_of(self.refs.hash(upstream.ref))
        elif is_safe(name):
            found = self._named("HEAD" if name == "@" else name)
        for step in _STEP.findall(match["steps"]):
            number = int(step[1:] or 1)
            for nth in [1] * number if step[0] == "~" else [number]:
                found = found and self._parent(found, nth)
        return found

    def is_cut(self, commit: str) -> bool:
        """Return True if the parents of a commit were not fetched."""
        return commit in self._cut

    def require(self, text: str) -> CommitInfo:
        """Return the commit that a revision names; `RevisionNotFoundError` where there is none."""
        found = self.resolve(text)
        if found is None:
            refs = (self.refs.hash(place.format(text)) for place in _PLACES)
            if target := next(filter(None, refs), None):
                stream = self.objects.stream(bytes.fromhex(target))
                if stream is None or stream.type in (b"commit", b"tag"):
                    raise not_fetched(f"what {text} leads to")
                kind = stream.type.decode("ascii", "replace")
                raise RevisionNotFoundError(f"{text} is a {kind} and not a commit")
            hints = ["a branch, a tag, a hash, HEAD~3: git log --oneline"]
            if self.repository.settings.get(b"extensions.refstorage", _FILES) != _FILES:
                hints = ["its refs are in a form that is not read: give a whole hash"]
            elif self.is_shallow:
                hints = ["the clone is shallow: git fetch --unshallow, or fetch-depth: 0 in CI"]
            if "@{" in text:
                hints = ["the log of refs is not read: give a branch, a hash, or @{upstream}"]
            named = text or "''"
            raise RevisionNotFoundError(f"no commit {named} in the repository", hints=hints)
        return self.commit_info(found)

    def commit_info(self, commit: str) -> CommitInfo:
        """Return what a commit says; `NotFetchedError` where it is not there."""
        found = self._commits.get(commit)
        if found is None:
            read = self.objects.read(bytes.fromhex(commit))
            if len(self._commits) >= _MOST_COMMITS:
                raise UsageError(f"a history of more than {_MOST_COMMITS:,} commits")
            if read is None or read.type != b"commit":
                raise not_fetched(f"the commit {commit[:12]}")
            found = self._commits[commit] = _parsed(commit, read.data, is_cut=commit in self._cut)
        return found

    def merge_base(self, a: str, b: str) -> str | None:
        """Return the best common ancestor of two commits; None where there is none here."""
        return ancestry.merge_base(self.commit_info, a, b)

    def between(self, a: str | None, b: str) -> list[str]:
        """Return the commits that are reachable from ``b`` and not from ``a``, with None
        all of them, each behind its parents, and else the oldest first.
        """
        return ancestry.between(self.commit_info, a, b)

    def tags(self) -> list[tuple[str, str]]:
        """Return the names of all tags of commits, sorted, with the commits' hashes."""
        found = ((ref, self._commit_of(self.refs.hash(ref))) for ref in self.refs.names(TAGS))
        return [(ref[len(TAGS) :], commit) for ref, commit in found if commit]

    def head(self) -> Head:
        """Return the branch and the commit of the work tree."""
        return Head(self.refs.branch(), self.refs.hash("HEAD"))

    def upstream(self, branch: str | None = None) -> Upstream | None:
        """Return what a branch, or that of the work tree, is set to follow."""
        branch = branch or self.refs.branch()
        if not branch:
            return None
        try:
            settings = list(read_settings(self._common.read(b"config", LARGEST_CONFIG) or b""))
        except (OSError, ValueError):
            return None
        start = b"branch." + os.fsencode(branch)
        named = dict(settings)
        remote, merge = named.get(start + b".remote"), named.get(start + b".merge")
        if remote is None or merge is None:
            return None
        ref = merge if remote == b"." else _fetched_as(merge, remote, settings)
        return Upstream(os.fsdecode(ref), os.fsdecode(merge)) if ref else None

    def default_branch(self) -> str | None:
        """Return the full name of the ref of the default branch: what the remote ``origin`` says
        it is, else ``main`` or ``master``, there or here.
        """
        said = self.refs.target(f"{REMOTES}origin/HEAD")
        places = (*((said,) if said else ()), *_DEFAULTS, *_OWN_DEFAULTS)
        return next((ref for ref in places if self.refs.hash(ref)), None)

    def _named(self, name: str) -> str | None:
        """Return the hash of the commit that a name stands for."""
        if _HASH.match(name):
            return self._commit_of(name.lower())
        for place in _PLACES:
            if found := self.refs.hash(place.format(name)):
                return self._commit_of(found)
        if not _SHORT.match(name):
            return None
        commits = {
            commit
            for full in self.objects.names_beginning(name.lower())
            if (commit := self._commit_of(full.hex()))
        }
        if len(commits) > 1:
            raise AmbiguousIdError(f"{name} is the beginning of {len(commits)} commits' hashes")
        return next(iter(commits), None)

    def _commit_of(self, name: str | None) -> str | None:
        """Return the commit of that hash, or that the tag of that hash is for."""
        for _ in range(_MOST_STEPS):
            if name is None or name in self._commits:
                return name
            read = self.objects.read(bytes.fromhex(name))
            if read is None or read.type not in (b"commit", b"tag"):
                return None
            if read.type == b"commit":
                return name
            name = next((found for key, found in _headers(read.data) if key == b"object"), None)
        return None

    def _parent(self, commit: str, number: int) -> str | None:
        """Return the parent of that number; of number 0, the commit itself."""
        if number == 0:
            return commit
        parents = self.commit_info(commit).parents
        return self._commit_of(parents[number - 1]) if number <= len(parents) else None


@contextmanager
def open_history(here: bytes) -> Iterator[History]:
    """Open the history of the repository in or above a folder for a block, which need not be there
    any more; `RepositoryNotFoundError` where there is none, or none that is read.
    """
    with ExitStack() as stack:
        found = None
        with suppress(OSError):  # of a folder that cannot be entered
            found = _history_around(here, stack)
        if found is None:
            raise RepositoryNotFoundError(
                f"no git repository in or above {os.fsdecode(here)} in its file system",
                hints=["a revision needs one: git init, or git clone"],
            )
        yield found


def find_head(here: bytes) -> Head:
    """Return what the work tree in or above a folder is at, as far as it can be read."""
    with ExitStack() as stack, suppress(OSError, ValueError, RepositoryNotFoundError):
        history = _history_around(here, stack)
        return history.head() if history else Head()
    return Head()


def _history_around(here: bytes, stack: ExitStack) -> History | None:
    """Return the history of the nearest repository, in or above a folder, or above where it was;
    None where there is none. `RepositoryNotFoundError` where that is not to be read: it is not
    passed by for one above it.
    """
    path = os.path.realpath(here)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    nearest = stack.enter_context(Folder.at(path, search=True))
    for top in folders_around(nearest, stack):
        try:
            repository = repository_of(top, top) or bare_repository(top)
            if repository is None:
                continue
            if top is not nearest and not is_own(top, os.fstat(nearest.descriptor).st_uid):
                raise NoRepositoryError("it is of another user; to read it, name its top folder")
            return _opened(repository, stack)
        except (NoRepositoryError, OSError, ValueError) as error:
            said = (isinstance(error, OSError) and error.strerror) or error
            raise RepositoryNotFoundError(
                f"the git repository {os.fsdecode(top.path)} is not read: {said}",
                hints=["see what git says: git status"],
            ) from None
    return None


def _opened(repository: Repository, stack: ExitStack) -> History:
    own, common = (
        stack.enter_context(place.open()) for place in (repository.own, repository.common)
    )
    objects = stack.enter_context(open_objects(repository, common))
    return History(repository, Refs(own, common), objects, common)


def _parsed(commit: str, data: bytes, *, is_cut: bool) -> CommitInfo:
    head, _, message = data.partition(b"\n\n")
    headers = list(_headers(data))
    tree = next((found for key, found in headers if key == b"tree"), "")
    parents = () if is_cut else tuple(found for key, found in headers if key == b"parent")
    time = _COMMITTER.search(head)
    subject = message.lstrip(b"\n").partition(b"\n\n")[0].decode("utf-8", "replace")
    subject = " ".join(subject.split())[:_LONGEST_SUBJECT]
    return CommitInfo(commit, parents, tree, int(time[1]) if time else 0, subject)


def _headers(data: bytes) -> Iterator[tuple[bytes, str]]:
    at = 0
    while match := _HEADER.match(data, at):
        yield match[1], match[2].decode()
        at = match.end()


def _fetched_as(merge: bytes, remote: bytes, settings: list[tuple[bytes, bytes]]) -> bytes | None:
    """Return the ref here under which a branch of a remote is kept."""
    for name, value in settings:
        if name != b"remote." + remote + b".fetch":
            continue
        source, _, target = value.removeprefix(b"+").partition(b":")
        start, star, end = source.partition(b"*")
        if not star and source == merge:
            return target
        if star and merge.startswith(start) and merge.endswith(end):
            return target.replace(b"*", merge[len(start) : len(merge) - len(end)], 1)
    return None
