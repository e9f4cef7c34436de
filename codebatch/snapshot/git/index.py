"""The index of a repository: which paths are tracked. Versions 2 to 4, split and sparse ones.

An index that is damaged, larger than `LARGEST_INDEX`, or in need of an extension that is not known
raises `ValueError`. Its checksum is not looked at, as git does not either unless asked to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from operator import gt, itemgetter
from typing import NamedTuple

from codebatch.snapshot.git.packs import read_offset
from codebatch.snapshot.ignore import GIT_IGNORE_FILE

LARGEST_INDEX = 128 * 2**20

_FOLDER_TYPE, _SUBMODULE_TYPE = 0o04, 0o16
_EXTENDED, _SKIP_WORKTREE, _INTENT_TO_ADD = 0x40, 0x40, 0x20
_STAGE = 0x30
_MODE_AT, _ID_AT = 24, 40
_KNOWN_REQUIRED = (b"link", b"sdir")
_LONGEST_PATH = 4096
# Flags of an entry: not in the work tree on purpose; all of a folder that is left out; another
# repository; to be added later; one side of a conflict.
_UNWRITTEN, _FOLDER, _SUBMODULE, INTENDED, CONFLICT = 1, 2, 4, 8, 16
_FLAGS_OF_TYPES = {_FOLDER_TYPE: _FOLDER, _SUBMODULE_TYPE: _SUBMODULE}

ReadFile = Callable[[bytes, int], bytes | None]


class IndexEntry(NamedTuple):
    """A path, its flags, its object, and its mode."""

    path: bytes
    flags: int
    name: bytes
    mode: int


class Index:
    """Tracked paths in byte order, with what is special about some of them.

    ``ignore_files`` are the objects of ignore files that are not in the work tree on purpose,
    ``sparse`` those of the folders that a sparse index stands for as a whole, by path. With
    ``fold``, the case of ASCII letters does not count, and all paths are in lower case.
    """

    def __init__(self, entries: list[IndexEntry], *, fold: bool) -> None:
        self._fold = fold
        self.sparse: dict[bytes, bytes] = {}
        self.ignore_files: dict[bytes, bytes] = {}
        for path, flags, name, _ in entries:
            if flags & _FOLDER:
                self.sparse[self._key(path).rstrip(b"/")] = name
            elif flags & _UNWRITTEN and path.rpartition(b"/")[2] == GIT_IGNORE_FILE:
                self.ignore_files[self._key(path)] = name
        if fold:
            lowered = (entry._replace(path=entry.path.lower()) for entry in entries)
            entries = sorted(lowered, key=itemgetter(0))
        self.paths = [entry.path for entry in entries]
        self.flags = bytes(entry.flags for entry in entries)
        if any(map(gt, self.paths, self.paths[1:])):
            raise ValueError("an index out of order")

    def has(self, path: bytes) -> bool:
        """Return True if the path itself is tracked."""
        path = self._key(path)
        at = bisect_left(self.paths, path)
        return self.paths[at : at + 1] == [path]

    def has_below(self, folder: bytes, *, written: bool = False) -> bool:
        """Return True if something in the folder is tracked; with ``written``, if that belongs
        into the work tree. ``b""`` is the top.
        """
        start = self._key(folder) + b"/" if folder else b""
        for place in range(bisect_left(self.paths, start), len(self.paths)):
            if not self.paths[place].startswith(start):
                return False
            if not (written and self.flags[place] & (_UNWRITTEN | _FOLDER)):
                return True
        return False

    def has_submodule(self, path: bytes) -> bool:
        """Return True if another repository is tracked under this path."""
        path = self._key(path)
        at = bisect_left(self.paths, path)
        return self.paths[at : at + 1] == [path] and bool(self.flags[at] & _SUBMODULE)

    def _key(self, path: bytes) -> bytes:
        return path.lower() if self._fold else path


def read_index(read: ReadFile, hash_size: int, *, fold: bool) -> Index:
    """Return the index in the git folder of which ``read`` returns files, of at most so many
    bytes; an empty one where there is none.
    """
    return Index(read_entries(read, hash_size), fold=fold)


def read_entries(read: ReadFile, hash_size: int) -> list[IndexEntry]:
    """Return the entries of the index in byte order, as `read_index` finds it."""
    data = read(b"index", LARGEST_INDEX)
    entries, link = ([], b"") if data is None else _parse(data, hash_size)
    base, deleted, replaced = _read_link(link, hash_size)
    if base:
        shared = read(b"sharedindex." + base.hex().encode(), LARGEST_INDEX)
        if shared is None:
            raise ValueError("no shared index")
        entries = _merged(_parse(shared, hash_size)[0], entries, deleted, replaced)
    return entries


def _parse(data: bytes, hash_size: int) -> tuple[list[IndexEntry], bytes]:
    """Return the entries of an index file, and what it says of another one that it is to be
    merged with.
    """
    version, count = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
    if data[:4] != b"DIRC" or version not in (2, 3, 4):
        raise ValueError("not an index")
    end, link = len(data) - hash_size, b""
    try:
        entries, at = _read_entries(data, count, hash_size, is_compressed=version == 4)
    except IndexError:
        raise ValueError("a cut index") from None
    while at + 8 <= end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        if name[:1] > b"Z" and name not in _KNOWN_REQUIRED:
            raise ValueError("an extension that is not known")
        if name == b"link":
            link = data[at + 8 : at + 8 + size]
        at += 8 + size
    return entries, link


def _read_entries(
    data: bytes, count: int, hash_size: int, *, is_compressed: bool
) -> tuple[list[IndexEntry], int]:
    """Return so many entries, whose paths may each begin as the one before, and their end."""
    entries, at, path, left = [], 12, b"", LARGEST_INDEX
    end, flags_at = len(data) - hash_size, _ID_AT + hash_size
    for _ in range(count):
        flags, start = 0, at + flags_at + 2
        if data[start - 2] & _EXTENDED:
            flags = _UNWRITTEN if data[start] & _SKIP_WORKTREE else 0
            flags |= INTENDED if data[start] & _INTENT_TO_ADD else 0
            start += 2
        kept = b""
        if is_compressed:
            dropped, start = read_offset(data, start)
            kept = path[: max(0, len(path) - dropped)]
        stop = data.index(b"\0", start, end)
        path = kept + data[start:stop]
        left -= len(path)
        if left < 0 or len(path) > _LONGEST_PATH:
            raise ValueError("paths that are too long")
        mode = data[at + _MODE_AT + 2] << 8 | data[at + _MODE_AT + 3]
        flags |= _FLAGS_OF_TYPES.get(mode >> 12, 0)
        flags |= CONFLICT if data[at + flags_at] & _STAGE else 0
        entries.append(IndexEntry(path, flags, data[at + _ID_AT : at + flags_at], mode))
        at = stop + 1 if is_compressed else at + (stop - at + 8 & ~7)
    if at > end:
        raise ValueError("a cut index")
    return entries, at


def _read_link(link: bytes, hash_size: int) -> tuple[bytes, set[int], list[int]]:
    """Return the name of the shared index, none if it is zero, and which of its entries are
    deleted and which replaced.
    """
    base = link[:hash_size]
    if not any(base):
        return b"", set(), []
    if len(link) == hash_size:
        return base, set(), []
    deleted, at = _read_bitmap(link, hash_size)
    replaced, _ = _read_bitmap(link, at)
    return base, set(deleted), replaced


def _read_bitmap(data: bytes, at: int) -> tuple[list[int], int]:
    """Return the bits that are set in an EWAH bitmap, and where it ends.

    Words of 64 bits: a marker with a bit, how often it fills a word, and how many words follow.
    """
    size, count = (int.from_bytes(data[at + n : at + n + 4], "big") for n in (0, 4))
    end = at + 8 + 8 * count
    if end > len(data) or size > LARGEST_INDEX // _ID_AT:
        raise ValueError("a bitmap that is too large")
    words = [int.from_bytes(data[n : n + 8], "big") for n in range(at + 8, end, 8)]
    return list(_set_bits(words, size)), end + 4


def _set_bits(words: list[int], size: int) -> Iterator[int]:
    place = at = 0
    while at < len(words) and place < size:
        fill, filled, follow = words[at] & 1, words[at] >> 1 & 0xFFFFFFFF, words[at] >> 33
        if fill:
            yield from range(place, min(place + 64 * filled, size))
        place += 64 * filled
        for word in words[at + 1 : at + 1 + follow]:
            yield from (place + bit for bit in range(64) if word >> bit & 1)
            place += 64
        at += 1 + follow


def _merged(
    base: list[IndexEntry], own: list[IndexEntry], deleted: set[int], replaced: list[int]
) -> list[IndexEntry]:
    """Return the entries of a split index: those that replace one come first, without a path."""
    if len(replaced) > len(own) or any(place >= len(base) for place in replaced):
        raise ValueError("a split index that does not fit")
    for place, entry in zip(replaced, own, strict=False):
        base[place] = entry._replace(path=base[place].path)
    kept = [entry for place, entry in enumerate(base) if place not in deleted]
    return sorted(kept + own[len(replaced) :], key=itemgetter(0))
