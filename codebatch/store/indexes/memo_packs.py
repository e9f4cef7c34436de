"""The memo in packs, as it lies at a remote: archives of the memo of a bounded size.

A pack is named by the digest of its bytes, and the same entries with the same objects give the same
packs. Each has whole entries: what an entry refers to is in the same pack. So any pack may be
missing, and costs no more than its own entries.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from operator import itemgetter

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import ArchiveInvalidError, StoreError
from codebatch.store.indexes.memo import (
    MemoStore,
    entries_in,
    is_by_batch,
    key_in,
    load_segment,
    make_segment,
    unpack_entry,
)
from codebatch.store.indexes.memo_archive import (
    ArchiveReport,
    Member,
    import_archive,
    members_of,
    new_archive,
    raw_object,
)
from codebatch.store.layout import CHUNK_BYTES
from codebatch.store.objects.compression import compress, declared_size
from codebatch.store.store import StoreDirectory

PACK_BYTES = 128 * 2**20  # at most, of a whole one
TARGET_BYTES = 32 * 2**20  # of entries before, and objects after compression
_MOST_UNPACKED_BYTES = 2**30

Entries = Iterable[tuple[str, bytes]]  # the id of a shard, and an entry as it is packed
FindObject = Callable[[bytes], bytes | None]  # 32 bytes of a digest to the compressed object


@dataclass(frozen=True)
class Pack:
    """The bytes of a pack, the keys of its entries in order, and how many objects it has."""

    data: bytes
    keys: tuple[bytes, ...]
    objects: int

    @cached_property
    def digest(self) -> str:
        """The 64 hex digits that name it."""
        return hashlib.sha256(self.data).hexdigest()


def pack_memo(
    store: StoreDirectory,
    is_wanted: Callable[[bytes], bool],
    shard_ids: Collection[str] | None = None,
    batch_id: str | None = None,
) -> Iterator[Pack]:
    """Yield packs of the entries with the keys that are wanted; of these shards alone, or those
    that a batch has computed. Those whose objects are not there, whole, are left out.
    """

    def find_object(digest: bytes) -> bytes | None:
        try:
            return compress(store.objects.read(DIGEST_PREFIX + digest.hex(), CHUNK_BYTES))
        except StoreError:
            return None  # such an entry is not used, here or there

    return _packs(_entries(store, is_wanted, shard_ids, batch_id), find_object)


def merge_packs(packs: Collection[bytes]) -> Iterator[Pack]:
    """Yield packs that hold what these hold; `ArchiveInvalidError` where one is none."""
    entries: dict[tuple[str, bytes], bytes] = {}
    objects: dict[bytes, bytes] = {}
    for data in packs:
        name = hashlib.sha256(data).hexdigest()
        for member in _members(data, name):
            if not member.prefix:
                raw_object(member, name)
                objects[bytes.fromhex(member.name)] = member.data
            for packed in entries_in(member.name, member.data) if member.prefix else ():
                entries[member.prefix, key_in(packed)] = packed
    ordered = ((prefix, packed) for (prefix, _), packed in sorted(entries.items()))
    return _packs(ordered, objects.get)


def import_pack(store: StoreDirectory, data: bytes, name: str) -> ArchiveReport:
    """Add what a pack remembers; `ArchiveInvalidError` where it is none."""
    for _ in _members(data, name):
        pass  # nothing of it is taken before all was looked at
    return import_archive(store, io.BytesIO(data), name)


def known_keys(store: StoreDirectory) -> Iterator[bytes]:
    """Yield the keys of all entries of the memo."""
    for _, path in MemoStore(store.layout).segments():
        yield from map(key_in, load_segment(store.layout.door, path))


def _members(data: bytes, name: str) -> Iterator[Member]:
    """Yield the members of a pack; what unpacks to too much is none."""
    unpacked = 0
    for member in members_of(io.BytesIO(data), name):
        size = declared_size(member.data)
        unpacked += _MOST_UNPACKED_BYTES if size is None else size
        if unpacked > _MOST_UNPACKED_BYTES:
            raise ArchiveInvalidError(f"cannot import {name}: it unpacks to too much")
        yield member


def _entries(
    store: StoreDirectory,
    is_wanted: Callable[[bytes], bool],
    shard_ids: Collection[str] | None,
    batch_id: str | None,
) -> Entries:
    for shard_id, segments in groupby(MemoStore(store.layout).segments(), key=itemgetter(0)):
        if shard_ids is not None and shard_id not in shard_ids:
            continue
        found = {
            key: packed
            for _, path in segments
            for packed in load_segment(store.layout.door, path)
            if is_wanted(key := key_in(packed))
            and (batch_id is None or is_by_batch(packed, batch_id))
        }
        yield from ((shard_id, found[key]) for key in sorted(found))


def _packs(entries: Entries, find_object: FindObject) -> Iterator[Pack]:
    """Yield packs of entries, which are in order; those without all of their objects are left
    out, and those that would take a pack alone.
    """
    filling = _Filling()
    for shard_id, packed in entries:
        entry = unpack_entry(packed)
        objects = {} if entry is None else {one: find_object(one) for one in entry[3]}
        if entry is None or None in objects.values():
            continue
        found = {digest: data for digest, data in objects.items() if data is not None}
        size = len(packed) + sum(map(len, found.values()))
        if size > TARGET_BYTES:
            continue
        if filling.size + size > TARGET_BYTES:
            yield filling.pack()
            filling = _Filling()
        filling.add(shard_id, packed, found, size)
    if filling.size:
        yield filling.pack()


@dataclass
class _Filling:
    """A pack that is being filled."""

    size: int = 0
    entries: dict[str, list[bytes]] = field(default_factory=dict)
    objects: dict[bytes, bytes] = field(default_factory=dict)

    def add(self, shard_id: str, packed: bytes, objects: dict[bytes, bytes], size: int) -> None:
        self.entries.setdefault(shard_id, []).append(packed)
        self.objects |= objects
        self.size += size

    def pack(self) -> Pack:
        stream = io.BytesIO()
        with new_archive(stream) as add:
            for shard_id, packed in sorted(self.entries.items()):
                add(Member(shard_id, *make_segment(packed)))
            for digest, data in sorted(self.objects.items()):
                add(Member("", digest.hex(), data))
        keys = {key_in(one) for packed in self.entries.values() for one in packed}
        return Pack(stream.getvalue(), tuple(sorted(keys)), len(self.objects))
