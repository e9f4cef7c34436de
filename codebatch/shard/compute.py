"""Compute the files of a shard through all tasks, file by file. No store, no clock.

Files are taken object by object: equal content is computed once, however many paths it has.
What the memo has under the key of a task on a file is taken over; the rest is computed, all
tasks looking at a file before the next is read, so that they share its parsed tree and at most
one tree is alive. What a task raises on a file becomes a diagnostic record of that file, unless it
says that this process ran short of memory, handles or room: for that, the shard fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

from codebatch.model.digest import canonical_json
from codebatch.model.errors import CodeBatchError, NotReusedError, TaskFailedError
from codebatch.model.keys import file_key
from codebatch.model.record_lines import FileLines, encode_lines
from codebatch.model.records import COMPUTED, MEMO_HIT, Counts, InputFile, PlannedTask, Record
from codebatch.model.shortage import shortage_of
from codebatch.runtime.gc_paused import collect_young
from codebatch.shard.files import Lookup, ReadObject, ShardFiles, UnreadableObjectError
from codebatch.tasks.base import Task, ToolCrashedError
from codebatch.tasks.file import File
from codebatch.tasks.findings import failure_record
from codebatch.tasks.levels import FACET, with_levels
from codebatch.tasks.records import MisfitError
from codebatch.tasks.registry import task_of
from codebatch.tasks.rules import TASK_CRASHED, TASK_FAILED, TASK_OUT_OF_MEMORY, TASK_TIMED_OUT
from codebatch.tasks.source import SourceFile

MAX_OBJECT_BYTES = 16 * 2**20
_QUARANTINED = {
    TASK_CRASHED: "quarantined: the task crashes on this file",
    TASK_TIMED_OUT: "quarantined: the task exceeds the time limit on this file",
    TASK_OUT_OF_MEMORY: "quarantined: the task exceeds the memory limit on this file",
}

PutObject = Callable[[bytes], str]
Compute = Callable[["Computation"], FileLines]
Quarantine = Callable[["Computation", str], FileLines]
Change = Callable[["ShardContext"], "ShardContext"]


@dataclass(frozen=True)
class ShardContext:
    """The functions and conditions that computing a shard needs.

    ``read`` gives an object's bytes, at most so many, ``put`` stores a large value and gives its
    digest, ``lookup`` gives the memo entry of a key. ``may_compute`` false makes it an error
    that something is not in the memo.

    ``watch`` is told for how many files the next step takes time, and 0 where the last is over.
    Where ``memory_is_limited``, memory that runs out is a `MemoryError`, which the file at hand may
    be to blame for; elsewhere it is a `MemoryExhaustedError`, for which the shard fails.
    ``compute`` runs a task on a file elsewhere; None is here. ``quarantine`` gives the lines of one
    over which a tool has crashed; with it comes what it is quarantined under. ``files`` are those
    of the shard, where tools may be at work on them already.
    """

    read: ReadObject
    put: PutObject
    quarantine: Quarantine
    lookup: Lookup = lambda _: None
    may_compute: bool = True
    watch: Callable[[int], None] = lambda _: None
    memory_is_limited: bool = False
    compute: Compute | None = None
    files: ShardFiles | None = None


class Computation(NamedTuple):
    """A task to run on a file, with all that its lines depend on.

    ``later`` gives the files after it which the task may have to look at as well.
    """

    task: PlannedTask
    key: str
    file: InputFile
    source: SourceFile
    upstream: Mapping[str, FileLines]
    later: Callable[[], Sequence[tuple[InputFile, SourceFile]]]


def compute_files(
    tasks: Sequence[PlannedTask],
    inputs: Sequence[InputFile],
    context: ShardContext,
    computed: dict[str, FileLines],
    failed: dict[str, TaskFailedError],
) -> Iterator[tuple[str, Sequence[InputFile], FileLines, str]]:
    """Run all tasks over files ordered by object: yield the id of each task with equal files, its
    lines on these, and where they come from. What is computed is put into ``computed``, by key, and
    why a task has no lines on any further file into ``failed``, by its id.
    """
    files = context.files or ShardFiles(tasks, inputs, context.read, context.lookup)
    work = _ShardWork(files, context, computed, failed)
    try:
        work.prepare()
        yield from work.results()
    except UnreadableObjectError as error:
        raise error.reason from None  # the store's fault: nothing of it may become a result
    except (CodeBatchError, MemoryError):
        raise
    except Exception as error:  # of what was prepared for many files
        shortage = shortage_of(error, memory_is_limited=context.memory_is_limited)
        if shortage is None:
            raise
        raise shortage from error
    finally:
        work.close()
        context.watch(0)


class _ShardWork:
    """The files of a shard still to be worked on, each group of equal ones as one.

    State: ``_prepared`` is what the tools at work said, by index, once one file needed it;
    ``_computed`` what was computed, by key; ``_failed`` why a task is over, by its id.
    """

    def __init__(
        self,
        files: ShardFiles,
        context: ShardContext,
        computed: dict[str, FileLines],
        failed: dict[str, TaskFailedError],
    ) -> None:
        self._files = files
        self._context = context
        self._computed = computed
        self._failed = failed
        self._prepared: dict[str, Mapping[int, object]] = {}

    def prepare(self) -> None:
        """Start the tools that look at many files at once, at those that may need them."""
        if not self._context.may_compute or self._context.compute is not None:
            return
        for task in reversed(self._files.tasks):  # what `lint` asks a tool holds what `parse` needs
            wanted = self._files.unknown(task)
            if wanted and task.id not in self._files.started:
                self._watch(task, len(wanted))
                try:
                    self._files.start(task, wanted)
                except TaskFailedError as error:
                    self._failed[task.id] = error

    def close(self) -> None:
        """End the tools whose results were not needed."""
        self._files.cancel()

    def results(self) -> Iterator[tuple[str, Sequence[InputFile], FileLines, str]]:
        """Yield what `compute_files` does; last the files that tools are at work on."""
        files = self._files
        awaited = {index for started in files.started.values() for index in started.indexes}
        for index in sorted(range(len(files.groups)), key=awaited.__contains__):
            known = files.known.pop(index)
            found: dict[str, FileLines] = {}
            for task in files.tasks:
                lines, origin = known[task.id], MEMO_HIT
                without = next((self._failed[i] for i in task.needs if i in self._failed), None)
                if without is not None:
                    self._failed[task.id] = without
                if task.id in self._failed:
                    continue
                if lines is None:
                    try:
                        lines, origin = self._missing(task, index, found)
                    except TaskFailedError as error:
                        self._failed[task.id] = error
                        continue
                found[task.id] = lines
                yield task.id, files.groups[index], lines, origin
            source = files.sources.pop(index)
            source.drop_tree()
            if source.tree_was_read:
                collect_young()

    def _missing(
        self, task: PlannedTask, index: int, found: Mapping[str, FileLines]
    ) -> tuple[FileLines, str]:
        """Return the lines of a task on a file that were not known at first, and their origin."""
        file = self._files.groups[index][0]
        # What it needs has come out by now, perhaps as it did before.
        key = file_key(task, file, found)
        lines = self._computed.get(key) or self._context.lookup(key)
        if lines is not None:
            return lines, MEMO_HIT
        if not self._context.may_compute:
            raise NotReusedError(f"task {task.id} was never run on {file.path}")
        upstream = {need: found[need] for need in task.needs}
        later = partial(self._later, task)
        work = Computation(task, key, file, self._files.sources[index], upstream, later)
        compute = self._context.compute
        try:
            lines = self._run(work, index) if compute is None else compute(work)
        except ToolCrashedError as error:
            lines = self._context.quarantine(work, error.rule)
        self._computed[key] = lines
        return lines, COMPUTED

    def _run(self, work: Computation, index: int) -> FileLines:
        """Run a task here."""
        planned, task = work.task, task_of(work.task)
        prepared = self._prepared_for(planned, index)
        upstream = {need: work.upstream[need].lines for need in planned.needs}
        self._context.watch(1)
        file = task.file(work.source, upstream, prepared)
        return run_task(task, planned.config, file, self._context, planned.levels)

    def _prepared_for(self, task: PlannedTask, index: int) -> object:
        """Return what the task has prepared for a group; None where it did not look at it."""
        started = self._files.started.get(task.id)
        if started is None:
            return None
        if task.id not in self._prepared:
            self._watch(task, started.files)
            try:
                values = started.preparation.values()
            except ToolCrashedError:
                sources = [self._files.sources[i] for i in started.indexes]
                values = task_of(task).prepare_apart(sources, task.config)
            self._prepared[task.id] = dict(zip(started.indexes, values, strict=True))
        return self._prepared[task.id].get(index)

    def _watch(self, task: PlannedTask, files: int) -> None:
        """Say that a tool is waited for, unless it is one whose time is limited in its own way."""
        self._context.watch(0 if task_of(task).keeps_time else files)

    def _later(self, task: PlannedTask) -> list[tuple[InputFile, SourceFile]]:
        files = self._files
        return [(files.groups[i][0], files.sources[i]) for i in files.unknown(task)]


def run_task(
    task: Task,
    config: Mapping[str, object],
    file: File,
    context: ShardContext,
    levels: object = None,
) -> FileLines:
    """The lines of a task on a file, with the ``levels`` of its plan; a tool's crash on it is
    raised.
    """
    objects: list[str] = []

    def put(data: bytes) -> str:
        objects.append(context.put(data))
        return objects[-1]

    try:
        found = _records(task, config, file, context)
        found = with_levels(found, levels, file.source.facets.get(FACET, ""))
        records = [_stored(record, put) if "data" in record else record for record in found]
        lines = task.forms.lines(records)
    except (_TaskFailedError, MisfitError) as error:  # the file gets a record, and only this one
        records = [failure_record(TASK_FAILED, f"the task failed on this file: {error}")]
        objects, lines = [], encode_lines(records)
    return FileLines(lines, Counts.of(records), tuple(objects))


class _TaskFailedError(Exception):
    """A task has raised something that says nothing about this process."""


def _records(
    task: Task, config: Mapping[str, object], file: File, context: ShardContext
) -> list[Record]:
    if isinstance(file.prepared, ToolCrashedError):
        raise file.prepared
    try:
        return task.run(file, config)
    except (UnreadableObjectError, ToolCrashedError, MisfitError):
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        shortage = shortage_of(error, memory_is_limited=context.memory_is_limited)
        if shortage is not None:
            raise shortage from error
        raise _TaskFailedError(f"{type(error).__name__}: {error}") from error


def _stored(record: Record, put: PutObject) -> Record:
    """The record with its large value, if it has one, replaced by the digest of an object."""
    data = record["data"]
    if not isinstance(data, bytes):
        return record
    reference = {key: value for key, value in record.items() if key != "data"}
    if len(data) <= MAX_OBJECT_BYTES:
        return {**reference, "object": put(data)}
    portions = range(0, len(data), MAX_OBJECT_BYTES)
    chunks = [put(data[start : start + MAX_OBJECT_BYTES]) for start in portions]
    manifest = canonical_json({"chunks": chunks, "size": len(data)})
    return {**reference, "object": put(manifest), "chunked": True}


@lru_cache(maxsize=len(_QUARANTINED))
def quarantined_lines(code: str) -> FileLines:
    """Return the lines in place of the records of a task on a file that is quarantined: one
    diagnostic that says why, whatever the machine, the time it took or the memory it used.
    """
    record = failure_record(code, _QUARANTINED[code])
    return FileLines(encode_lines([record]), Counts.of([record]))
