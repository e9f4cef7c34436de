"""Take over the lines of files that an earlier batch has in the same shard, just as they are.

Where one file of a shard was edited, the outputs of all others stand in the earlier batch, paths
and all: they are cut out of it instead of being looked up and put together file by file. What is
taken is what computing it would give: the file's line in the inputs is the same (path, content,
language, facets), and so is everything the task builds on (its closure).

Without this, a scan of Django after one edit takes 6 % more processor time, and one with 2 % of the
files edited 18 % more (medians of five pairs).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

from codebatch.model.errors import StoreError
from codebatch.model.keys import pipeline_fingerprints
from codebatch.model.record_lines import count_lines_of
from codebatch.model.records import (
    DONE,
    EQUAL,
    REMEMBERED,
    Counts,
    InputFile,
    Plan,
    PlannedShard,
    ShardState,
    path_key,
)
from codebatch.shard.compute import groups_of_equals
from codebatch.shard.outputs import NOTHING_KEPT, FileOutput, Kept
from codebatch.store import StoreDirectory
from codebatch.store.files import file_stamp
from codebatch.tasks.rules import FAILURES


def is_reusable(state: ShardState | None) -> bool:
    """Return whether outputs may be used elsewhere: not where a task failed, it may work there."""
    return state is not None and state.status == DONE and FAILURES.isdisjoint(state.counts.by_code)


def keep_unchanged(
    store: StoreDirectory,
    base: str | None,
    closures: Mapping[str, str],
    shard_id: str,
    inputs: Sequence[InputFile],
) -> Kept:
    """Return what the batch ``base`` has of a shard with these inputs, for all tasks of
    ``closures`` (task id to what it builds on); nothing where it lacks a task, or most files.
    """
    if base is None:
        return NOTHING_KEPT
    try:
        plan, tasks = _planned(
            store, base, file_stamp(store.layout.door, store.layout.plan_document(base))
        )
        shard = plan.shard(shard_id)
        before = {file.path: file for file in store.batches.load_inputs(base, shard)}
        kept = _unchanged(inputs, before)
        if 2 * len(kept) < len(inputs):
            return NOTHING_KEPT
        outputs = {
            task_id: _cut(store, (base, tasks[closure], shard), before.values(), kept)
            for task_id, closure in closures.items()
        }
    except (KeyError, StoreError):
        return NOTHING_KEPT  # it has no such shard or task, or is damaged or gone
    return Kept(frozenset(kept), outputs)


@lru_cache(maxsize=8)
def _planned(store: StoreDirectory, batch_id: str, stamp: object) -> tuple[Plan, dict[str, str]]:
    """A batch's plan, and its tasks by what they build on; ``stamp`` tells plans apart."""
    plan = store.batches.load_plan(batch_id)
    found = pipeline_fingerprints(plan.tasks)
    return plan, {closure: task_id for task_id, closure in found.items()}


def _unchanged(
    inputs: Sequence[InputFile], before: Mapping[str, InputFile]
) -> dict[str, tuple[str, str]]:
    """The object and the origin of each file that is kept, by path. Of equal files either all
    are kept or none: a result is computed once for them.
    """
    kept: dict[str, tuple[str, str]] = {}
    for files in groups_of_equals(inputs):
        if all(before.get(file.path) == file for file in files):
            origin = REMEMBERED
            for file in files:
                kept[file.path] = file.object, origin
                origin = EQUAL
    return kept


def _cut(
    store: StoreDirectory,
    place: tuple[str, str, PlannedShard],
    files: Iterable[InputFile],
    kept: Mapping[str, tuple[str, str]],
) -> tuple[Sequence[FileOutput], Counts]:
    """The lines of kept files in the outputs of a task on a shard; KeyError if not to be used."""
    batch_id, task_id, shard = place
    state, outputs = store.shards.load_verified_outputs(
        batch_id, task_id, shard.shard_id, whole=store.batches.is_unfinished(batch_id)
    )
    if state is None or not is_reusable(state):
        raise KeyError(task_id)
    cut: list[FileOutput] = []
    left_out: list[bytes] = []
    for path, lines, (records, diagnostics) in _by_file(outputs, state, files):
        if path in kept:
            digest, origin = kept[path]
            cut.append(
                FileOutput(path_key(path), path, digest, lines, records, diagnostics, origin)
            )
        else:
            left_out.append(lines)
    return cut, state.counts.less(count_lines_of(b"".join(left_out)))


def _by_file(
    outputs: bytes, state: ShardState, files: Iterable[InputFile]
) -> Iterator[tuple[str, bytes, tuple[int, int]]]:
    """Each file's path, lines, and numbers of records and diagnostics, in path order."""
    paths = sorted((file.path for file in files), key=path_key)
    ends = [*accumulate(map(len, outputs.splitlines(keepends=True)), initial=0)]
    places = [*accumulate((records for records, _ in state.per_file), initial=0)]
    if len(paths) != len(state.per_file) or places[-1] != len(ends) - 1:
        raise KeyError(state.digest)  # the state has other files than its shard
    for path, (first, last), numbers in zip(paths, pairwise(places), state.per_file, strict=True):
        yield path, outputs[ends[first] : ends[last]], numbers
