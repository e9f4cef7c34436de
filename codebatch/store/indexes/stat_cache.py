"""What source trees were like when they were last read, so that they are not read again.

For each root there is one file below ``indexes/``: a checksum, a header in canonical JSON, then
statuses, paths and places of objects as three blocks of bytes, laid out so that a tree which has
not changed is recognised without an object for each of its files. A file that is damaged, or
is not what it should be, counts as absent. What the statuses mean is not this module's concern:
it stores them, a fixed number of bytes for each path.
"""

from __future__ import annotations

import hashlib
import json
import re
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from codebatch.model.digest import DIGEST_PREFIX, Document, canonical_json
from codebatch.model.errors import StoreError
from codebatch.store.door import Door
from codebatch.store.files import has_bytes, read_file, write_file
from codebatch.store.indexes.shard_folders import freshen
from codebatch.store.layout import CACHE_BYTES, COMPRESSED_SUFFIX, Layout

_FORMAT = "codebatch-stat-cache/1"
_CHECKSUM_BYTES = 64
_LOCATION = re.compile(
    rb"([0-9a-f]{2})/([0-9a-f]{2})/(?P<name>\1\2[0-9a-f]{60})(?:"
    + re.escape(COMPRESSED_SUFFIX.encode())
    + rb")?|(?P<packed>[0-9a-f]{64})@[0-9a-f]{64}"
)


class CachedTree(NamedTuple):
    """A tree as it was.

    ``circumstances`` is what else its snapshot depends on, ``answer`` the snapshot. ``paths``
    are those of the files, as many as there are ``locations`` of objects and in the same order,
    then those of whatever else was looked at; ``statuses`` belong to them. ``absent`` is
    what was looked for and not there.
    """

    circumstances: Document
    answer: Document
    statuses: bytes
    paths: list[bytes]
    locations: list[bytes]
    absent: list[bytes]

    def digest(self, index: int) -> str | None:
        """The digest of a file's object; None where its location is none."""
        match = _LOCATION.fullmatch(self.locations[index])
        return match and DIGEST_PREFIX + (match["name"] or match["packed"]).decode()


class StatCache:
    """The cache of one source tree, named by whatever tells it from other trees."""

    def __init__(self, layout: Layout, name: bytes, status_bytes: int) -> None:
        self._door = layout.door
        self._path = layout.stat_cache(hashlib.sha256(name).hexdigest()[:32])
        self._status_bytes = status_bytes

    def load(self, now_ns: int) -> CachedTree | None:
        """Return the tree saved last, if it is whole; note now and then that it is used."""
        try:
            freshen(self._door, self._path, now_ns)
            data = read_file(self._door, self._path, CACHE_BYTES)
        except StoreError:
            return None  # not to be read: as good as not there
        return None if data is None else _parse(data, self._status_bytes)

    def save(self, tree: CachedTree) -> None:
        """Replace what was saved; where nothing can be written, nothing is kept."""
        paths, absent = b"\0".join(tree.paths), b"\0".join(tree.absent)
        header = {
            "format": _FORMAT,
            "circumstances": tree.circumstances,
            "answer": tree.answer,
            "counts": [len(tree.paths), len(tree.locations), len(tree.absent)],
            "bytes": [len(tree.statuses), len(paths), len(absent)],
        }
        blocks = (tree.statuses, paths, absent, b"\0".join(tree.locations))
        data = _with_checksum(canonical_json(header) + b"\n", *blocks)
        try:
            if not has_bytes(self._door, self._path, data):
                write_file(self._door, self._path, data, durable=False)
        except StoreError:
            return  # the next snapshot reads the tree again, and that is all


def root_of(door: Door, path: Path) -> tuple[str, str] | None:
    """The machine and the folder that a cache is about; None where it does not say."""
    try:
        header = json.loads(door.read(path, CACHE_BYTES)[_CHECKSUM_BYTES:].partition(b"\n")[0])
        circumstances = header["circumstances"]
        return str(circumstances["host"]), str(circumstances["root"])
    except (OSError, StoreError, KeyError, TypeError, ValueError, RecursionError):
        return None


def _with_checksum(*parts: bytes) -> bytes:
    """The parts behind their checksum, put together once: they may be very large."""
    checksum = hashlib.sha256()
    for part in parts:
        checksum.update(part)
    return b"".join((checksum.hexdigest().encode(), *parts))


def _parse(data: bytes, status_bytes: int) -> CachedTree | None:
    body = memoryview(data)[_CHECKSUM_BYTES:]
    if hashlib.sha256(body).hexdigest().encode() != data[:_CHECKSUM_BYTES]:
        return None
    end = data.find(b"\n", _CHECKSUM_BYTES)
    try:
        header = json.loads(data[_CHECKSUM_BYTES:end])
        if header["format"] != _FORMAT:
            return None
        edges = [*accumulate(header["bytes"], initial=end + 1), len(data)]
        blocks = [data[start:stop] for start, stop in pairwise(edges)]
        # Counted before they are taken apart: a path may be no bytes long.
        number, absences, placed = map(_count, blocks[1:])
        if header["counts"] != [number, placed, absences] or placed > number:
            return None
        if len(blocks[0]) != status_bytes * number or any(map(_leads_outside, blocks[1:3])):
            return None
        paths, absent, locations = map(_split, blocks[1:])
        return CachedTree(
            dict(header["circumstances"]),
            dict(header["answer"]),
            blocks[0],
            paths,
            locations,
            absent,
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None  # a checksum that is right does not make the content so


def _count(block: bytes) -> int:
    return block.count(b"\0") + 1 if block else 0


def _split(block: bytes) -> list[bytes]:
    return block.split(b"\0") if block else []


def _leads_outside(block: bytes) -> bool:
    """Return True if any of the paths is absolute or has a component ``..``."""
    framed = b"\0" + block + b"\0"
    return b"\0/" in framed or b"\0..\0" in framed.replace(b"/", b"\0")
