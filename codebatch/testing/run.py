"""Tasks on one file, as a run does it: the same `File`, the same checks, the same records."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from codebatch.model.digest import digest_bytes
from codebatch.model.errors import SourceNotFoundError, TaskInvalidError
from codebatch.model.record_lines import FileLines, decode_lines, encode_lines
from codebatch.model.records import FILE_SCOPE, Record
from codebatch.plan.pipeline import PipelineTask, resolve_pipeline, with_config
from codebatch.runtime.lazy import lazily
from codebatch.shard.compute import Computation, ShardContext, quarantined_lines
from codebatch.shard.compute import run_task as compute
from codebatch.tasks.base import Task, ToolCrashedError
from codebatch.tasks.languages.detect import HEAD_BYTES, detect_language, facet_readers
from codebatch.tasks.registry import find_task
from codebatch.tasks.source import SourceFile

with lazily():
    from codebatch.testing import files as given_files
    from codebatch.testing import reduce as reduction

EXAMPLE = "example.py"

Source = (
    str
    | bytes
    | os.PathLike[str]
    | Sequence[str | os.PathLike[str]]  # paths
    | Mapping[str, str | bytes]
)


class TriedFile(NamedTuple):
    """A file to try tasks on: its path as it would be in a snapshot, its bytes, its language."""

    path: str
    content: bytes
    language: str

    @classmethod
    def of(cls, path: str, content: bytes, language: str | None = None) -> TriedFile:
        """Return the file with its language, found out as for a snapshot where it is not given."""
        return cls(path, content, language or detect_language(path, lambda: content[:HEAD_BYTES]))


def run_task(  # noqa: PLR0913 - what may be given
    task: Task | str,
    source: Source,
    *,
    language: str | None = None,
    path: str | None = None,
    config: Mapping[str, object] | None = None,
    records: Mapping[str, Sequence[Record]] | None = None,
    tasks: Sequence[Task] = (),
    objects: dict[str, bytes] | None = None,
) -> list[Record]:
    """Return the records of a task on a text, on bytes, on the file at a `Path`, on those of a
    folder at one, on a list of such paths, or on a dict of texts by path, as a task over a whole
    batch needs it; of several files, records have the path.

    They are what a run keeps, without the path: each is checked, and where one does not fit, or the
    task raises, there is the diagnostic E0002 alone. The language follows from ``path`` (by
    default that of the file, of a text ``example.py``) unless it is given. ``config`` are settings
    that differ from the defaults. ``records`` are those of tasks that this one needs, as this
    function gives them; a task that is missing there is run, one of yours if it is in ``tasks``.
    What records refer to, as the diff of a patch, is put into ``objects`` by its digest.
    """
    found: object = find_task(task) if isinstance(task, str) else task
    if not isinstance(found, Task):
        hints = ["decorate the function: @codebatch.task(version=1)"]
        raise TaskInvalidError(f"{found!r} is no task", hints=hints)
    given = {need: encode_lines(map(dict, some)) for need, some in (records or {}).items()}
    wanted = needed_by(found, tasks, given)
    pipeline = configured(wanted, {found.name: dict(config or {})})
    files = _files_of(source, language)
    if files is not None:
        return run_on_files(pipeline, files, given, objects)
    source = cast("str | bytes | os.PathLike[str]", source)
    if found.scope != FILE_SCOPE:
        hints = ["give files as a dict: run_task(task, {'a.py': 'x = 1'})"]
        raise TaskInvalidError(f"task {found.name} looks at many files", hints=hints)
    file = _file_of(source, path, language)
    return dict(run_on_file(pipeline, file, given, objects))[found.name]


def configured(
    tasks: Sequence[PipelineTask], settings: Mapping[str, Mapping[str, object]]
) -> list[PipelineTask]:
    """Return the tasks with settings by task id; `TaskInvalidError` for one that does not fit."""
    return [with_config(one, settings.get(one.id, {})) for one in tasks]


def run_on_file(
    tasks: Sequence[PipelineTask],
    file: TriedFile,
    given: Mapping[str, bytes] | None = None,
    objects: dict[str, bytes] | None = None,
) -> Iterator[tuple[str, list[Record]]]:
    """Yield the records of tasks on a file by task id, in an order in which each follows what it
    needs; ``given`` has the lines of tasks that are not run, ``objects`` is given what records
    refer to, by digest.
    """
    needed = {facet for one in tasks for facet in one.task.facets}
    readers = facet_readers(needed, [file.path])
    facets = {facet: read(file.path) for facet, read in readers.items()}
    source = SourceFile(file.content, file.language, facets)
    lines = dict(given or {})
    for one in tasks:
        if one.id in lines:
            continue
        upstream = {need: lines[need] for need in one.needs}
        lines[one.id] = _computed(one, source, upstream, objects).lines
        yield one.id, decode_lines(lines[one.id])
    source.drop_tree()


def run_on_files(
    tasks: Sequence[PipelineTask],
    files: Iterable[TriedFile],
    given: Mapping[str, bytes] | None = None,
    objects: dict[str, bytes] | None = None,
) -> list[Record]:
    """Return the records of the last of some tasks on all files, each with its path."""
    *before, last = tasks
    if last.task.scope == FILE_SCOPE:
        return [
            {"kind": one["kind"], "path": file.path, **one}
            for file in files
            for one in dict(run_on_file(tasks, file, given, objects))[last.id]
        ]
    known = {need: decode_lines(lines) for need, lines in (given or {}).items()}
    found = ((file, {**known, **dict(run_on_file(before, file, given))}) for file in files)
    return reduction.reduce_files(tasks, found)


def _computed(
    one: PipelineTask,
    source: SourceFile,
    upstream: Mapping[str, bytes],
    objects: dict[str, bytes] | None,
) -> FileLines:
    def put(data: bytes) -> str:
        digest = digest_bytes(data)
        if objects is not None:
            objects[digest] = data
        return digest

    context = ShardContext(_nothing_stored, put, _never_quarantined)
    try:
        (prepared,) = one.task.prepare_now([source], one.config)
        file = one.task.file(source, upstream, prepared)
        return compute(one.task, one.config, file, context)
    except ToolCrashedError as error:
        return quarantined_lines(error.rule)


def _nothing_stored(digest: str, _: int) -> bytes:
    raise LookupError(digest)


def _never_quarantined(work: Computation, _: str) -> FileLines:
    raise LookupError(work.key)


def needed_by(task: Task, tasks: Sequence[Task], given: Collection[str] = ()) -> list[PipelineTask]:
    """Return those that a task needs, but not what only given ones need, and then the task."""
    ordered = resolve_pipeline([task, *tasks]).tasks
    wanted = {task.name}
    for one in reversed(ordered):
        if one.id in wanted:
            wanted.update(need for need in one.needs if need not in given)
    return [one for one in ordered if one.id in wanted]


def _files_of(source: Source, language: str | None) -> Iterable[TriedFile] | None:
    """Return the files that a source of several stands for; None for one text or file."""
    if isinstance(source, Mapping):
        return [_file_of(content, name, language) for name, content in source.items()]
    if isinstance(source, os.PathLike):
        source = [source] if os.path.isdir(source) else ()
    if isinstance(source, str | bytes) or not source:
        return None
    return given_files.iter_files([os.fspath(path) for path in source], language)


def _file_of(
    source: str | bytes | os.PathLike[str], path: str | None, language: str | None
) -> TriedFile:
    if isinstance(source, str | bytes):
        content = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
        return TriedFile.of(path or EXAMPLE, content, language)
    try:
        content = Path(source).read_bytes()
    except OSError as error:
        raise SourceNotFoundError(f"cannot read {source}: {error.strerror or error}") from error
    return TriedFile.of(path or Path(source).as_posix(), content, language)
