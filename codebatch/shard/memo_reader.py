"""The memo as one shard reads and writes it, with the quarantine.

A task on a file that ends the process which runs it is quarantined: it is not tried again until
the file, the task or its tools are others, or a run is told to.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

from codebatch.model.clock import now_ns
from codebatch.model.errors import StoreError
from codebatch.model.messages import ShardCall
from codebatch.model.record_lines import FileLines
from codebatch.shard.compute import quarantined_lines
from codebatch.store import StoreDirectory, has_objects_of
from codebatch.store.indexes.memo import Memo, MemoStore
from codebatch.store.indexes.quarantine import QuarantineIndex
from codebatch.tasks.rules import FAILURES, QUARANTINED


class MemoReader:
    """Finds results for the files of a shard, and keeps what the shard computes."""

    def __init__(self, store: StoreDirectory, call: ShardCall) -> None:
        self._store = store
        self._call = call
        self.quarantine = QuarantineIndex(store.layout)
        self._is_unfinished = lru_cache(maxsize=32)(store.batches.is_unfinished)

    @cached_property
    def _memo(self) -> Memo:
        """The shard's own memo, which is read when something is first looked up."""
        return MemoStore(self._store.layout).open(self._call.shard_id)

    def lookup(self, key: str) -> FileLines | None:
        """Return the memo entry of a key, if the objects it refers to are there."""
        found = self._memo.lookup(key)
        if found is not None and self._is_whole(found):
            return found
        if self._call.reuse.retry_quarantined:
            return None
        return lookup_quarantined(self.quarantine, key)

    def _is_whole(self, found: FileLines) -> bool:
        """Return whether the objects are there and stay; those of an unfinished batch are read."""
        if not found.objects:
            return True
        # No batch may refer to these objects any more: this run needs them from now on.
        since, objects = self._call.lease.since_ns, self._store.objects
        if not all(objects.is_kept(digest, since) for digest in found.objects):
            return False
        # As for a shard: where one is not done for the sake of an object, this computes it again.
        return has_objects_of(objects, found.lines, whole=self._is_unfinished(found.batch_id))

    def keep(self, computed: dict[str, FileLines]) -> str | None:
        """Remember what the shard computed, but for failures: elsewhere they may not occur. Its
        results are committed by now: where this fails, it costs time alone, and the reason is
        returned.
        """
        by_this = {
            key: FileLines(found.lines, found.counts, found.objects, self._call.batch_id)
            for key, found in computed.items()
            if FAILURES.isdisjoint(found.counts.by_code)
        }
        try:
            MemoStore(self._store.layout).add(self._call.shard_id, by_this)
            for key in by_this:
                self.quarantine.remove(key)
            if "_memo" in self.__dict__:
                self._memo.freshen(now_ns())
        except StoreError as error:
            return f"the results were not remembered: {error.message}"
        return None


def lookup_quarantined(index: QuarantineIndex, key: str) -> FileLines | None:
    """Return the lines of a result that is quarantined; None for any other."""
    code = index.code(key)
    return quarantined_lines(code) if code in QUARANTINED else None
