"""What a batch holds, by content: for each task and shard the records, for each shard the files.

Equal contents of several batches have one key, so that what is derived of them (`query.index`) is
made once. Outputs name their files by path, and so a content belongs to one task and shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from codebatch.model.digest import EMPTY, canonical_json
from codebatch.status.batch_status import BatchStatus

KEY_DIGITS = 32
_SHARD_DIGITS = 3
# Bits of an id: of the record in its shard, then of the shard, then of the task.
_RECORD_BITS = 28
_SHARD_BITS = 4 * _SHARD_DIGITS


class Content(NamedTuple):
    """The records of a task on a shard, or the files of a shard, where ``task_id`` is empty.

    ``first_id`` is the id of the first record: of the same task, shard and place ids are the same
    in all batches with the same tasks.
    """

    key: str
    task_id: str
    shard_id: str
    first_id: int


def contents_of(batch_status: BatchStatus) -> Iterator[Content]:
    """Yield what the batch holds so far, but for outputs without a record: by task and shard, files
    last. No states are read where their totals are kept.
    """
    plan = batch_status.plan
    outputs = {task.id: batch_status.totals.tasks[task.id].outputs for task in plan.tasks}
    for number, task in enumerate(plan.tasks):
        own = canonical_json(task.fields).decode() if task.fields else ""
        for shard, digest in zip(plan.shards, outputs[task.id], strict=True):
            if digest not in (None, EMPTY):
                first = _first_id(number, shard.shard_id)
                yield Content(_key(f"{first} {digest} {own}"), task.id, shard.shard_id, first)
    of_shards = zip(plan.shards, zip(*outputs.values(), strict=True), strict=True)
    for shard, digests in of_shards:
        first = _first_id(0, shard.shard_id)
        of_tasks = " ".join(digest or "-" for digest in digests)
        key = _key(f"files {first} {shard.digest} {of_tasks}")
        yield Content(key, "", shard.shard_id, first)


def _first_id(task: int, shard_id: str) -> int:
    return (task << _SHARD_BITS | int(shard_id, 16)) << _RECORD_BITS


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]
