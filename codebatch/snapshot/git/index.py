"""The index of a repository: which paths are tracked. Versions 2 to 4, split and sparse ones.

An index that is damaged, larger than `LARGEST_INDEX`, or in need of an extension that is not known
raises `ValueError`. Its checksum is not looked at, as git does not either unless asked to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator

from codebatch.snapshot.ignore import GIT_IGNORE_FILE

LARGEST_INDEX = 128 * 2**20

_FOLDER_TYPE, _SUBMODULE_TYPE = 0o04, 0o16
_FILE_TYPE = 0o10
_EXTENDED, _SKIP_WORKTREE = 0x40, 0x40
_MODE_AT, _ID_AT = 24, 40
_KNOWN_REQUIRED = (b"link", b"sdir")
_LONGEST_PATH = 4096
# Flags of an entry: not in the work tree on purpose; all of a folder that is left out; another
# repository.
_UNWRITTEN, _FOLDER, _SUBMODULE = 1, 2, 4
_FLAGS_OF_TYPES = {_FOLDER_TYPE: _FOLDER, _SUBMODULE_TYPE: _SUBMODULE}

ReadFile = Callable[[bytes, int], bytes | None]


class Index:
    """Tracked paths in byte order, with what is special about some of them.

    ``ignore_files`` are the objects of ignore files that are not in the work tree on purpose,
    ``sparse`` those of the folders that a sparse index stands for as a whole, by path. With
    ``fold``, the case of ASCII letters does not count, and all paths are in lower case.
    """

    def __init__(self, entries: _Entries, *, fold: bool) -> None:
        self._fold = fold
        if fold:
            entries = _folded(entries)
        self.paths = entries.paths
        self.sparse: dict[bytes, bytes] = {}
        self.ignore_files: dict[bytes, bytes] = {}
        self.flags = entries.flags
        for place, name in entries.objects.items():
            path = self.paths[place]
            if self.flags[place] & _FOLDER:
                self.sparse[path.rstrip(b"/")] = name
            else:
                self.ignore_files[path] = name
        if any(one > other for one, other in zip(self.paths, self.paths[1:], strict=False)):
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
    data = read(b"index", LARGEST_INDEX)
    if data is None:
        return Index(_Entries(b"", hash_size), fold=fold)
    entries = _Entries(data, hash_size)
    base, deleted, replaced = _read_link(entries.link, hash_size)
    if not base:
        return Index(entries, fold=fold)
    shared = read(b"sharedindex." + base.hex().encode(), LARGEST_INDEX)
    if shared is None:
        raise ValueError("no shared index")
    merged = _merged(_Entries(shared, hash_size), entries, deleted, replaced)
    return Index(merged, fold=fold)


class _Entries:
    """The entries of an index file by place: ``flags``, and ``objects`` where they matter.

    ``link`` is what the file says of another one that it is to be merged with.
    """

    def __init__(self, data: bytes, hash_size: int) -> None:
        self.paths: list[bytes] = []
        self.flags = bytearray()
        self.objects: dict[int, bytes] = {}
        self.link = b""
        self._hash_size = hash_size
        if data:
            try:
                self._read(data)
            except IndexError:
                raise ValueError("a cut index") from None

    def add(self, path: bytes, flags: int, name: bytes | None) -> None:
        """Add an entry; ``name`` is its object."""
        if name and (flags & _FOLDER or path.rpartition(b"/")[2] == GIT_IGNORE_FILE):
            self.objects[len(self.paths)] = name
        self.paths.append(path)
        self.flags.append(flags)

    def _read(self, data: bytes) -> None:
        version, count = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
        if data[:4] != b"DIRC" or version not in (2, 3, 4):
            raise ValueError("not an index")
        end = len(data) - self._hash_size
        at = self._read_entries(data, count, end, is_compressed=version == 4)
        while at + 8 <= end:
            name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
            if name[:1] > b"Z" and name not in _KNOWN_REQUIRED:
                raise ValueError("an extension that is not known")
            if name == b"link":
                self.link = data[at + 8 : at + 8 + size]
            at += 8 + size

    def _read_entries(self, data: bytes, count: int, end: int, *, is_compressed: bool) -> int:
        """Read so many entries, whose paths may each begin as the one before; return the end."""
        at, path, left = 12, b"", LARGEST_INDEX
        flags_at = _ID_AT + self._hash_size
        for _ in range(count):
            flags, name = 0, None
            start = at + flags_at + 2
            if data[start - 2] & _EXTENDED:
                flags = _UNWRITTEN if data[start] & _SKIP_WORKTREE else 0
                start += 2
            kept = b""
            if is_compressed:
                dropped, start = _varint(data, start)
                kept = path[: max(0, len(path) - dropped)]
            stop = data.index(b"\0", start, end)
            path = kept + data[start:stop]
            left -= len(path)
            if left < 0 or len(path) > _LONGEST_PATH:
                raise ValueError("paths that are too long")
            kind = data[at + _MODE_AT + 2] >> 4
            if kind != _FILE_TYPE:
                flags |= _FLAGS_OF_TYPES.get(kind, 0)
            if flags:
                name = data[at + _ID_AT : at + flags_at]
            self.add(path, flags, name)
            at = stop + 1 if is_compressed else at + (stop - at + 8 & ~7)
        if at > end:
            raise ValueError("a cut index")
        return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, as an offset is written in a pack, and its end."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1 << 7) | (data[at] & 0x7F)
    return value, at + 1


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


def _merged(base: _Entries, own: _Entries, deleted: set[int], replaced: list[int]) -> _Entries:
    """Return the entries of a split index: those that replace one come first, without a path."""
    if len(replaced) > len(own.paths) or any(place >= len(base.paths) for place in replaced):
        raise ValueError("a split index that does not fit")
    others = dict(zip(replaced, range(len(replaced)), strict=True))
    found = [
        (path, own, others[place]) if place in others else (path, base, place)
        for place, path in enumerate(base.paths)
        if place not in deleted
    ]
    found += [(own.paths[place], own, place) for place in range(len(replaced), len(own.paths))]
    merged = _Entries(b"", 0)
    for path, source, place in sorted(found, key=lambda entry: entry[0]):
        merged.add(path, source.flags[place], source.objects.get(place))
    return merged


def _folded(entries: _Entries) -> _Entries:
    folded = _Entries(b"", 0)
    for place in sorted(range(len(entries.paths)), key=lambda place: entries.paths[place].lower()):
        flags, name = entries.flags[place], entries.objects.get(place)
        folded.add(entries.paths[place].lower(), flags, name)
    return folded
