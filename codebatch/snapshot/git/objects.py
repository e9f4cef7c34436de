"""Objects of a repository: loose ones and those in its packs, read with bounds.

Only what the repository's own folder holds, and folders that it shares inside of its work tree;
nothing is fetched. An object that is missing, damaged, too large, or of another content than its
name says is not there.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from codebatch.model.errors import NotFetchedError
from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git.packs import BY_NAME, BY_OFFSET, Pack, Packs, read_size

LARGEST_OBJECT = 8 * 2**20
# Of what git has as a delta, all has to be held at once. Larger files it packs as they are, if
# they have 512 MiB.
LARGEST_DELTIFIED = 64 * 2**20
_LONGEST_CHAIN = 4096
_LARGEST_KEPT = 2**20
_MOST_KEPT = 32 * 2**20
_PORTION = 2**16
_TYPES = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
_LONGEST_HEADER = 32
_FEWEST_DIGITS = 4
_MOST_LISTED = 10_000


class GitObject(NamedTuple):
    """An object's type, such as ``blob``, and its content."""

    type: bytes
    data: bytes


class ObjectStream(NamedTuple):
    """An object of any size: its type, its size, and its content in portions, which end in
    ``ValueError`` where they are not what the object's name says.
    """

    type: bytes
    size: int
    portions: Iterator[bytes]


class _Bounds:
    """What may still be unpacked for the sake of one object, along a chain of deltas."""

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self._steps, self._bytes = _LONGEST_CHAIN, 16 * largest

    def step(self, size: int) -> None:
        """Account for a piece of this size; ``ValueError`` where it is too much."""
        self._steps -= 1
        self._bytes -= size
        if self._steps < 0 or self._bytes < 0:
            raise ValueError("too much to unpack")


