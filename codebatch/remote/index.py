"""The index of a remote: which packs there are, and the heads of what is in them.

It is one file under a name that everybody knows, as not every server lists what it has. It begins
with a line that names the format, then come the SHA-256 of all that follows, and a Zstandard frame:
the limit of the remote, and for each pack, those that were added first before others, its digest,
its size, and the heads of its entries, in order. Numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from codebatch.model.errors import RemoteDamagedError, RemoteFormatError
from codebatch.store.indexes.memo_packs import HEAD_BYTES, PACK_BYTES, Pack
from codebatch.store.objects.compression import CompressionError, compress, decompress

INDEX_NAME = "index"
INDEX_BYTES = 64 * 2**20
DEFAULT_LIMIT = 2 * 2**30

_NAME, _FORMAT = b"codebatch-memo ", b"1\n"
_OPENING = _NAME + _FORMAT
_DIGEST_BYTES = 32
_MOST_RESULTS = 6 * 2**20
_LIMIT = struct.Struct("<Q")
_PACK = struct.Struct(f"<{_DIGEST_BYTES}sQI")


@dataclass(frozen=True)
class ListedPack:
    """A pack as the index has it: 64 hex digits, its size, and the heads of its entries."""

    digest: str
    size: int
    joined: bytes

    @classmethod
    def of(cls, pack: Pack) -> ListedPack:
        """Return what the index has of a pack."""
        return cls(pack.digest, len(pack.data), b"".join(pack.heads))

    @property
    def name(self) -> str:
        """The name of its file."""
        return pack_name(self.digest)

    @property
    def results(self) -> int:
        """The number of its entries."""
        return len(self.joined) // HEAD_BYTES

    def heads(self) -> Iterator[bytes]:
        """Yield the head of each entry."""
        return (self.joined[at : at + HEAD_BYTES] for at in range(0, len(self.joined), HEAD_BYTES))


@dataclass(frozen=True)
class Index:
    """The packs of a remote, and how many bytes they may have together."""

    packs: tuple[ListedPack, ...] = ()
    limit: int = DEFAULT_LIMIT

    @property
    def size(self) -> int:
        """The bytes of all packs."""
        return sum(pack.size for pack in self.packs)

    def heads(self) -> set[bytes]:
        """Return all heads."""
        return {head for pack in self.packs for head in pack.heads()}

    def changed(
        self, added: Iterable[ListedPack], gone: Collection[str], limit: int | None
    ) -> Index:
        """Return the index with packs added and others gone, by digest; of what is more than the
        limit then, or than an index holds, the packs that were added first are left out.
        """
        limit = self.limit if limit is None else limit
        new = {pack.digest: pack for pack in added}
        old = (pack for pack in self.packs if pack.digest not in gone and pack.digest not in new)
        packs = (*old, *new.values())
        size, results, first = sum(p.size for p in packs), sum(p.results for p in packs), 0
        while size > limit or results > _MOST_RESULTS:
            size, results = size - packs[first].size, results - packs[first].results
            first += 1
        return replace(self, packs=packs[first:], limit=limit)


def pack_name(digest: str) -> str:
    """Return the name of the file of a pack."""
    return f"pack-{digest}.tar"


def index_bytes(index: Index) -> bytes:
    """Return an index as it lies at a remote."""
    parts = [_LIMIT.pack(index.limit)]
    for pack in index.packs:
        parts += [_PACK.pack(bytes.fromhex(pack.digest), pack.size, pack.results), pack.joined]
    frame = compress(b"".join(parts))
    return _OPENING + hashlib.sha256(frame).digest() + frame


def parse_index(data: bytes) -> Index:
    """Return the index in these bytes; `RemoteDamagedError` where they are none, and
    `RemoteFormatError` where they are one of another format.
    """
    if not data.startswith(_OPENING):
        if data.startswith(_NAME):
            raise RemoteFormatError(
                "the remote has a format that this version does not read",
                hints=["use the version of codebatch that wrote it, or another location"],
            )
        raise _damaged("it does not begin as one")
    start = len(_OPENING) + _DIGEST_BYTES
    frame = data[start:]
    if hashlib.sha256(frame).digest() != data[len(_OPENING) : start]:
        raise _damaged("its bytes do not match its checksum")
    try:
        return _parsed(decompress(frame, INDEX_BYTES))
    except (CompressionError, struct.error) as error:
        raise _damaged(str(error)) from error


def _parsed(raw: bytes) -> Index:
    (limit,) = _LIMIT.unpack_from(raw)
    place, packs = _LIMIT.size, []
    while place < len(raw):
        digest, size, count = _PACK.unpack_from(raw, place)
        place += _PACK.size
        joined = raw[place : place + count * HEAD_BYTES]
        place += len(joined)
        if len(joined) != count * HEAD_BYTES or not 0 < size <= PACK_BYTES:
            raise _damaged("a pack in it has no such size")
        packs.append(ListedPack(digest.hex(), size, joined))
    return Index(tuple(packs), limit)


def _damaged(problem: str) -> RemoteDamagedError:
    return RemoteDamagedError(f"the index of the remote is damaged: {problem}")
