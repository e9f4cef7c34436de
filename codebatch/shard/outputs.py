"""The outputs of one task on one shard, put together from the lines of its files.

Where some files of a shard were edited, the outputs of all others stand in an earlier batch, paths
and all: they are cut out of it instead of being looked up and put together file by file. What is
taken is what computing it would give: the file's line in the inputs is the same (path, content,
language, facets), and so is everything the task builds on (its closure).

Without this, a scan of Django after one edit takes 6 % more processor time, and one with 2 % of the
files edited 18 % more (medians of five pairs).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from codebatch.model.digest import digest_bytes
from codebatch.model.errors import StoreDamagedError, StoreError
from codebatch.model.keys import pipeline_fingerprints
from codebatch.model.record_lines import FileLines, count_lines_of, fill_path
from codebatch.model.records import (
    COMPUTED,
    DONE,
    EQUAL,
    MEMO_HIT,
    Counts,
    InputFile,
    Plan,
    PlannedShard,
    ShardState,
    path_key,
)
from codebatch.model.result_tree import shard_node
from codebatch.shard.files import groups_of_equals
from codebatch.store import StoreDirectory
from codebatch.store.files import file_stamp
from codebatch.tasks.rules import FAILURES


class FileOutput(NamedTuple):
    """A file's lines as they stand in outputs, and how many records and diagnostics they are.

    ``key`` puts the files of a shard into order.
    """

    key: bytes
    path: str
    object: str
    lines: bytes
    records: int
    diagnostics: int
    origin: str


class TaskOutputs:
    """Collects the lines of one task. State: ``_files`` in any order, ``_counts`` adding up."""

    def __init__(self, kept: Iterable[FileOutput] = (), counts: Iterable[Counts] = ()) -> None:
        self._files = list(kept)
        self._counts = list(counts)

    def add(self, files: Sequence[InputFile], found: FileLines, origin: str) -> None:
        """Take the lines of equal files; those after the first are equal to it."""
        counts = found.counts
        numbers = counts.records, counts.diagnostics
        for file in files:
            path = file.path
            lines = fill_path(found.lines, path)
            output = FileOutput(path_key(path), path, file.object, lines, *numbers, origin)
            self._files.append(output)
            self._counts.append(counts)
            origin = EQUAL

    def digests(self) -> dict[str, str]:
        """Return the digest of the lines of each file so far, by path."""
        return {file.path: digest_bytes(file.lines) for file in self._files}

    def finish(self, width: int) -> tuple[bytes, ShardState]:
        """The outputs with the state that vouches for them, its attempt and times left open; for a
        shard whose id has ``width`` digits.
        """
        files = sorted(self._files)  # by path, which no two share
        data = b"".join([file.lines for file in files])
        digests = [(file.path, file.object, digest_bytes(file.lines)) for file in files]
        origins = "".join([file.origin for file in files])
        computed = origins.count(COMPUTED)
        return data, ShardState(
            status=DONE,
            digest=digest_bytes(data),
            size=len(data),
            tree=shard_node(digests, width),
            files=len(files),
            computed=computed,
            reused=len(files) - computed,
            counts=Counts.total(self._counts),
            attempt="",
            per_file=tuple([(file.records, file.diagnostics) for file in files]),
            origins=origins,
        )


def is_reusable(state: ShardState | None) -> bool:
    """Return whether outputs may be used elsewhere: not where a task failed, it may work there."""
    return state is not None and state.status == DONE and FAILURES.isdisjoint(state.counts.by_code)


def keep_unchanged(
    store: StoreDirectory,
    base: str | None,
    closures: Mapping[str, str],
    shard_id: str,
    inputs: Sequence[InputFile],
) -> tuple[Collection[str], dict[str, TaskOutputs]]:
    """Return the files of a shard with these inputs that the batch ``base`` has as they are, and
    by task the outputs that hold their lines: of all tasks of ``closures`` (task id to what it
    builds on). There are none where the batch lacks a task, or most files.
    """
    nothing = (), {task_id: TaskOutputs() for task_id in closures}
    if base is None:
        return nothing
    try:
        plan, tasks = _planned(
            store, base, file_stamp(store.layout.door, store.layout.plan_document(base))
        )
        shard = plan.shard(shard_id)
        files = sorted(store.batches.load_inputs(base, shard), key=lambda one: path_key(one.path))
        before = {file.path: file for file in files}
        kept = _unchanged(inputs, before)
        if 2 * len(kept) < len(inputs):
            return nothing
        whole = store.batches.is_unfinished(base)
        return kept, {
            task_id: _cut(store, (base, tasks[closure], shard), files, kept, whole=whole)
            for task_id, closure in closures.items()
        }
    except (KeyError, StoreError):
        return nothing  # it has no such shard or task, or is damaged or gone


@lru_cache(maxsize=8)
def _planned(store: StoreDirectory, batch_id: str, stamp: object) -> tuple[Plan, dict[str, str]]:
    """A batch's plan, and its tasks by what they build on; ``stamp`` tells plans apart."""
    plan = store.batches.load_plan(batch_id)
    found = pipeline_fingerprints(plan.tasks)
    return plan, {closure: task_id for task_id, closure in found.items()}


def _unchanged(
    inputs: Sequence[InputFile], before: Mapping[str, InputFile]
) -> dict[str, tuple[bytes, str, str]]:
    """The key, the object and the origin of each file that is kept, by path. Of equal files either
    all are kept or none: a result is computed once for them.
    """
    kept: dict[str, tuple[bytes, str, str]] = {}
    for files in groups_of_equals(inputs):
        if all(before.get(file.path) == file for file in files):
            origin = MEMO_HIT
            for file in files:
                kept[file.path] = path_key(file.path), file.object, origin
                origin = EQUAL
    return kept


def _cut(
    store: StoreDirectory,
    place: tuple[str, str, PlannedShard],
    files: Sequence[InputFile],
    kept: Mapping[str, tuple[bytes, str, str]],
    *,
    whole: bool,
) -> TaskOutputs:
    """The lines of kept files in the outputs of a task on a shard; KeyError if not to be used. With
    ``whole``, the objects that they refer to are read.
    """
    batch_id, task_id, shard = place
    state, outputs = store.shards.load_verified_outputs(
        batch_id, task_id, shard.shard_id, whole=whole
    )
    if state is None or not is_reusable(state):
        raise KeyError(task_id)
    cut: list[FileOutput] = []
    left_out: list[bytes] = []
    for path, lines, numbers in lines_by_file(outputs, state, files):
        if path in kept:
            key, digest, origin = kept[path]
            cut.append(FileOutput(key, path, digest, lines, *numbers, origin))
        else:
            left_out.append(lines)
    return TaskOutputs(cut, [state.counts.less(count_lines_of(b"".join(left_out)))])


def lines_by_file(
    outputs: bytes, state: ShardState, files: Iterable[InputFile]
) -> Iterator[tuple[str, bytes, tuple[int, int]]]:
    """Each file's path, lines, and numbers of records and diagnostics, in path order."""
    paths = sorted((file.path for file in files), key=path_key)
    ends = [*accumulate(map(len, outputs.splitlines(keepends=True)), initial=0)]
    places = [*accumulate((records for records, _ in state.per_file), initial=0)]
    if len(paths) != len(state.per_file) or places[-1] != len(ends) - 1:
        raise StoreDamagedError("a state has other files than its shard")
    for path, (first, last), numbers in zip(paths, pairwise(places), state.per_file, strict=True):
        yield path, outputs[ends[first] : ends[last]], numbers
