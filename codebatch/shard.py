"""Compute one shard: its files through all tasks, file by file. No store, no clock.

Files are taken object by object: equal content is computed once, however many paths it has.
All tasks look at a file before the next is read, sharing its parsed tree, so that at most one
tree is alive. What a task raises on a file becomes a diagnostic record of that file.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from codebatch.digest import canonical_json, digest_bytes
from codebatch.errors import CodeBatchError, ShardFailedError
from codebatch.plan import shard_of
from codebatch.records import Counts, InputFile, PlannedTask, Record, path_key
from codebatch.result import LEAF_DIGITS, fold, leaf_digest
from codebatch.tasks.base import FileContext
from codebatch.tasks.findings import Finding, diagnostic_records
from codebatch.tasks.registry import find_task
from codebatch.tasks.rules import RULES, TASK_FAILED
from codebatch.tasks.source import SourceFile

MAX_OBJECT_BYTES = 16 * 2**20

ReadObject = Callable[[str], bytes]
PutObject = Callable[[bytes], str]


@dataclass(frozen=True)
class TaskOutputs:
    """The lines of one task on one shard, ready to be committed.

    ``per_file`` holds, in path order, how many records and diagnostics each file has.
    """

    data: bytes
    digest: str
    tree: str
    counts: Counts
    files: int
    computed: int
    reused: int
    per_file: tuple[tuple[int, int], ...]


class _TaskLines:
    """Collects one task's lines: ``_files`` holds path, object, lines and counts of each file."""

    def __init__(self) -> None:
        self._files: list[tuple[str, str, bytes, Counts]] = []
        self._computed = 0

    def add(self, files: Sequence[InputFile], records: Sequence[Record]) -> None:
        counts = Counts.of(records)
        self._computed += 1
        for file in files:
            lines = b"".join(canonical_json({**r, "path": file.path}) + b"\n" for r in records)
            self._files.append((file.path, file.object, lines, counts))

    def finish(self, width: int) -> TaskOutputs:
        self._files.sort(key=lambda file: path_key(file[0]))
        leaves: dict[str, list[tuple[str, str]]] = {}
        for path, digest, lines, _ in self._files:
            leaf = leaves.setdefault(shard_of(digest, LEAF_DIGITS), [])
            leaf.append((path, digest_bytes(lines)))
        data = b"".join(lines for _, _, lines, _ in self._files)
        nodes = fold({prefix: leaf_digest(files) for prefix, files in leaves.items()}, width)
        return TaskOutputs(
            data=data,
            digest=digest_bytes(data),
            tree=next(iter(nodes.values())),
            counts=Counts.total(counts for _, _, _, counts in self._files),
            files=len(self._files),
            computed=self._computed,
            reused=len(self._files) - self._computed,
            per_file=tuple((c.records, c.diagnostics) for _, _, _, c in self._files),
        )


def compute_shard(
    tasks: Sequence[PlannedTask],
    shard_id: str,
    inputs: Sequence[InputFile],
    read: ReadObject,
    put: PutObject,
) -> dict[str, TaskOutputs]:
    """Run all tasks over the inputs of a shard, which are ordered by object.

    ``read`` gives an object's bytes, ``put`` stores a large value and gives its digest.
    """
    lines = {task.id: _TaskLines() for task in tasks}
    groups = [list(files) for _, files in groupby(inputs, key=_identity)]
    try:
        _compute(tasks, groups, lines, read, put)
    except _UnreadableObjectError as error:
        raise error.reason from None  # the store's fault: nothing of it may become a result
    return {task_id: collected.finish(len(shard_id)) for task_id, collected in lines.items()}


def _compute(
    tasks: Sequence[PlannedTask],
    groups: Sequence[Sequence[InputFile]],
    lines: Mapping[str, _TaskLines],
    read: ReadObject,
    put: PutObject,
) -> None:
    """Run all tasks over one file of each group of equal files."""
    sources = [_source(files[0], read) for files in groups]
    prepared = _prepare_all(tasks, sources)
    # Taken from the end, so that a source with its tree is gone when the next is looked at.
    sources.reverse()
    with _collector_held():
        for index, files in enumerate(groups):
            source = sources.pop()
            upstream: dict[str, Sequence[Record]] = {}
            for task in tasks:
                context = FileContext(
                    config=task.config,
                    upstream={need: upstream[need] for need in task.needs},
                    prepared=prepared[task.id][index],
                )
                upstream[task.id] = _run(task, source, context, put)
                lines[task.id].add(files, upstream[task.id])


def _identity(file: InputFile) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return file.object, file.language, tuple(sorted(file.facets.items()))


def _source(file: InputFile, read: ReadObject) -> SourceFile:
    return SourceFile.stored(
        partial(_read, read, file.object), file.size, file.language, file.facets
    )


class _UnreadableObjectError(Exception):
    """The store could not give an object; a task that looks into a file may meet this."""

    def __init__(self, reason: CodeBatchError) -> None:
        super().__init__(reason.message)
        self.reason = reason


def _read(read: ReadObject, digest: str) -> bytes:
    try:
        return read(digest)
    except CodeBatchError as error:
        raise _UnreadableObjectError(error) from error


def _prepare_all(
    tasks: Sequence[PlannedTask], sources: Sequence[SourceFile]
) -> dict[str, Sequence[object]]:
    """What each task prepares for each source; None where it prepares nothing."""
    prepared: dict[str, Sequence[object]] = {}
    for planned in tasks:
        prepare = find_task(planned.task).prepare
        prepared[planned.id] = (
            [None] * len(sources) if prepare is None else prepare(sources, planned.config)
        )
    return prepared


def _run(
    planned: PlannedTask, source: SourceFile, context: FileContext, put: PutObject
) -> list[Record]:
    task = find_task(planned.task)
    try:
        records = list(task.run(source, context))
    except _UnreadableObjectError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a task does, the file gets a record
        message = f"the task failed on this file: {type(error).__name__}: {error}"
        rule = RULES[TASK_FAILED]
        finding = Finding(1, 1, TASK_FAILED, rule.name, rule.severity, message)
        return list(diagnostic_records([finding], ()))
    undeclared = sorted({str(r["kind"]) for r in records} - {*task.kinds})
    if undeclared:
        raise ShardFailedError(f"task {task.name} yields undeclared kinds: {', '.join(undeclared)}")
    return [_stored(record, put) for record in records]


def _stored(record: Record, put: PutObject) -> Record:
    """The record with its large value, if it has one, replaced by the digest of an object."""
    data = record.get("data")
    if not isinstance(data, bytes):
        return record
    reference = {key: value for key, value in record.items() if key != "data"}
    if len(data) <= MAX_OBJECT_BYTES:
        return {**reference, "object": put(data)}
    portions = range(0, len(data), MAX_OBJECT_BYTES)
    chunks = [put(data[start : start + MAX_OBJECT_BYTES]) for start in portions]
    manifest = canonical_json({"chunks": chunks, "size": len(data)})
    return {**reference, "object": put(manifest), "chunked": True}


_collector_lock = threading.Lock()
_collector_holders = 0


@contextlib.contextmanager
def _collector_held() -> Iterator[None]:
    """Hold the cyclic collector off: it scans growing syntax trees over and over for nothing.

    The switch is one for the process, so shards running in several threads are counted.
    """
    global _collector_holders  # noqa: PLW0603 - as the switch itself
    with _collector_lock:
        if _collector_holders == 0:
            gc.disable()
        _collector_holders += 1
    try:
        yield
    finally:
        with _collector_lock:
            _collector_holders -= 1
            if _collector_holders == 0:
                gc.enable()
