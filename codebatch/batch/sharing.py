"""What a run takes from a remote before it computes, and gives to it after.

A remote saves time and is never needed: whatever goes wrong with it is said in a notice, and
ends its use by the run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from codebatch.batch.options import RunOptions
from codebatch.batch.report import RunReport
from codebatch.batch.reuse import Reuse
from codebatch.model.errors import RemoteDamagedError, RemoteError, StoreError
from codebatch.model.record_lines import FileLines, entry_key
from codebatch.model.records import Plan, PlannedShard
from codebatch.runtime.lazy import lazily
from codebatch.shard.files import groups_of_equals, memo_hits
from codebatch.shard.memo_reader import lookup_quarantined
from codebatch.store import StoreDirectory
from codebatch.store.indexes.memo import Memo, MemoStore
from codebatch.store.indexes.quarantine import QuarantineIndex

with lazily():
    from codebatch.remote import shared
    from codebatch.store.indexes import memo_packs


_MOST_SECONDS = 300.0  # to read packs: a run would rather compute then


class SharedResults:
    """The remote of one run of a batch; without one, nothing is done.

    State: ``_memo`` is the remote, None when it has failed; ``_read`` and ``_written`` say what was
    done there.
    """

    def __init__(
        self, store: StoreDirectory, batch_id: str, plan: Plan, options: RunOptions
    ) -> None:
        self._store = store
        self._batch_id = batch_id
        self._plan = plan
        self._on_notice = options.cluster.on_notice
        self._memo: shared.SharedMemo | None = None
        self._read: shared.PullReport | None = None
        self._written: shared.PushReport | None = None
        self._retries = options.retry_quarantined
        if options.memo is not None and not options.anew:
            self._memo = shared.SharedMemo(store, options.memo, self._on_notice, _MOST_SECONDS)

    def fetch(self, shards: Sequence[PlannedShard], reuse: Reuse) -> None:
        """Fetch results of tasks on files that have to be computed else, as far as there are any.

        Those of a task that needs another may be found once the results of that one are there.
        """
        with self._noting("what is missing is computed"):
            while self._memo is not None and (heads := self._missing(shards, reuse)):
                if not self._pull(self._memo, heads):
                    break

    def _pull(self, memo: shared.SharedMemo, heads: set[bytes]) -> bool:
        """Fetch results; return whether there may be more that are of use now."""
        before = memo.pulled
        try:
            memo.pull(heads)
        finally:
            self._read = memo.pulled
        return memo.pulled != before and memo.has_more

    def publish(self, report: RunReport) -> RunReport:
        """Give the remote what the batch has computed and the remote lacks, where the run has
        computed anything; return the report with what was read and written.
        """
        if self._memo is not None and report.files["computed"]:
            shard_ids = {shard.shard_id for shard in self._plan.shards}
            with self._noting("the results stay here"):
                self._written = self._memo.push(shard_ids, self._batch_id)
        if self._read is None:
            return report
        written = _counts(self._written or shared.PushReport())
        return replace(report, memo={"read": _counts(self._read), "written": written})

    def _missing(self, shards: Sequence[PlannedShard], reuse: Reuse) -> set[bytes]:
        """Return the heads of results that are not there, as far as their keys can be known."""
        missing: set[bytes] = set()
        quarantine, memos = QuarantineIndex(self._store.layout), MemoStore(self._store.layout)

        def look(shard_id: str, memo: Memo, key: str) -> FileLines | None:
            found = memo.lookup(key)
            if found is None and not self._retries:
                found = lookup_quarantined(quarantine, key)
            if found is None:
                missing.add(memo_packs.head_of(shard_id, entry_key(key)))
            return found

        for shard in shards:
            lookup = partial(look, shard.shard_id, memos.open(shard.shard_id))
            for files in groups_of_equals(reuse.new_files(shard)):
                memo_hits(self._plan.of_files.tasks, files[0], lookup)
        return missing

    @contextlib.contextmanager
    def _noting(self, so: str) -> Iterator[None]:
        """Say what goes wrong with the remote in a block, and what follows."""
        try:
            yield
        except RemoteDamagedError as error:  # to be replaced by the next push
            self._on_notice(f"{error.message}; {so}")
        except (RemoteError, StoreError) as error:
            self._on_notice(f"{error.message}; {so}")
            self._memo = None


def _counts(report: shared.PullReport | shared.PushReport) -> dict[str, int]:
    return {"packs": report.packs, "results": report.results, "bytes": report.bytes}
