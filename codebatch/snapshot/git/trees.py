"""Trees of git: what is in them, as far as a checkout would write it, read from objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from codebatch.model.errors import NotFetchedError, UsageError
from codebatch.snapshot.git.objects import LARGEST_DELTIFIED, Objects, listed_in_tree, not_fetched
from codebatch.snapshot.git.repository import GIT_FOLDER

FOLDER, LINK, FILE, SUBMODULE = 0o040000, 0o120000, 0o100000, 0o160000
NO_NAME = "not a name that a file can have"
NAMED_TWICE = "a name that is there twice"

_KIND, _EXECUTABLE = 0o170000, 0o100
_LONGEST_PATH, _LONGEST_NAME = 4095, 255
_MOST_ENTRIES = 2**22
_MOST_TEXT = 2**26


class Entry(NamedTuple):
    """Something in a tree."""

    name: bytes
    mode: int
    object: bytes

    @property
    def kind(self) -> int:
        """One of the four kinds, or a number that none has."""
        return self.mode & _KIND

    @property
    def is_executable(self) -> bool:
        """True if its owner may run it."""
        return bool(self.mode & _EXECUTABLE)


class TreeReader:
    """Reads trees and small files; ``made`` are trees that are not among the objects.

    State: ``_left`` is how many entries may still be read, and ``_left_text`` how many bytes of
    files that say how others are taken.
    """

    def __init__(self, objects: Objects, hash_size: int, made: Mapping[bytes, list[Entry]]) -> None:
        self._objects = objects
        self._hash_size = hash_size
        self._made = made
        self._left = _MOST_ENTRIES
        self._left_text = _MOST_TEXT

    def entries(self, tree: bytes, path: bytes) -> list[Entry]:
        """Return the entries of the tree at a path, in the order of the paths below them;
        `NotFetchedError` where it is not there.
        """
        if (made := self._made.get(tree)) is not None:
            return made
        read = self._objects.read(tree, LARGEST_DELTIFIED)
        if read is None or read.type != b"tree":
            raise missing_in_tree(path or b"the top folder")
        entries = []
        for name, spelled, found in listed_in_tree(read.data, self._hash_size):
            is_octal = spelled.isdigit() and max(spelled) < ord("8")
            entries.append(Entry(name, int(spelled, 8) if is_octal else 0, found))
        self._left -= len(entries)
        if self._left < 0:
            raise UsageError(f"a tree of git with more than {_MOST_ENTRIES:,} entries")
        return sorted(entries, key=in_order)

    def unfit(self, entry: Entry, path: bytes, seen: set[bytes]) -> str | None:
        """Return why no checkout would write an entry; ``seen`` are the names before it."""
        name = entry.name
        if name.lower() == GIT_FOLDER:
            return "git metadata"
        if name in (b"", b".", b"..") or b"/" in name or len(name) > _LONGEST_NAME:
            return NO_NAME
        if len(path) > _LONGEST_PATH:
            return "a path that is too long"
        if name in seen:
            return NAMED_TWICE
        if entry.kind not in (FOLDER, LINK, FILE, SUBMODULE):
            return "an entry of a mode that is not known"
        return None if len(entry.object) == self._hash_size else "an entry that is cut"

    def text(self, entry: Entry, path: bytes, largest: int) -> bytes | None:
        """Return what the file at a path holds that says how others are taken; None of one that is
        larger. `NotFetchedError` where it is not there, or damaged.
        """
        read = self._objects.read(entry.object, largest)
        if read is None:
            stream = self._objects.stream(entry.object)
            if stream is None or stream.size <= largest:
                raise missing_in_tree(path, is_damaged=self._objects.has(entry.object))
        self._left_text -= len(read.data) if read else 0
        if self._left_text < 0:
            raise UsageError("a tree of git with too many attributes and patterns to be ignored")
        return read.data if read is not None and read.type == b"blob" else None


def missing_in_tree(path: bytes, *, is_damaged: bool = False) -> NotFetchedError:
    """Return the error for what a tree has at a path, and is not there, or cannot be read."""
    name = path.decode("utf-8", "replace")
    if is_damaged:
        message = f"what git has of {name} is damaged, or too large a delta"
        return NotFetchedError(message, hints=["see what is damaged: git fsck"])
    return not_fetched(name)


def in_order(entry: Entry) -> bytes:
    """Return what the entries of a tree are sorted by: as the paths of what is in them."""
    return entry.name + b"/" if entry.kind == FOLDER else entry.name
