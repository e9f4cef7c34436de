"""The memo as one shard reads and writes it."""

from __future__ import annotations

from functools import cached_property, lru_cache

from codebatch.model.errors import StoreError
from codebatch.model.messages import ShardCall
from codebatch.model.record_lines import FileLines
from codebatch.shard.quarantine import Quarantine
from codebatch.store import StoreDirectory
from codebatch.store.indexes.memo import Memo, MemoStore
from codebatch.store.shards import has_objects_of


class MemoReader:
    """Finds results for the files of a shard, and keeps what the shard computes.

    State: ``_has_quarantined`` tells whether results may be quarantined.
    """

    def __init__(self, store: StoreDirectory, call: ShardCall) -> None:
        self._store = store
        self._call = call
        self._memos = MemoStore(store.layout)
        self._quarantine = Quarantine(store)
        self._has_quarantined = bool(self._quarantine) and not call.reuse.retry_quarantined
        self._is_unfinished = lru_cache(maxsize=32)(store.batches.is_unfinished)

    def lookup(self, key: str) -> FileLines | None:
        """Return what is remembered under a key, if the objects it refers to are there."""
        found = self._memo.lookup(key)
        if found is not None and self._is_whole(found):
            return found
        return self._quarantine.lookup(key) if self._has_quarantined else None

    def keep(self, computed: dict[str, FileLines], now_ns: int) -> str | None:
        """Remember what the shard computed. Its results are committed by now: where this fails, it
        costs time alone, and the reason is returned.
        """
        batch_id = self._call.batch_id
        by_this = {
            k: FileLines(f.lines, f.counts, f.objects, batch_id) for k, f in computed.items()
        }
        try:
            self._memos.add(self._call.shard_id, by_this)
            for key in computed:
                self._quarantine.remove(key)
            if "_memo" in self.__dict__:
                self._memo.freshen(now_ns)
        except StoreError as error:
            return f"the results were not remembered: {error.message}"
        return None

    @cached_property
    def _memo(self) -> Memo:
        """The shard's own memo, which is read when something is first looked up."""
        return self._memos.open(self._call.shard_id)

    def _is_whole(self, found: FileLines) -> bool:
        """Return whether the objects are there and stay; those of an unfinished batch are read."""
        # No batch may refer to these objects any more: this run needs them from now on.
        since, objects = self._call.lease.since_ns, self._store.objects
        if not all(objects.is_kept(digest, since) for digest in found.objects):
            return False
        if not found.objects:
            return True
        # As for a shard: where one is not done for the sake of an object, this computes it again.
        whole = self._is_unfinished(found.batch_id)
        return has_objects_of(objects, found.lines, whole=whole)
