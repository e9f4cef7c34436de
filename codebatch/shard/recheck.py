"""Compute a part of a finished shard again, store nothing, and compare with what is committed.

It proves that the committed results are what the inputs give. What is quarantined is not tried:
it would end the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice

from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.errors import BatchUnfinishedError, StoreDamagedError
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.record_lines import fill_path
from codebatch.model.records import DONE, InputFile, Plan, ShardState, path_key
from codebatch.shard.compute import ShardContext, compute_files
from codebatch.shard.open import Change, OpenShard, open_call
from codebatch.shard.quarantine import quarantined_lines
from codebatch.store import StoreDirectory
from codebatch.tasks.rules import QUARANTINED

WHOLE = 1_000_000
_SAMPLE_DIGITS = 8

Place = tuple[str, str]


def open_recheck(call: ShardCall, part: int) -> OpenShard:
    """Open ``part`` in a million of the files of a shard; nothing is claimed."""
    store, plan = open_call(call)
    inputs = store.batches.load_inputs(call.batch_id, plan.shard(call.shard_id))
    there = _committed(store, plan, call, inputs)
    quarantined = _quarantined_objects(there, inputs)
    chosen = [f for f in inputs if _in_sample(f.object, part) and f.object not in quarantined]
    finish = partial(_compare, call, store, plan, chosen, there)
    return OpenShard(call, store, plan.tasks, chosen, None, finish)


def _compare(
    call: ShardCall,
    store: StoreDirectory,
    plan: Plan,
    files: Sequence[InputFile],
    there: Mapping[Place, str],
    change: Change,
) -> Receipt:
    """Compute files again; the receipt names each (task id, path) whose lines differ."""
    context = change(
        ShardContext(store.objects.read, digest_bytes, lambda _, code: quarantined_lines(code))
    )
    here = {
        (outcome.task_id, file.path): digest_bytes(fill_path(outcome.found.lines, file.path))
        for outcome in compute_files(plan.tasks, files, context, {})
        for file in outcome.files
    }
    differ = tuple(sorted(place for place, digest in here.items() if there[place] != digest))
    return Receipt(call.shard_id, call.attempt, DONE, checked=len(here), differ=differ)


def _in_sample(digest: str, part: int) -> bool:
    """Return whether an object is in a sample; it is the same one every time."""
    number = int(digest[len(DIGEST_PREFIX) :][-_SAMPLE_DIGITS:], 16)
    return number * WHOLE < part << 4 * _SAMPLE_DIGITS


def _committed(
    store: StoreDirectory, plan: Plan, call: ShardCall, inputs: Sequence[InputFile]
) -> dict[Place, str]:
    """Return the digest of the committed lines of each task for each file of a shard."""
    found: dict[Place, str] = {}
    for task in plan.tasks:
        state = store.shards.load_state(call.batch_id, task.id, call.shard_id)
        if state is None or state.status != DONE:
            raise BatchUnfinishedError(f"shard {call.shard_id} of {call.batch_id} is not done")
        outputs = store.shards.read_outputs(call.batch_id, task.id, call.shard_id, state)
        for path, lines in lines_by_path(outputs, state, inputs).items():
            found[task.id, path] = digest_bytes(lines)
    return found


def _quarantined_objects(there: Mapping[Place, str], inputs: Sequence[InputFile]) -> frozenset[str]:
    """Return the objects of files of which a task's committed lines are those of quarantine."""
    objects = {file.path: file.object for file in inputs}
    lines_of = [quarantined_lines(code).lines for code in sorted(QUARANTINED)]
    return frozenset(
        objects[path]
        for (_, path), digest in there.items()
        if digest in {digest_bytes(fill_path(lines, path)) for lines in lines_of}
    )


def lines_by_path(
    outputs: bytes, state: ShardState, inputs: Sequence[InputFile]
) -> dict[str, bytes]:
    """Return the lines of each file in the outputs of a shard."""
    paths = sorted((file.path for file in inputs), key=path_key)
    if len(paths) != len(state.per_file):
        raise StoreDamagedError("a state has other files than its shard")
    lines = iter(outputs.splitlines(keepends=True))
    return {
        path: b"".join(islice(lines, records))
        for path, (records, _) in zip(paths, state.per_file, strict=True)
    }
