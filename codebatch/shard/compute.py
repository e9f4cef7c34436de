"""Work out one shard: its files through all tasks, file by file. No store, no clock.

Files are taken object by object: equal content is computed once, however many paths it has.
What is remembered under the key of a task on a file is taken over; the rest is computed, all
tasks looking at a file before the next is read, so that they share its parsed tree and at most
one tree is alive. What a task raises on a file becomes a diagnostic record of that file, unless it
says that this process ran short of memory, handles or room: for that, the shard fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from codebatch.model.digest import canonical_json
from codebatch.model.errors import CodeBatchError, NotReusedError, ShardFailedError
from codebatch.model.keys import file_key
from codebatch.model.record_lines import FileLines, decode_lines, encode_lines
from codebatch.model.records import COMPUTED, REMEMBERED, Counts, InputFile, PlannedTask, Record
from codebatch.shard.outputs import NOTHING_KEPT, Kept, OutputLines, TaskOutputs
from codebatch.shard.resource_errors import shortage_of
from codebatch.tasks.base import FileContext, Preparation, ToolCrashedError
from codebatch.tasks.findings import failure_record
from codebatch.tasks.registry import find_task
from codebatch.tasks.rules import FAILURES, TASK_FAILED
from codebatch.tasks.source import SourceFile

MAX_OBJECT_BYTES = 16 * 2**20

ReadObject = Callable[[str, int], bytes]
PutObject = Callable[[bytes], str]
Lookup = Callable[[str], "FileLines | None"]
Compute = Callable[["Computation"], FileLines]
Quarantine = Callable[["Computation", str], FileLines]


@dataclass(frozen=True)
class ShardContext:
    """The functions and conditions that computing a shard needs.

    ``read`` gives an object's bytes, at most so many, ``put`` stores a large value and gives its
    digest, ``lookup`` gives what is remembered under a key. ``may_compute`` false
    makes it an error that something is not remembered.

    ``watch`` is told for how many files the next step takes time, and 0 where the last is over.
    Where ``memory_is_limited``, memory that runs out is a `MemoryError`, which the file at hand may
    be to blame for; elsewhere it is a `MemoryExhaustedError`, for which the shard fails.
    ``compute`` runs a task on a file elsewhere; None is here. ``quarantine`` gives the lines of one
    over which a tool has crashed; with it comes what it is quarantined under.
    """

    read: ReadObject
    put: PutObject
    quarantine: Quarantine
    lookup: Lookup = lambda _: None
    may_compute: bool = True
    watch: Callable[[int], None] = lambda _: None
    memory_is_limited: bool = False
    compute: Compute | None = None


@dataclass(frozen=True)
class Computation:
    """A task to run on a file, with all that its lines depend on.

    ``later`` gives the files after it which the task may have to look at as well.
    """

    task: PlannedTask
    key: str
    file: InputFile
    source: SourceFile
    upstream: Mapping[str, FileLines]
    later: Callable[[], Sequence[tuple[InputFile, SourceFile]]]


@dataclass(frozen=True)
class ShardResult:
    """The outputs of each task on a shard, and the new results to remember, by key."""

    outputs: dict[str, TaskOutputs]
    computed: dict[str, FileLines]


@dataclass(frozen=True)
class FileOutcome:
    """The lines of one task for equal files, and where they come from."""

    task_id: str
    files: Sequence[InputFile]
    found: FileLines
    origin: str


def compute_shard(
    tasks: Sequence[PlannedTask],
    shard_id: str,
    files: Sequence[InputFile],
    context: ShardContext,
    kept: Kept = NOTHING_KEPT,
) -> ShardResult:
    """Run all tasks over files of a shard, which are ordered by object; the outputs of its other
    files are those that are kept.
    """
    lines = {task.id: OutputLines() for task in tasks}
    for task_id, (outputs_kept, counts) in kept.outputs.items():
        lines[task_id].add_outputs(outputs_kept, counts)
    computed: dict[str, FileLines] = {}
    for outcome in compute_files(tasks, files, context, computed):
        lines[outcome.task_id].add(outcome.files, outcome.found, outcome.origin)
    outputs = {task.id: lines[task.id].finish(len(shard_id)) for task in tasks}
    # What failed here may work elsewhere.
    lasting = {k: f for k, f in computed.items() if FAILURES.isdisjoint(f.counts.by_code)}
    return ShardResult(outputs, lasting)


def compute_files(
    tasks: Sequence[PlannedTask],
    inputs: Sequence[InputFile],
    context: ShardContext,
    computed: dict[str, FileLines],
) -> Iterator[FileOutcome]:
    """Run all tasks over files ordered by object; what was computed is put into ``computed``."""
    work = _ShardWork(tasks, list(groups_of_equals(inputs)), context, computed)
    try:
        work.prepare()
        for files, file_work in work.files():
            for task in tasks:
                found, origin = file_work.result(task)
                yield FileOutcome(task.id, files, found, origin)
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


def run_task(
    task: PlannedTask, source: SourceFile, file_context: FileContext, context: ShardContext
) -> tuple[Sequence[Record], FileLines]:
    """The records of a task on a file, and their lines; a tool's crash on it is raised."""
    objects: list[str] = []

    def put(data: bytes) -> str:
        objects.append(context.put(data))
        return objects[-1]

    records = _run(task, source, file_context, put, context)
    return records, FileLines(encode_lines(records), Counts.of(records), tuple(objects))


