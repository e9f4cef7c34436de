"""Records in an order that does not depend on the shards: by path, then task, then as the task
ordered them.

The manifest says which file is next and in which shard it is, the states how many lines each file
has there. So the first record is there as soon as the shard of its file is read. Of shards that are
read `HELD_BYTES` are held in memory; more are kept in a temporary file.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import IO

from codebatch.model.digest import DIGEST_PREFIX
from codebatch.model.errors import StoreDamagedError, StoreError
from codebatch.model.records import FAILED, Plan, Record, ShardState, path_key
from codebatch.query.filters import RecordFilter
from codebatch.query.records import NO_FILTER, FileLanguages, Matcher
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory, reporting_write_errors

HELD_BYTES = 64 * 2**20


def ordered_records(
    store: StoreDirectory,
    batch_status: BatchStatus,
    filters: RecordFilter = NO_FILTER,
    task_id: str | None = None,
) -> Iterator[Record]:
    """Matching records with ``task_id`` and ``shard_id`` added."""
    batch_status.check_task(task_id)
    return _Reading(store, batch_status, filters, task_id).records()


class _Reading:
    """State: ``_lines_read`` has the outputs that were read so far, ``_ends`` where in it the lines
    of each file are, by task and shard.
    """

    def __init__(
        self,
        store: StoreDirectory,
        batch_status: BatchStatus,
        filters: RecordFilter,
        task_id: str | None,
    ) -> None:
        self._store = store
        self._batch_status = batch_status
        self._filters = filters
        self._languages = FileLanguages(store, batch_status)
        self._matchers = {
            task.id: Matcher(filters, task.fields)
            for task in batch_status.plan.tasks
            if task_id in (None, task.id)
        }
        self._ends: dict[tuple[str, str], list[int]] = {}
        self._lines_read: IO[bytes] = io.BytesIO()

    def records(self) -> Iterator[Record]:
        """Yield the records file by file."""
        with tempfile.SpooledTemporaryFile(HELD_BYTES) as self._lines_read:
            yield from self._records()

    def _records(self) -> Iterator[Record]:
        states = {task: self._batch_status.states[task] for task in self._matchers}
        for path, shard_id, number in _files_in_order(self._store, self._batch_status):
            if not self._filters.matches_path(path):
                continue
            for task, of_task in states.items():
                state = of_task[shard_id]
                if state is None or state.status == FAILED or not self._filters.may_match(state):
                    continue
                yield from self._of_file(task, shard_id, state, path, number)

    def _of_file(
        self, task: str, shard_id: str, state: ShardState, path: str, number: int
    ) -> Iterator[Record]:
        if number >= len(state.per_file):
            raise _unlike(shard_id, task)
        if not state.per_file[number][0]:
            return
        for record in self._matchers[task].records(self._lines(task, shard_id, state, number)):
            if record["path"] != path:
                raise _unlike(shard_id, task)
            record["task_id"], record["shard_id"] = task, shard_id
            if self._filters.language is None or self._filters.matches_language(
                self._languages.of(record)
            ):
                yield record

    def _lines(self, task: str, shard_id: str, state: ShardState, number: int) -> bytes:
        """Return the lines of the file of that number in a shard."""
        ends = self._ends.get((task, shard_id))
        if ends is None:
            ends = self._ends[task, shard_id] = self._added(task, shard_id, state)
        self._lines_read.seek(ends[number])
        return self._lines_read.read(ends[number + 1] - ends[number])

    def _added(self, task: str, shard_id: str, state: ShardState) -> list[int]:
        """Read the outputs of a shard; where the lines of each file begin and the last ones end."""
        data = self._store.shards.read_outputs(self._batch_status.batch_id, task, shard_id, state)
        ends = [0, *accumulate(map(len, data.splitlines(keepends=True)))]
        counts = accumulate((records for records, _ in state.per_file), initial=0)
        start = self._lines_read.seek(0, os.SEEK_END)
        found = [start + ends[min(count, len(ends) - 1)] for count in counts]
        if found[-1] != start + len(data):
            raise _unlike(shard_id, task)
        with reporting_write_errors(Path(tempfile.gettempdir())):
            self._lines_read.write(data)
        return found


def _files_in_order(
    store: StoreDirectory, batch_status: BatchStatus
) -> Iterator[tuple[str, str, int]]:
    """Yield each file of a batch in path order: its path, its shard, its number in that."""
    plan = batch_status.plan
    width = len(plan.shards[0].shard_id) if plan.shards else 0
    first, end = len(DIGEST_PREFIX), len(DIGEST_PREFIX) + width
    numbers = {shard.shard_id: -1 for shard in plan.shards}
    for path, digest in _manifest_of(store, batch_status.batch_id, plan):
        shard_id = digest[first:end]
        if shard_id not in numbers:
            raise StoreDamagedError(f"{batch_status.batch_id} is not of all files of its snapshot")
        numbers[shard_id] += 1
        yield path, shard_id, numbers[shard_id]


def _manifest_of(store: StoreDirectory, batch_id: str, plan: Plan) -> Iterator[tuple[str, str]]:
    """Return path and object of each file in path order: of the manifest, which is read line by
    line, or where that is damaged, of the inputs of all shards.
    """
    try:
        found = store.snapshots.read_files(plan.snapshot_id)
    except StoreError:
        inputs = (store.batches.load_inputs(batch_id, shard) for shard in plan.shards)
        files = ((file.path, file.object) for of_shard in inputs for file in of_shard)
        return iter(sorted(files, key=lambda file: path_key(file[0])))
    return ((file.path, file.object) for file in found)


def _unlike(shard_id: str, task: str) -> StoreDamagedError:
    hints = ["see what is damaged: codebatch verify"]
    message = f"the outputs of shard {shard_id} of {task} are not what their state says"
    return StoreDamagedError(message, hints=hints)
