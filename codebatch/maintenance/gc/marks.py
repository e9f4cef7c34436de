"""Which objects a store needs: those that its snapshots and batches refer to.

Digests are held as their 32 bytes, by their first byte, so that they can be looked up one part
of the store at a time; the marks of a store take some 40 bytes an object.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from binascii import unhexlify
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import CodeBatchError
from codebatch.store import ABSENT, StoreDirectory, parse_chunks, reporting_read_errors, too_large
from codebatch.store.inventory import batch_folders, find_file, snapshot_folders
from codebatch.store.layout import CHUNK_BYTES, INDEX_BYTES, INPUTS, MANIFEST, PLAN
from codebatch.store.objects.compression import CompressionError, FrameReader
from codebatch.store.outputs import is_compressed

_OBJECT = re.compile(rb'"object":"sha256:([0-9a-f]{64})"')
_OBJECT_START = b'"object":"sha256:'
_CHUNKED = b'"chunked":true'
_WIDTH = 32
_LEAST_BYTES = 2**16
_PORTION = 2**24
_LONGEST_LINE = 2**24


class DigestSet:
    """Digests, by their first byte.

    State: ``_parts`` has them one after the other, some of them twice, ``_limits`` the sizes at
    which a part is looked through for these.
    """

    def __init__(self) -> None:
        self._parts = [bytearray() for _ in range(256)]
        self._limits = [_LEAST_BYTES] * 256

    def add(self, digests: Iterable[bytes]) -> None:
        """Add digests, each as its 32 bytes."""
        for digest in digests:
            part = self._parts[digest[0]]
            part += digest
            if len(part) >= self._limits[digest[0]]:
                self._compact(digest[0])

    def starting_with(self, first: int) -> frozenset[bytes]:
        """Those with this first byte."""
        part = bytes(self._parts[first])
        return frozenset(part[i : i + _WIDTH] for i in range(0, len(part), _WIDTH))

    def _compact(self, first: int) -> None:
        self._parts[first] = bytearray().join(self.starting_with(first))
        self._limits[first] = max(_LEAST_BYTES, 2 * len(self._parts[first]))


def mark_objects(store: StoreDirectory, removed: Iterable[Path]) -> DigestSet:
    """The objects of all snapshots and batches, and of ``removed`` ones on which a writer may
    still rely. `StoreDamagedError` where the manifest of a snapshot cannot be believed: what it
    does not list any more would be lost.
    """
    marks = DigestSet()
    for snapshot_id in store.snapshots.ids():
        marks.add(digests_in(store.snapshots.read_manifest(snapshot_id)))
    for folder in (*snapshot_folders(store.layout), *removed):
        for data in _lines_of(store, folder / MANIFEST):
            marks.add(digests_in(data))
    for data in batch_data(store, [*batch_folders(store.layout), *removed]):
        marks.add(digests_in(data))
        if _CHUNKED in data:
            marks.add(_chunks(store, data))
    return marks


def batch_data(store: StoreDirectory, folders: Iterable[Path]) -> Iterator[bytes]:
    """The plans, inputs and outputs of batches; outputs that several share as a file come once."""
    seen: set[tuple[int, int]] = set()
    for folder in folders:
        yield from _lines_of(store, folder / PLAN)  # its settings may name objects
        yield from _lines_of(store, folder / INPUTS)
        for path in store.layout.in_shards(folder, *store.layout.outputs_names):
            file = find_file(store.layout.door, path)
            if file is None or file.inode in seen:
                continue
            if file.links > 1:
                seen.add(file.inode)
            yield from _lines_of(store, path)


def _lines_of(store: StoreDirectory, path: Path) -> Iterator[bytes]:
    """The lines of a file in portions of whole ones: it may be of any length, and not a line."""
    try:
        with reporting_read_errors(path), store.layout.door.stream(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > INDEX_BYTES:
                raise too_large(store.layout.door.place(path), size, INDEX_BYTES)
            rest = b""
            for data in _portions_of(path, stream.read):
                lines, end, rest = (rest + data).rpartition(b"\n")
                yield lines + end
                if len(rest) > _LONGEST_LINE:  # no reference is as long as what is kept of it
                    yield rest
                    rest = rest[-_LEAST_BYTES:]
            yield rest
    except ABSENT:
        return


def _portions_of(path: Path, read: Callable[[int], bytes]) -> Iterator[bytes]:
    if not is_compressed(path):
        yield from iter(partial(read, _PORTION), b"")
        return
    # No reader takes what is damaged for outputs, so what it refers to is not needed.
    with contextlib.suppress(CompressionError):
        yield from FrameReader(read, INDEX_BYTES)


def digests_in(data: bytes) -> set[bytes]:
    """The objects that lines of canonical JSON refer to. In a string, the quotes are escaped."""
    if _OBJECT_START not in data:
        return set()
    return set(map(unhexlify, _OBJECT.findall(data)))


def _chunks(store: StoreDirectory, data: bytes) -> Iterator[bytes]:
    """The chunks of values that are cut into several objects."""
    for line in data.splitlines():
        if _CHUNKED in line:
            # Else the value cannot be read in any case.
            with contextlib.suppress(CodeBatchError, KeyError, TypeError, ValueError):
                for digest in parse_chunks(
                    store.objects.read(json.loads(line)["object"], CHUNK_BYTES)
                ):
                    yield unhexlify(digest[len(DIGEST_PREFIX) :])
