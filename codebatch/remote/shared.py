"""A store and a remote that shares results with others: `SharedMemo.pull` and `push`.

Packs are never changed, so whoever has read the index may fetch what it lists; the index is
replaced as a whole, on condition that it is the one that was read where the remote can tell. A
pack that is not there any more, or is not what its name says, costs what is in it, and the next
push leaves it out of the index.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass, replace
from functools import partial

from codebatch.display.displayed import Displayed
from codebatch.model.errors import (
    ArchiveInvalidError,
    RemoteDamagedError,
    RemoteError,
    RemoteInvalidError,
)
from codebatch.remote.index import (
    INDEX_BYTES,
    INDEX_NAME,
    Index,
    ListedPack,
    index_bytes,
    pack_name,
    parse_index,
)
from codebatch.remote.location import Blob, open_location
from codebatch.store import StoreDirectory
from codebatch.store.indexes.memo_packs import (
    TARGET_BYTES,
    Pack,
    PackMerge,
    import_pack,
    known_heads,
    pack_memo,
)

_SMALL_BYTES = TARGET_BYTES // 8
_SMALL_PACKS = 16  # so many small packs, of as many runs after small changes, become one
_LEFT_SECONDS = 24 * 3600  # after which a file that no index lists is nobody's work in progress
_MOST_SWAPS = 12
_FIRST_PAUSE_SECONDS = 0.02
_OURS = ("pack-", ".tmp-")

Notice = Callable[[str], None]


@dataclass(frozen=True, repr=False)
class PullReport(Displayed):
    """How many packs were read, with how many results and objects, and their bytes."""

    packs: int = 0
    results: int = 0
    objects: int = 0
    bytes: int = 0

    def __add__(self, other: PullReport) -> PullReport:
        return PullReport(
            self.packs + other.packs,
            self.results + other.results,
            self.objects + other.objects,
            self.bytes + other.bytes,
        )


@dataclass(frozen=True, repr=False)
class PushReport(Displayed):
    """How many packs were written, with how many results and objects that the remote did not have,
    and their bytes. ``removed`` packs are gone, merged into others or beyond the limit, ``left`` of
    them could not be removed. The remote has ``remote_packs`` of ``remote_bytes`` now.
    """

    packs: int = 0
    results: int = 0
    objects: int = 0
    bytes: int = 0
    removed: int = 0
    left: int = 0
    remote_packs: int = 0
    remote_bytes: int = 0

    def with_pack(self, pack: Pack) -> PushReport:
        """Return the report with one more pack."""
        return replace(
            self,
            packs=self.packs + 1,
            results=self.results + len(pack.heads),
            objects=self.objects + pack.objects,
            bytes=self.bytes + len(pack.data),
        )


class SharedMemo:
    """The memo of a store and a remote, from which packs are read for so many seconds at most.
    Errors and notices begin with the name of the remote, which is what `open_location` takes.

    State: ``_read`` is the index as it was last read, None where that is to be done, ``_blob`` its
    bytes at the remote; ``_tried`` has the packs that were fetched, ``bad`` those of them that are
    gone or damaged, by digest; ``pulled`` counts what was read.
    """

    def __init__(
        self,
        store: StoreDirectory,
        remote: str,
        on_notice: Notice,
        seconds: float = math.inf,
    ) -> None:
        self._store = store
        self._name = remote
        self._location = open_location(remote)
        self._on_notice: Notice = lambda text: on_notice(f"{remote}: {text}")
        self._end = time.monotonic() + seconds
        self._read: Index | None = None
        self._blob: Blob | None = None
        self._tried: set[str] = set()
        self.pulled = PullReport()
        self.bad: set[str] = set()

    def pull_missing(self) -> None:
        """Fetch every pack with a result that the store lacks; `RemoteError` where nothing was ever
        pushed, and at the end where packs are damaged or gone.
        """
        known = set(known_heads(self._store))
        with self._naming():
            self._pull(lambda pack: any(head not in known for head in pack.heads()))
            if self._blob is None:
                raise RemoteError(
                    "nothing was ever pushed there",
                    hints=["look at the name, or push something: codebatch memo push"],
                )
            if self.bad:
                bad = f"{len(self.bad)} packs of the remote are damaged or gone"
                raise RemoteDamagedError(
                    f"{bad}; the others were read",
                    hints=["write what is missing there again: codebatch memo push"],
                    details={"packs": sorted(self.bad)},
                )

    def pull(self, heads: Set[bytes]) -> None:
        """Fetch the packs that have results with any of these heads, but none of them twice."""
        with self._naming():
            self._pull(lambda pack: not heads.isdisjoint(pack.heads()))

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Name the remote in its errors."""
        try:
            yield
        except RemoteError as error:
            message = f"{self._name}: {error.message}"
            raise type(error)(message, hints=error.hints, details=error.details) from error

    @property
    def has_more(self) -> bool:
        """True where the index lists packs that were not fetched."""
        return any(pack.digest not in self._tried for pack in self._index().packs)

    def _pull(self, is_wanted: Callable[[ListedPack], bool]) -> None:
        for again in (True, False):
            gone = False
            for pack in self._index().packs:
                if pack.digest in self._tried or not is_wanted(pack):
                    continue
                if time.monotonic() > self._end:
                    raise RemoteError("to read what the remote has takes too long")
                gone = not self._fetch(pack) or gone
            if not (gone and again):
                break
            self._read = None  # packs are merged: what is gone may be in another by now

    def _fetch(self, pack: ListedPack) -> bool:
        """Take what a pack has; False where it is gone."""
        self._tried.add(pack.digest)

        def take(data: bytes) -> None:
            found = import_pack(self._store, data, pack.name, [*pack.heads()])
            self.pulled += PullReport(1, pack.results, found.objects, len(data))

        return self._is_there(pack, take)

    def _is_there(self, pack: ListedPack, take: Callable[[bytes], None]) -> bool:
        """Read a pack and take what is in it, unless it is damaged; False where it is gone."""
        blob = self._location.read(pack.name, pack.size)
        try:
            if blob is None:
                self.bad.add(pack.digest)
            elif hashlib.sha256(blob.data).hexdigest() != pack.digest:
                raise ArchiveInvalidError(f"{pack.name} of the remote is damaged")
            else:
                take(blob.data)
        except ArchiveInvalidError as error:
            self.bad.add(pack.digest)
            self._on_notice(f"{error.message}; what is in it is left out")
        return blob is not None

    def push(
        self,
        shard_ids: Collection[str] | None = None,
        batch_id: str | None = None,
        *,
        limit: int | None = None,
        prune: bool = False,
    ) -> PushReport:
        """Add what the remote does not have: of these shards alone, or what a batch computed.

        ``limit`` is how many bytes the packs of the remote may have together, from now on; with
        ``prune``, files that no index lists are removed where they are a day old.
        """
        with self._naming():
            return self._push(shard_ids, batch_id, limit, prune=prune)

    def _push(
        self,
        shard_ids: Collection[str] | None,
        batch_id: str | None,
        limit: int | None,
        *,
        prune: bool,
    ) -> PushReport:
        ages = self._ages() if prune else {}
        try:
            index = self._index()
        except RemoteDamagedError as error:
            self._on_notice(f"{error.message}; it is begun anew")
            index = self._index()
        if prune:
            self.bad |= {pack.digest for pack in index.packs if pack.name not in ages}
        known = index.changed((), self.bad, None).heads()
        report, added = PushReport(), []
        for pack in pack_memo(self._store, known, shard_ids, batch_id):
            added.append(self._write(pack))
            report = report.with_pack(pack)
        merged, gone = self._merge(index)
        added += merged
        before, now = self._swap(added, self.bad | gone, limit)
        listed = {pack.name for pack in now.packs}
        removed = {pack.name for pack in (*before.packs, *added)} - listed
        removed |= {name for name, age in ages.items() if _is_left(name, age)} - listed
        left = sum(not self._remove(name) for name in sorted(removed))
        return replace(
            report,
            removed=len(removed) - left,
            left=left,
            remote_packs=len(now.packs),
            remote_bytes=now.size,
        )

    def _write(self, pack: Pack) -> ListedPack:
        self._location.write(pack_name(pack.digest), pack.data)
        return ListedPack.of(pack)

    def _merge(self, index: Index) -> tuple[list[ListedPack], set[str]]:
        """Make one of many small packs; return the new ones, and the digests of those in them."""
        small = [p for p in index.packs if p.size < _SMALL_BYTES and p.digest not in self.bad]
        if len(small) < _SMALL_PACKS:
            return [], set()
        merge = PackMerge()
        try:
            for pack in small:
                self._is_there(pack, partial(merge.add, name=pack.name))
            merged = [self._write(pack) for pack in merge.packs()]
        except RemoteError as error:
            self._on_notice(f"small packs of the remote are not merged: {error.message}")
            return [], set()
        return merged, {pack.digest for pack in small} - {pack.digest for pack in merged}

    def _swap(
        self, added: Collection[ListedPack], gone: Collection[str], limit: int | None
    ) -> tuple[Index, Index]:
        """Change the index, as it is by then; return it before and after."""
        pause = _FIRST_PAUSE_SECONDS
        for _ in range(_MOST_SWAPS):
            before = self._index()
            after = before.changed(added, gone, limit)
            if after == before:
                return before, after
            data = index_bytes(after)
            is_swapped = self._location.swap(INDEX_NAME, data, self._blob)
            self._read = None
            if is_swapped:
                return before, after
            time.sleep(pause * (1 + os.urandom(1)[0] / 256))
            pause *= 2
        raise RemoteError("other commands keep changing the remote")

    def _index(self) -> Index:
        """The index; one that is damaged counts as empty after `RemoteDamagedError` said so."""
        if self._read is None:
            self._blob = self._location.read(INDEX_NAME, INDEX_BYTES)
            self._read = Index()
            if self._blob is not None:
                self._read = parse_index(self._blob.data)
        return self._read

    def _ages(self) -> dict[str, float]:
        ages = self._location.ages()
        if ages is None:
            raise RemoteInvalidError(
                "a server does not list what it has: nothing can be pruned there",
                hints=["remove old files at the server; the next push finds out"],
            )
        return ages

    def _remove(self, name: str) -> bool:
        try:
            return self._location.remove(name)
        except RemoteError:
            return False  # counted as left


def _is_left(name: str, age: float) -> bool:
    """Return True for a file which nobody is about to list any more."""
    return name.startswith(_OURS) and age > _LEFT_SECONDS