def memo_hits(
    tasks: Sequence[PlannedTask], file: InputFile, lookup: Lookup
) -> dict[str, FileLines | None]:
    """Return what is remembered of a file, by task id, in the order of the tasks.

    A task whose upstream is not remembered has no key yet, and counts as not remembered.
    """
    found: dict[str, FileLines | None] = {}
    for task in tasks:
        upstream = {need: lines for need in task.needs if (lines := found[need]) is not None}
        known = len(upstream) == len(task.needs)
        if known:
            found[task.id] = lookup(file_key(task, file, upstream))
        else:
            found[task.id] = None
    return found


def groups_of_equals(inputs: Sequence[InputFile]) -> Iterator[list[InputFile]]:
    """The inputs of a shard, ordered by object, in groups that no task can tell apart."""
    return (list(files) for _, files in groupby(inputs, key=_identity))


def _identity(file: InputFile) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return file.object, file.language, tuple(sorted(file.facets.items()))


class _ShardWork:
    """The files of a shard still to be worked on, each group of equal ones as one.

    State: ``_sources`` holds the sources not yet taken and ``_known`` what is remembered of
    them, by the group's index; ``_preparations`` the tools at work for tasks, ``_prepared`` what
    they said, by index, once one file needed it; ``computed`` what was computed, by key.
    """

    def __init__(
        self,
        tasks: Sequence[PlannedTask],
        groups: Sequence[Sequence[InputFile]],
        context: ShardContext,
        computed: dict[str, FileLines],
    ) -> None:
        self.tasks = tasks
        self.context = context
        self.computed = computed
        self._groups = groups
        self._sources = {index: _source(g[0], context.read) for index, g in enumerate(groups)}
        self._known = {
            index: memo_hits(tasks, group[0], context.lookup) for index, group in enumerate(groups)
        }
        self._preparations: dict[str, tuple[list[int], Preparation]] = {}
        self._prepared: dict[str, Mapping[int, object]] = {}

    def prepare(self) -> None:
        """Start the tools that look at many files at once, at those that may need them."""
        if not self.context.may_compute or self.context.compute is not None:
            return
        for task in reversed(self.tasks):  # what `lint` asks a tool holds what `parse` needs
            prepare = find_task(task.task).prepare
            wanted = [index for index, known in self._known.items() if known[task.id] is None]
            if prepare is not None and wanted:
                self.context.watch(len(wanted))
                preparation = prepare([self._sources[index] for index in wanted], task.config)
                looked_at = [wanted[place] for place in preparation.places]
                self._preparations[task.id] = looked_at, preparation

    def close(self) -> None:
        """End the tools whose results were not needed."""
        for _, preparation in self._preparations.values():
            preparation.cancel()

    def files(self) -> Iterator[tuple[Sequence[InputFile], _FileWork]]:
        """Each group with the work on its first file; last those that tools are at work on."""
        awaited = {index for indexes, _ in self._preparations.values() for index in indexes}
        for index in sorted(range(len(self._groups)), key=awaited.__contains__):
            files = self._groups[index]
            known = self._known.pop(index)
            yield files, _FileWork(self, index, files[0], self._sources[index], known)
            self._sources.pop(index).drop_tree()

    def lookup(self, key: str) -> FileLines | None:
        """Return the lines under a key, from this shard or from the memo."""
        return self.computed.get(key) or self.context.lookup(key)

    def prepared(self, task: PlannedTask, index: int) -> object:
        """Return what the task has prepared for a group; None where it did not look at it."""
        if task.id not in self._preparations:
            return None
        if task.id not in self._prepared:
            indexes, preparation = self._preparations[task.id]
            self.context.watch(len(indexes))
            try:
                values = preparation.values()
            except ToolCrashedError:
                sources = [self._sources[i] for i in indexes]
                values = find_task(task.task).prepare_apart(sources, task.config)
            self._prepared[task.id] = dict(zip(indexes, values, strict=True))
        return self._prepared[task.id].get(index)

    def later(self, task: PlannedTask) -> list[tuple[InputFile, SourceFile]]:
        """The files to come that the task may have to look at."""
        return [(self._groups[i][0], self._sources[i]) for i in self._later(task)]

    def _later(self, task: PlannedTask) -> list[int]:
        # Those that are remembered will not ask.
        return [index for index, known in self._known.items() if known[task.id] is None]


