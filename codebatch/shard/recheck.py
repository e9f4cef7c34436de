"""Compute a part of a finished shard again, store nothing, and compare with what is committed.

It proves that the committed results are what the inputs give. What is quarantined is not tried:
it would end the process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.errors import BatchUnfinishedError, TaskFailedError
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.record_lines import fill_path
from codebatch.model.records import DONE, InputFile, Plan
from codebatch.shard.compute import Change, ShardContext, compute_files, quarantined_lines
from codebatch.shard.outputs import lines_by_file
from codebatch.store import StoreDirectory
from codebatch.tasks.rules import QUARANTINED

WHOLE = 1_000_000
_SAMPLE_DIGITS = 8


def prepare_recheck(
    store: StoreDirectory, plan: Plan, call: ShardCall, part: int
) -> tuple[Sequence[InputFile], Callable[[Change], Receipt]]:
    """Return ``part`` in a million of the files of a shard, and what computes these again: its
    receipt names each (task id, path) whose lines differ. Nothing is claimed.
    """
    inputs = store.batches.load_inputs(call.batch_id, plan.shard(call.shard_id))
    there = _committed(store, plan, call, inputs)
    quarantined = _quarantined_objects(there, inputs)
    chosen = [f for f in inputs if _in_sample(f.object, part) and f.object not in quarantined]

    def compare(change: Change) -> Receipt:
        context = ShardContext(
            store.objects.read, digest_bytes, lambda _, code: quarantined_lines(code)
        )
        # In another order than at first: what a task keeps from file to file shows.
        failed: dict[str, TaskFailedError] = {}
        computed = compute_files(plan.tasks, chosen[::-1], change(context), {}, failed)
        here = {
            (task_id, file.path): digest_bytes(fill_path(found.lines, file.path))
            for task_id, files, found, _ in computed
            for file in files
        }
        for error in failed.values():
            raise error
        differ = tuple(sorted(place for place, digest in here.items() if there[place] != digest))
        return Receipt(call.shard_id, call.attempt, DONE, checked=len(here), differ=differ)

    return chosen, compare


def _in_sample(digest: str, part: int) -> bool:
    """Return whether an object is in a sample; it is the same one every time."""
    number = int(digest[len(DIGEST_PREFIX) :][-_SAMPLE_DIGITS:], 16)
    return number * WHOLE < part << 4 * _SAMPLE_DIGITS


def _committed(
    store: StoreDirectory, plan: Plan, call: ShardCall, inputs: Sequence[InputFile]
) -> dict[tuple[str, str], str]:
    """Return the digest of the committed lines of each task for each file of a shard."""
    found: dict[tuple[str, str], str] = {}
    for task in plan.tasks:
        state = store.shards.load_state(call.batch_id, task.id, call.shard_id)
        if state is None or state.status != DONE:
            raise BatchUnfinishedError(f"shard {call.shard_id} of {call.batch_id} is not done")
        outputs = store.shards.read_outputs(call.batch_id, task.id, call.shard_id, state)
        for path, lines, _ in lines_by_file(outputs, state, inputs):
            found[task.id, path] = digest_bytes(lines)
    return found


def _quarantined_objects(
    there: Mapping[tuple[str, str], str], inputs: Sequence[InputFile]
) -> frozenset[str]:
    """Return the objects of files of which a task's committed lines are those of quarantine."""
    objects = {file.path: file.object for file in inputs}
    lines_of = [quarantined_lines(code).lines for code in sorted(QUARANTINED)]
    return frozenset(
        objects[path]
        for (_, path), digest in there.items()
        if digest in {digest_bytes(fill_path(lines, path)) for lines in lines_of}
    )
