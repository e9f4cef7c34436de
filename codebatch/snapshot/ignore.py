"""The rules of ignore files: those of gitignore, the deeper file deciding.

How a line becomes a pattern, and what a pattern is held against, is what git's ``dir.c`` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from codebatch.model.globs import GlobTable
from codebatch.snapshot.descriptors import Folder

GIT_IGNORE_FILE = b".gitignore"
OWN_IGNORE_FILE = b".codebatchignore"
# What the ignore files that hold in a folder may have together: more would take a walk too long.
LARGEST_RULES = 8 * 2**20

_BOM = b"\xef\xbb\xbf"
_MOST_KNOWN = 10_000


class FolderRules:
    """The ignore file of one folder: ``folder`` is the path that those it decides about begin
    with, ``b""`` for the root. With ``fold``, the case of ASCII letters does not count.

    State: patterns are numbered by line. ``_names`` and ``_paths`` hold those without and with a
    slash, each for anything and for folders only; ``_known`` is what was found for a name.
    """

    def __init__(self, folder: bytes, text: bytes, *, fold: bool = False) -> None:
        self.folder = folder
        self.text = text
        self._includes: set[int] = set()
        self._fold = fold
        self._names: dict[bool, GlobTable] = {}
        self._paths: dict[bool, GlobTable] = {}
        self._known: dict[tuple[bytes, bool], int] = {}
        lines = text.removeprefix(_BOM).split(b"\n")
        for number, line in enumerate(lines):
            if line and not line.startswith(b"#"):
                self._add(_without_trailing_spaces(line), number)

    def __bool__(self) -> bool:
        return bool(self._names or self._paths)

    def decide(self, path: bytes, *, is_folder: bool) -> bool | None:
        """Return True: ignored, False: explicitly included, None: this file says nothing.

        The last pattern that matches decides. What lies below a matching folder is no concern
        here: the walk asks about the folder first and does not enter an ignored one.
        """
        relative = path[len(self.folder) + 1 :] if self.folder else path
        name = relative[relative.rfind(b"/") + 1 :]
        if (found := self._known.get((name, is_folder))) is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[name, is_folder] = _best(self._names, name, is_folder=is_folder)
        if self._paths and relative:
            found = max(found, _best(self._paths, relative, is_folder=is_folder))
        return None if found < 0 else found not in self._includes

    def _add(self, pattern: bytes, number: int) -> None:
        if pattern.startswith(b"!"):
            self._includes.add(number)
            pattern = pattern[1:]
        folders_only = pattern.endswith(b"/")
        pattern = pattern[: len(pattern) - folders_only]
        if pattern.startswith(b"**/") and b"/" not in pattern[3:]:
            pattern = pattern[3:]  # a name at any depth
        is_path = b"/" in pattern
        tables = self._paths if is_path else self._names
        if folders_only not in tables:
            tables[folders_only] = GlobTable(is_path=is_path, fold=self._fold)
        tables[folders_only].add(pattern.removeprefix(b"/"), number)


def read_rules(folder: Folder, path: bytes, name: bytes) -> FolderRules | None:
    """Return the rules in an ignore file of the folder at this path; None where there is no such
    regular, readable file with patterns.
    """
    try:
        text = folder.read(name, LARGEST_RULES)
    except OSError:
        return None  # the walk lists the unreadable file itself
    return (FolderRules(path, text) or None) if text else None


def with_rules(
    rules: tuple[FolderRules, ...], added: FolderRules | None
) -> tuple[FolderRules, ...]:
    """Return the rules with those of a deeper folder, unless they are too many together."""
    if not added or sum(len(each.text) for each in (*rules, added)) > LARGEST_RULES:
        return rules
    return (*rules, added)


def is_ignored(rules: Sequence[FolderRules], path: bytes, *, is_folder: bool) -> bool:
    """Return the decision of the deepest rules that make one."""
    for folder_rules in reversed(rules):
        decided = folder_rules.decide(path, is_folder=is_folder)
        if decided is not None:
            return decided
    return False


def _best(tables: dict[bool, GlobTable], text: bytes, *, is_folder: bool) -> int:
    """Return the highest number of a pattern that matches; those for folders are under True."""
    found = tables[False].best(text) if False in tables else -1
    return max(found, tables[True].best(text)) if is_folder and True in tables else found


def _without_trailing_spaces(line: bytes) -> bytes:
    """Return the pattern in a line: it ends at a NUL, and an escaped space is part of it."""
    line = line.removesuffix(b"\r").partition(b"\0")[0]
    if not line.endswith(b" "):
        return line
    kept = line.rstrip(b" ")
    escapes = len(kept) - len(kept.rstrip(b"\\"))
    return line[: len(kept) + escapes % 2]
