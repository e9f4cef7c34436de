"""The memo in packs, as it lies at a remote: archives of the memo of a bounded size.

A pack is named by the digest of its bytes, and the same entries with the same objects give the same
packs. Each has whole entries: what an entry refers to is in the same pack. So any pack may be
missing, and costs no more than its own entries.

The *head* of an entry tells it from others without its whole key: the first digit of the id of its
shard, and the first 7 bytes of its key. What reads trees alone may have one key in several shards.
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
HEAD_BYTES = 8
TARGET_BYTES = 32 * 2**20  # of entries before, and objects after compression
_MEMBER_BYTES = 1024  # around an object in an archive
_MOST_UNPACKED_BYTES = 2**30

Entries = Iterable[tuple[str, bytes]]  # the id of a shard, and an entry as it is packed
FindObject = Callable[[bytes], bytes | None]  # 32 bytes of a digest to the compressed object


@dataclass(frozen=True)
class Pack:
    """The bytes of a pack, the heads of its entries in order, and how many objects it has."""

    data: bytes
    heads: tuple[bytes, ...]
    objects: int

    @cached_property
    def digest(self) -> str:
        """The 64 hex digits that name it."""
        return hashlib.sha256(self.data).hexdigest()


def head_of(shard_id: str, key: bytes) -> bytes:
    """Return the head of an entry with that key of a shard."""
    return shard_id[:1].encode() + key[: HEAD_BYTES - 1]


def pack_memo(
    store: StoreDirectory,
    known: Collection[bytes] = (),
    shard_ids: Collection[str] | None = None,
    batch_id: str | None = None,
) -> Iterator[Pack]:
    """Yield packs of all entries but those with a head that is known; of these shards alone, or
    those that a batch has computed. Those whose objects are not there, whole, are left out.
    """

    def find_object(digest: bytes) -> bytes | None:
        try:
            return compress(store.objects.read(DIGEST_PREFIX + digest.hex(), CHUNK_BYTES))
        except StoreError:
            return None  # such an entry is not used, here or there

    return _packs(_entries(store, known, shard_ids, batch_id), find_object)


class PackMerge:
    """What several packs hold, to be packed anew. State: entries by shard and key, and objects."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, bytes], bytes] = {}
        self._objects: dict[bytes, bytes] = {}

    def add(self, data: bytes, name: str) -> None:
        """Take what a pack holds; `ArchiveInvalidError` where it is none."""
        for member in _members(data, name):
            if not member.prefix:
                raw_object(member, name)
                self._objects[bytes.fromhex(member.name)] = member.data
            for packed in entries_in(member.name, member.data) if member.prefix else ():
                self._entries[member.prefix, key_in(packed)] = packed

    def packs(self) -> Iterator[Pack]:
        """Yield packs of all that was taken, as far as it is whole."""
        entries = ((shard_id, packed) for (shard_id, _), packed in sorted(self._entries.items()))
        return _packs(entries, self._objects.get)


def import_pack(
    store: StoreDirectory, data: bytes, name: str, heads: Collection[bytes]
) -> ArchiveReport:
    """Add what a pack remembers; `ArchiveInvalidError` where it is none, or has entries with other
    heads than these: nothing of it is taken before all was looked at.
    """
    found = [
        head_of(member.prefix, key_in(packed))
        for member in _members(data, name)
        if member.prefix
        for packed in entries_in(member.name, member.data)
    ]
    if sorted(found) != sorted(heads):
        raise ArchiveInvalidError(f"cannot import {name}: it has not what the index says")
    return import_archive(store, io.BytesIO(data), name)


def known_heads(store: StoreDirectory) -> Iterator[bytes]:
    """Yield the heads of all entries of the memo."""
    for shard_id, path in MemoStore(store.layout).segments():
        for packed in load_segment(store.layout.door, path):
            yield head_of(shard_id, key_in(packed))


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
    known: Collection[bytes],
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
            if head_of(shard_id, key := key_in(packed)) not in known
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
        size = len(packed) + sum(len(data) + _MEMBER_BYTES for data in found.values())
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
        heads = [
            head_of(id_, key_in(one)) for id_, packed in self.entries.items() for one in packed
        ]
        return Pack(stream.getvalue(), tuple(sorted(heads)), len(self.objects))
