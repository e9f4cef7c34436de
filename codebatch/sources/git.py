"""What git says it ignores: asked of git itself, once for each repository of a tree.

Git's index, excludes and precedence rules are then exactly git's. A question is a process, so
it may be put ahead of time and answered while the tree is looked at.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING

from codebatch.digest import digest_bytes
from codebatch.lazy import lazy

if TYPE_CHECKING:
    import subprocess
else:
    subprocess = lazy("subprocess")

_TIMEOUT_SECONDS = 300
# A `.git`, or what a repository without one consists of.
_SIGNS = (b".git", b"HEAD")
_IS_IGNORED = (b"check-ignore", b"-q", b".")
_IGNORED = (*(b"ls-files", b"-z", b"--others", b"--ignored"), b"--exclude-standard", b"--directory")


class GitAnswers:
    """The answers for one tree, to be used in a ``with`` block.

    State: ``_asked`` holds the processes that are still to be heard, ``_listings`` what was
    said, both by the absolute path of the repository.
    """

    def __init__(self) -> None:
        self._asked: dict[bytes, tuple[subprocess.Popen[bytes] | None, ...]] = {}
        self._listings: dict[bytes, bytes | None] = {}

    def __enter__(self) -> GitAnswers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in (p for asked in self._asked.values() for p in asked if p is not None):
            process.kill()
            process.communicate()

    def ask(self, repository: bytes) -> None:
        """Put the question, unless it has been put."""
        if repository not in self._asked and repository not in self._listings:
            self._asked[repository] = (
                _start(repository, _IS_IGNORED),
                _start(repository, _IGNORED),
            )

    def ignored(self, repository: bytes) -> frozenset[bytes] | None:
        """Paths below ``repository`` that git ignores, relative to it, folders without a slash.

        A folder stands for everything below it. None where git is not installed, does not trust
        the folder, or the folder is itself ignored by a repository around it: then the ignore
        files alone decide.
        """
        listing = self._listing(repository)
        if listing is None:
            return None
        return frozenset(path.rstrip(b"/") for path in listing.split(b"\0") if path)

    def digest(self, repository: bytes) -> str:
        """What tells one answer from another; empty where git had none."""
        listing = self._listing(repository)
        return "" if listing is None else digest_bytes(listing)

    def _listing(self, repository: bytes) -> bytes | None:
        self.ask(repository)
        if repository in self._asked:
            is_ignored, listing = map(_output, self._asked.pop(repository))
            self._listings[repository] = listing if is_ignored is None else None
        return self._listings[repository]


def may_be_in_repository(folder: bytes) -> bool:
    """Whether it is worth asking git about the folder: it or one around it looks like git's."""
    folder = os.path.realpath(folder)
    while not any(os.path.lexists(os.path.join(folder, sign)) for sign in _SIGNS):
        around = os.path.dirname(folder)
        if around == folder:
            return False
        folder = around
    return True


def _start(folder: bytes, arguments: tuple[bytes, ...]) -> subprocess.Popen[bytes] | None:
    # fsmonitor would run a program that the repository names.
    command = [b"git", b"-c", b"core.fsmonitor=false", b"-C", folder, *arguments]
    environment = {key: value for key, value in os.environb.items() if key[:4] != b"GIT_"}
    try:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None  # as a git that refuses: the ignore files decide


def _output(process: subprocess.Popen[bytes] | None) -> bytes | None:
    """What git wrote; None unless it exits with 0."""
    if process is None:
        return None
    try:
        output, _ = process.communicate(timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return output if process.returncode == 0 else None