class Objects:
    """The objects below one folder ``objects``, and below further ones that it shares, to be used
    in a ``with`` block or closed, which closes the folders.

    State: ``_packs`` once one was looked for there; ``_kept`` are the objects of packs that were
    unpacked last, as others are based on them.
    """

    def __init__(self, folder: Folder, hash_size: int, shared: tuple[Folder, ...] = ()) -> None:
        self._folders = (folder, *shared)
        self._hash_size = hash_size
        self._packs: dict[int, Packs] = {}
        self._pack_folders: list[Folder] = []
        self._kept: OrderedDict[tuple[int, int], GitObject] = OrderedDict()
        self._kept_bytes = 0

    def __enter__(self) -> Objects:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptors back."""
        for packs in self._packs.values():
            packs.close()
        for folder in (*self._pack_folders, *self._folders):
            folder.close()
        self._packs.clear()
        self._pack_folders.clear()

    def read(self, name: bytes, largest: int = LARGEST_OBJECT) -> GitObject | None:
        """Return the object of this binary name."""
        try:
            found = self._find(name, _Bounds(largest))
        except (OSError, ValueError, IndexError, zlib.error):
            return None
        if found is None or self._hash(found.type, len(found.data), found.data) != name:
            return None
        return found

    def stream(self, name: bytes) -> ObjectStream | None:
        """Return an object of any size; one that is a delta has at most `LARGEST_DELTIFIED`."""
        with suppress(OSError, ValueError, IndexError, zlib.error):
            for folder in self._folders:
                if (loose := _loose(folder, name)) is not None:
                    return self._checked(name, loose)
            found = self._packed(name)
            if found is not None:
                pack, offset = found
                packed = pack.at(offset)
                if packed.kind in _TYPES:
                    stream = ObjectStream(_TYPES[packed.kind], packed.size, pack.inflated(packed))
                    return self._checked(name, stream)
        read = self.read(name, LARGEST_DELTIFIED)
        return read and ObjectStream(read.type, len(read.data), iter((read.data,)))

    def has(self, name: bytes) -> bool:
        """Return True if there is such an object, whatever it holds."""
        spelled = name.hex().encode()
        path = spelled[:2] + b"/" + spelled[2:]
        is_loose = any(folder.status(path) is not None for folder in self._folders)
        return is_loose or self._packed(name) is not None

    def names_beginning(self, digits: str) -> set[bytes]:
        """Return the names that begin with these hexadecimal digits, at least four."""
        if not _FEWEST_DIGITS <= len(digits) <= 2 * self._hash_size:
            return set()
        start = bytes.fromhex(digits.ljust(2 * self._hash_size, "0"))
        found: set[bytes] = set()
        for number in range(len(self._folders)):
            found.update(self._loose_names(number, digits[:2]))
            if packs := self._packs_of(number):
                found.update(packs.names_from(start, _MOST_LISTED))
        return {name for name in found if name.hex().startswith(digits)}

    def _loose_names(self, number: int, two: str) -> Iterator[bytes]:
        with suppress(OSError), self._folders[number].open(two.encode()) as folder:
            for file in os.listdir(folder.descriptor):
                with suppress(ValueError):
                    if len(name := bytes.fromhex(two + file)) == self._hash_size:
                        yield name

    def _hash(self, kind: bytes, size: int, data: bytes = b"") -> bytes:
        return self._hasher(kind, size, data).digest()

    def _hasher(self, kind: bytes, size: int, data: bytes = b"") -> hashlib._Hash:
        algorithm = "sha1" if self._hash_size == 20 else "sha256"
        found = hashlib.new(algorithm, b"%s %d\0" % (kind, size), usedforsecurity=False)
        found.update(data)
        return found

    def _checked(self, name: bytes, stream: ObjectStream) -> ObjectStream:
        def portions() -> Iterator[bytes]:
            found = self._hasher(stream.type, stream.size)
            try:
                for portion in stream.portions:
                    found.update(portion)
                    yield portion
            except (zlib.error, IndexError) as error:
                raise ValueError("a damaged object") from error
            if found.digest() != name:
                raise ValueError("an object of another name")

        return stream._replace(portions=portions())

    def _find(self, name: bytes, bounds: _Bounds) -> GitObject | None:
        loose = self._unpacked(name, bounds)
        found = None if loose else self._packed(name)
        return self._at(*found, bounds) if found else loose

    def _unpacked(self, name: bytes, bounds: _Bounds) -> GitObject | None:
        for folder in self._folders:
            with suppress(OSError, ValueError, zlib.error):  # a damaged one may be in a pack, too
                loose = _loose(folder, name)
                if loose is not None and loose.size <= bounds.largest:
                    return GitObject(loose.type, b"".join(loose.portions))
        return None

    def _packs_of(self, number: int) -> Packs | None:
        if number not in self._packs:
            try:
                folder = self._folders[number].open(b"pack")
            except OSError:
                return None
            self._pack_folders.append(folder)
            self._packs[number] = Packs(folder, self._hash_size)
        return self._packs[number]

    def _packed(self, name: bytes) -> tuple[Pack, int] | None:
        for number in range(len(self._folders)):
            packs = self._packs_of(number)
            found = packs and packs.find(name)
            if found:
                return found
        return None

    def _at(self, pack: Pack, offset: int, bounds: _Bounds) -> GitObject | None:
        """Return the object at a place in a pack, deltas applied to what they are based on."""
        deltas: list[tuple[Pack, int, bytes]] = []
        while (found := self._kept.get((id(pack), offset))) is None:
            packed = pack.at(offset)
            if packed.size > bounds.largest:
                return None
            bounds.step(packed.size)
            data = b"".join(pack.inflated(packed))
            if packed.kind in _TYPES:
                found = GitObject(_TYPES[packed.kind], data)
                break
            deltas.append((pack, offset, data))
            if packed.kind == BY_NAME:
                if (found := self._unpacked(packed.base_name, bounds)) is not None:
                    break
                place = self._packed(packed.base_name)
                if place is None:
                    return None
                pack, offset = place
            elif packed.kind == BY_OFFSET:
                offset = packed.base_offset
            else:
                raise ValueError("a type that is not known")
        self._keep(pack, offset, found)
        for pack, offset, delta in reversed(deltas):
            found = found._replace(data=_applied(delta, found.data, bounds))
            self._keep(pack, offset, found)
        return found

    def _keep(self, pack: Pack, offset: int, found: GitObject) -> None:
        if (id(pack), offset) in self._kept:
            self._kept.move_to_end((id(pack), offset))
            return
        if len(found.data) > _LARGEST_KEPT:
            return
        self._kept[id(pack), offset] = found
        self._kept_bytes += len(found.data) + 200
        while self._kept_bytes > _MOST_KEPT:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1].data) + 200


def _loose(folder: Folder, name: bytes) -> ObjectStream | None:
    """Return what the file of an object holds; None where there is none."""
    spelled = name.hex().encode()
    try:
        descriptor = folder.open_file(spelled[:2] + b"/" + spelled[2:])
    except FileNotFoundError:
        return None
    portions = _portions_of_loose(descriptor)
    kind, _, size = next(portions).partition(b" ")
    return ObjectStream(kind, int(size), portions)


def _portions_of_loose(descriptor: int) -> Iterator[bytes]:
    """Yield the header of an object and then its content. One that has begun closes its file when
    nothing wants the rest.
    """
    try:
        stream = zlib.decompressobj()
        start = stream.decompress(os.read(descriptor, _PORTION), _PORTION)
        header, end, content = start.partition(b"\0")
        size = header.partition(b" ")[2]
        if not end or len(header) > _LONGEST_HEADER or not size.isdigit():
            raise ValueError("not an object")
        yield header
        left = int(size)
        while (left := left - len(content)) >= 0:
            yield content
            if stream.eof:
                break
            portion = stream.unconsumed_tail or os.read(descriptor, _PORTION)
            if not portion:
                break
            content = stream.decompress(portion, 16 * _PORTION)
        if left or not stream.eof:
            raise ValueError("an object of another size")
    finally:
        os.close(descriptor)


def _applied(delta: bytes, base: bytes, bounds: _Bounds) -> bytes:
    """Return what a delta makes of its base: pieces of the base, and bytes of its own."""
    base_size, at = read_size(delta, 0)
    size, at = read_size(delta, at)
    if size > bounds.largest:
        raise ValueError("an object that is too large")
    bounds.step(size)
    found = bytearray()
    while at < len(delta) and len(found) <= size:
        command = delta[at]
        at += 1
        if not command:
            raise ValueError("a command that is not known")
        if not command & 0x80:
            found += delta[at : at + command]
            at += command
            continue
        start = length = 0
        for bit in range(4):
            if command >> bit & 1:
                start |= delta[at] << 8 * bit
                at += 1
        for bit in range(3):
            if command >> bit & 0x10:
                length |= delta[at] << 8 * bit
                at += 1
        length = length or 0x10000
        if start + length > len(base):
            raise ValueError("a delta that does not fit")
        found += base[start : start + length]
    if base_size != len(base) or size != len(found):
        raise ValueError("a delta that does not fit")
    return bytes(found)


def not_fetched(what: str) -> NotFetchedError:
    """Return the error for what should be among the objects and is not."""
    return NotFetchedError(
        f"git has not all that is needed here: {what} is missing",
        hints=[
            "of a partial clone, fetch the rest: git fetch --refetch --no-filter",
            "of one with objects elsewhere (--shared, --reference): git repack -a -d",
        ],
    )


def entries_of_tree(data: bytes, hash_size: int) -> dict[bytes, tuple[bytes, bytes]]:
    """Return mode and object by name of what is in a tree object."""
    return {name: (mode, found) for name, mode, found in listed_in_tree(data, hash_size)}


def listed_in_tree(data: bytes, hash_size: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield name, mode and object of what is in a tree object, as often as it is there."""
    at = 0
    while (space := data.find(b" ", at)) > 0 and (end := data.find(b"\0", space)) > 0:
        yield data[space + 1 : end], data[at:space], data[end + 1 : end + 1 + hash_size]
        at = end + 1 + hash_size