class _FileWork:
    """All tasks on one file.

    State: ``_known`` holds what is remembered, ``_found`` the lines of each task done,
    ``_records`` their records, where a task asked for them.
    """

    def __init__(
        self,
        shard: _ShardWork,
        index: int,
        file: InputFile,
        source: SourceFile,
        known: Mapping[str, FileLines | None],
    ) -> None:
        self._known = known
        self._shard = shard
        self._index = index
        self._file = file
        self._source = source
        self._found: dict[str, FileLines] = {}
        self._records: dict[str, Sequence[Record]] = {}

    def result(self, task: PlannedTask) -> tuple[FileLines, str]:
        """The task's lines, and where they come from."""
        origin = REMEMBERED
        found = self._known[task.id]
        if found is None:
            # What it needs has come out by now, perhaps as it did before.
            key = file_key(task, self._file, self._found)
            found = self._shard.lookup(key)
            if found is None:
                found, origin = self._compute(task, key), COMPUTED
        self._found[task.id] = found
        return found, origin

    def _compute(self, task: PlannedTask, key: str) -> FileLines:
        if not self._shard.context.may_compute:
            raise NotReusedError(f"task {task.id} was never run on {self._file.path}")
        compute = self._shard.context.compute
        try:
            found = self._run(task) if compute is None else compute(self._computation(task, key))
        except ToolCrashedError as error:
            found = self._shard.context.quarantine(self._computation(task, key), error.rule)
        self._shard.computed[key] = found
        return found

    def _run(self, task: PlannedTask) -> FileLines:
        file_context = FileContext(
            config=task.config,
            upstream={need: self._upstream(need) for need in task.needs},
            prepared=self._shard.prepared(task, self._index),
        )
        self._shard.context.watch(1)
        records, found = run_task(task, self._source, file_context, self._shard.context)
        self._records[task.id] = records
        return found

    def _computation(self, task: PlannedTask, key: str) -> Computation:
        upstream = {need: self._found[need] for need in task.needs}
        later = partial(self._shard.later, task)
        return Computation(task, key, self._file, self._source, upstream, later)

    def _upstream(self, need: str) -> Sequence[Record]:
        if need not in self._records:
            self._records[need] = decode_lines(self._found[need].lines)
        return self._records[need]


def _source(file: InputFile, read: ReadObject) -> SourceFile:
    return SourceFile.stored(
        partial(_read, read, file.object, file.size), file.size, file.language, file.facets
    )


class UnreadableObjectError(Exception):
    """The store could not give an object; a task that looks into a file may meet this."""

    def __init__(self, reason: CodeBatchError) -> None:
        super().__init__(reason.message)
        self.reason = reason


def _read(read: ReadObject, digest: str, size: int) -> bytes:
    try:
        return read(digest, size)
    except CodeBatchError as error:
        raise UnreadableObjectError(error) from error


def _run(
    planned: PlannedTask,
    source: SourceFile,
    file_context: FileContext,
    put: PutObject,
    context: ShardContext,
) -> list[Record]:
    task = find_task(planned.task)
    if isinstance(file_context.prepared, ToolCrashedError):
        raise file_context.prepared
    try:
        records = list(task.run(source, file_context))
    except (UnreadableObjectError, ToolCrashedError):
        raise
    except (Exception, SystemExit) as error:  # whatever a task does, the file gets a record
        shortage = shortage_of(error, memory_is_limited=context.memory_is_limited)
        if shortage is not None:
            raise shortage from error
        message = f"the task failed on this file: {type(error).__name__}: {error}"
        return [failure_record(TASK_FAILED, message)]
    undeclared = {record["kind"] for record in records}.difference(task.kinds)
    if undeclared:
        names = ", ".join(sorted(map(str, undeclared)))
        raise ShardFailedError(f"task {task.name} yields undeclared kinds: {names}")
    return [_stored(record, put) if "data" in record else record for record in records]


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
