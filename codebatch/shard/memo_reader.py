"""The memo as one shard reads and writes it: its own part, and that of its edited files.

Results lie in the memo under the shard of the file's content. A file that was edited belongs to
another shard than before; where its key is the same all the same (of a task that sees the syntax
tree alone), the result is found where the file was, and kept where it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache

from codebatch.model.errors import StoreError
from codebatch.model.keys import shard_inputs_key
from codebatch.model.messages import ShardCall
from codebatch.model.record_lines import FileLines
from codebatch.model.records import InputFile, PlannedShard
from codebatch.plan.plan import shard_of
from codebatch.shard.quarantine import Quarantine
from codebatch.store import StoreDirectory
from codebatch.store.indexes.memo import Memo, MemoStore
from codebatch.store.indexes.shard_hints import add_hint
from codebatch.store.shards import has_objects_of

Lookup = Callable[[str, "InputFile | None"], "FileLines | None"]


class MemoReader:
    """Finds results for the files of a shard, and keeps what the shard computes.

    State: ``_has_quarantined`` tells whether results may be quarantined; ``_others`` are the memos
    of other shards that were needed, by shard id, ``_moved`` what was found in one of these.
    """

    def __init__(self, store: StoreDirectory, call: ShardCall) -> None:
        self._store = store
        self._call = call
        self._previous = dict(call.reuse.previous)
        self._memos = MemoStore(store.layout)
        self._quarantine = Quarantine(store)
        self._has_quarantined = bool(self._quarantine) and not call.reuse.retry_quarantined
        self._others: dict[str, Memo] = {}
        self._moved: dict[str, FileLines] = {}
        self._is_unfinished = lru_cache(maxsize=32)(store.batches.is_unfinished)

    def lookup(self, key: str, file: InputFile | None) -> FileLines | None:
        """Return what is remembered under a key, if the objects it refers to are there. ``file``
        is given where the key does not cover its content.
        """
        found = self._memo.lookup(key)
        if found is None and file is not None and file.object in self._previous:
            found = self._elsewhere(self._previous[file.object]).lookup(key)
            if found is not None:
                self._moved[key] = found
        if found is not None and self._is_whole(found):
            return found
        return self._quarantine.lookup(key) if self._has_quarantined else None

    def lookup_previous(self, file: InputFile) -> tuple[InputFile, Lookup] | None:
        """Return a file as it was before it was edited, with the lookup of its results."""
        if file.object not in self._previous:
            return None
        old = file._replace(object=self._previous[file.object])
        memo = self._elsewhere(old.object)
        return old, lambda key, _: memo.lookup(key)

    def keep(self, shard: PlannedShard, computed: dict[str, FileLines], now_ns: int) -> str | None:
        """Remember what the shard computed, and that this batch has it. Its results are committed
        by now: where this fails, it costs time alone, and the reason is returned.
        """
        batch_id = self._call.batch_id
        by_this = {
            k: FileLines(f.lines, f.counts, f.objects, batch_id) for k, f in computed.items()
        }
        try:
            add_hint(self._store.layout, shard_inputs_key(shard), batch_id)
            self._memos.add(self._call.shard_id, self._moved | by_this)
            for key in computed:
                self._quarantine.remove(key)
            for memo in self._opened():
                memo.freshen(now_ns)
        except StoreError as error:
            return f"the results were not remembered: {error.message}"
        return None

    @cached_property
    def _memo(self) -> Memo:
        """The shard's own memo, which is read when something is first looked up."""
        return self._memos.open(self._call.shard_id)

    def _elsewhere(self, digest: str) -> Memo:
        shard_id = shard_of(digest, len(self._call.shard_id))
        if shard_id == self._call.shard_id:
            return self._memo
        if shard_id not in self._others:
            self._others[shard_id] = self._memos.open(shard_id)
        return self._others[shard_id]

    def _opened(self) -> Iterator[Memo]:
        yield from self._others.values()
        if "_memo" in self.__dict__:
            yield self._memo

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
