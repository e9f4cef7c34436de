"""What the ignore files of a tree say: gitignore's rules, the deeper file deciding.

They decide where git cannot be asked (`codebatch.sources.git`), and ``.codebatchignore``
everywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from codebatch.lazy import lazy

if TYPE_CHECKING:
    import pathspec
else:
    pathspec = lazy("pathspec")

GIT_IGNORE_FILE = b".gitignore"
OWN_IGNORE_FILE = b".codebatchignore"

_POSIX_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \t",
    "cntrl": "\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": " \t-\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_POSIX_CLASS = re.compile(rf"\[:({'|'.join(_POSIX_CLASSES)}):\]")


@dataclass(frozen=True)
class FolderRules:
    """The ignore file of one folder: ``folder`` is its path from the root, ``b""`` for it."""

    folder: bytes
    patterns: tuple[pathspec.RegexPattern, ...]

    def decide(self, path: bytes, *, is_folder: bool) -> bool | None:
        """True: ignored, False: explicitly included, None: this file says nothing.

        The last pattern that matches decides. What lies below a matching folder is no concern
        here: the walk asks about the folder first and does not enter an ignored one.
        """
        relative = path[len(self.folder) + 1 :] if self.folder else path
        name = relative.decode("utf-8", "surrogateescape") + ("/" if is_folder else "")
        for pattern in reversed(self.patterns):
            if _matches_itself(pattern, name):
                return bool(pattern.include)
        return None


def read_rules(root: bytes, folder: bytes, name: bytes) -> FolderRules | None:
    """The rules in one ignore file; None where there is no such regular, readable file."""
    path = os.path.join(root, folder, name)
    if os.path.islink(path) or not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as stream:
            text = stream.read().decode("utf-8", "surrogateescape")
    except OSError:
        return None  # the walk lists the unreadable file itself
    patterns = (_pattern(line) for line in text.removeprefix("\ufeff").split("\n"))
    return FolderRules(folder, tuple(pattern for pattern in patterns if pattern is not None))


def _pattern(line: str) -> pathspec.RegexPattern | None:
    """The pattern in a line; None for a line that, as git sees it, matches nothing."""
    plain = _POSIX_CLASS.sub(lambda match: _POSIX_CLASSES[match[1]], line.removesuffix("\r"))
    try:
        (pattern,) = pathspec.GitIgnoreSpec.from_lines([plain]).patterns
    except (ValueError, re.error):
        return None
    return cast("pathspec.RegexPattern", pattern) if pattern.include is not None else None


def _matches_itself(pattern: pathspec.RegexPattern, name: str) -> bool:
    """Whether a pattern matches the path itself, not only a folder that it lies in.

    The library's expressions mark the slash after a matching folder as the group ``ps_d``;
    one that ends in a bare slash (``folder/**``) matches what is in the folder only.
    """
    for match in pattern.regex.finditer(name) if pattern.regex is not None else ():
        slash = match.start("ps_d") if match.re.groupindex.get("ps_d") else -1
        if slash == len(name) - 1:
            return True
        if slash < 0 and not (match.re.pattern.endswith("/") and match.end() == len(name)):
            return True
    return False


def is_ignored(rules: Sequence[FolderRules], path: bytes, *, is_folder: bool) -> bool:
    """The verdict of the deepest rules that say anything."""
    for folder_rules in reversed(rules):
        verdict = folder_rules.decide(path, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False
