"""The files of a commit that a revision names, read from the files of a repository.

A revision is ``HEAD`` or ``@``, the name of a branch or a tag, a full name of a ref, or the whole
hash of a commit, with ``~N`` and ``^N`` behind it. What the repository's own folder does not hold,
as an object that was not fetched, is not there; nothing outside of it is read for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import NamedTuple

from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git.objects import Objects, entries_of_tree
from codebatch.snapshot.git.repository import NoRepositoryError, Repository, repository_of

FOLDER, LINK, SUBMODULE = b"40000", b"120000", b"160000"

_REVISION = re.compile(r"([^~^:\s\\?*\[]+)((?:~[0-9]{0,4}|\^[0-9]?)*)\Z")
_STEP = re.compile(r"[~^][0-9]*")
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_OWN = re.compile(r"[A-Z_]+\Z")
_BRANCHES = "refs/heads/"
_PLACES = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}")
_HEADER = re.compile(rb"(tree|parent|object) ([0-9a-f]+)\n")
_LARGEST_REF = 2**12
_LARGEST_PACKED = 2**26
_MOST_STEPS = 5
_MOST_FILES = 2**20
_LONGEST_PATH = 2**12


class Commit(NamedTuple):
    """A commit of the work tree at ``top``: its hash, and mode and hash of each file by path."""

    top: bytes
    hash: str
    files: dict[bytes, tuple[bytes, bytes]]


class Head(NamedTuple):
    """What a work tree is at: the name of a branch, None for none, and the hash of a commit, None
    where there is none yet.
    """

    branch: str | None = None
    commit: str | None = None


def find_commit(text: str, here: bytes) -> Commit | None:
    """Return the commit that a revision names in the repository of a work tree in or above a
    folder; None where there is none, or not all of it.
    """
    with ExitStack() as stack, suppress(OSError, ValueError):
        history = _history_around(here, stack)
        return history.commit(text) if history else None
    return None


def find_head(here: bytes) -> Head:
    """Return what the work tree in or above a folder is at, as far as it can be read."""
    with ExitStack() as stack, suppress(OSError, ValueError):
        history = _history_around(here, stack)
        return history.head() if history else Head()
    return Head()


def _history_around(here: bytes, stack: ExitStack) -> _History | None:
    repository = _repository_around(here, stack)
    if repository is None:
        return None
    own, common = (stack.enter_context(place.open()) for place in repository[1:3])
    objects = Objects(stack.enter_context(common.open(b"objects")), repository.hash_size)
    return _History(repository, own, common, objects)


def _repository_around(here: bytes, stack: ExitStack) -> Repository | None:
    path = os.path.realpath(here)
    while True:
        with suppress(OSError, ValueError, NoRepositoryError):
            top = Folder.at(path)
            stack.enter_context(top)
            found = repository_of(top, top)
            if found is not None:
                return found
        above = os.path.dirname(path)
        if above == path:
            return None
        path = above


class _History:
    """The refs and commits of a repository."""

    def __init__(
        self, repository: Repository, own: Folder, common: Folder, objects: Objects
    ) -> None:
        self._repository = repository
        self._own = own
        self._common = common
        self._objects = objects

    def commit(self, text: str) -> Commit | None:
        """Return what a revision names."""
        match = _REVISION.match(text)
        if match is None or any(part in ("", ".", "..") for part in match[1].split("/")):
            return None
        found = self._named("HEAD" if match[1] == "@" else match[1])
        for step in _STEP.findall(match[2]):
            number = int(step[1:] or 1)
            for nth in [1] * number if step[0] == "~" else [number]:
                found = found and self._parent(found, nth)
        tree = found and self._field(found, b"tree")
        if not found or not tree:
            return None
        files = dict(self._files(bytes.fromhex(tree)))
        return Commit(self._repository.top.path, found, files)

    def head(self) -> Head:
        """Return the branch and the commit of the work tree."""
        target = self._value("HEAD") or ""
        is_branch = target.startswith(f"ref: {_BRANCHES}")
        return Head(
            target[len(f"ref: {_BRANCHES}") :].strip() if is_branch else None, self._ref("HEAD")
        )

    def _named(self, name: str) -> str | None:
        """Return the hash of the commit that a name stands for."""
        found = name if _HASH.match(name) else None
        for place in _PLACES if found is None else ():
            found = found or self._ref(place.format(name))
        for _ in range(_MOST_STEPS):
            read = self._objects.read(bytes.fromhex(found)) if found else None
            if read is None or read.type == b"commit":
                return found if read else None
            found = self._field(str(found), b"object") if read.type == b"tag" else None
        return None

    def _ref(self, name: str) -> str | None:
        for _ in range(_MOST_STEPS):
            value = self._value(name)
            if value is None or not value.startswith("ref: "):
                return value if value and _HASH.match(value) else None
            name = value.removeprefix("ref: ").strip()
        return None

    def _value(self, name: str) -> str | None:
        if not name.startswith("refs/"):
            if not _OWN.match(name):
                return None
            data = self._own.read(name.encode(), _LARGEST_REF)
            return None if data is None else data.decode("utf-8", "replace").strip()
        path = os.fsencode(name)
        with suppress(OSError):  # a folder of refs, perhaps
            if (data := self._common.read(path, _LARGEST_REF)) is not None:
                return data.decode("utf-8", "replace").strip()
        for line in (self._common.read(b"packed-refs", _LARGEST_PACKED) or b"").splitlines():
            found, _, packed = line.partition(b" ")
            if packed == path:
                return found.decode("ascii", "replace")
        return None

    def _parent(self, commit: str, number: int) -> str | None:
        """Return the parent of that number; of number 0, the commit itself."""
        if number == 0:
            return commit
        parents = [found for key, found in self._header(commit) if key == b"parent"]
        return parents[number - 1] if number <= len(parents) else None

    def _field(self, name: str, key: bytes) -> str | None:
        return next((found for one, found in self._header(name) if one == key), None)

    def _header(self, name: str) -> Iterator[tuple[bytes, str]]:
        read = self._objects.read(bytes.fromhex(name))
        data, at = b"" if read is None else read.data, 0
        while match := _HEADER.match(data, at):
            yield match[1], match[2].decode()
            at = match.end()

    def _files(self, tree: bytes) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
        """Yield all files below a tree; ValueError where a part is not there."""
        pending, count = [(b"", tree)], 0
        while pending:
            folder, name = pending.pop()
            read = self._objects.read(name)
            if read is None or read.type != b"tree":
                raise ValueError("a tree is not there")
            for entry, (mode, inner) in entries_of_tree(
                read.data, self._repository.hash_size
            ).items():
                count += 1
                if mode == FOLDER:
                    pending.append((folder + entry + b"/", inner))
                else:
                    yield folder + entry, (mode, inner)
            if count > _MOST_FILES or len(folder) > _LONGEST_PATH:  # trees may hold each other
                raise ValueError("more files than anyone has")
