"""Pipelines and tasks before they are in a batch: what there is, what is right, how to begin."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from codebatch.api.given import PathLike
from codebatch.api.running import TaskLike
from codebatch.api.store import PipelineLike
from codebatch.display.displayed import Rows
from codebatch.display.documents import PipelineDocument
from codebatch.model import resources
from codebatch.model.digest import Document
from codebatch.model.errors import OutputError, PipelineInvalidError, ToolImportError
from codebatch.runtime.lazy import lazily
from codebatch.snapshot.descriptors import Folder, read_file
from codebatch.store.destination import new_file

with lazily():
    from codebatch.api import drawing
    from codebatch.display import draw
    from codebatch.plan import document as documents
    from codebatch.plan import pipeline as definitions
    from codebatch.plan import places
    from codebatch.tasks import registry
    from codebatch.tasks.tools import imports, program
    from codebatch.testing import template

_MAX_BYTES = 2**20
_LINTERS = "linters"


def pipelines() -> Rows[Document]:
    """Return the packaged pipelines, with every setting of their tasks.

    >>> [document["name"] for document in pipelines()][:3]
    ['analyze', 'duplicates', 'full']
    """
    return Rows(map(pipeline, resources.list_pipelines()), ("name", "description"))


def pipeline(
    pipeline: PipelineLike | None = None, tasks: Sequence[TaskLike] = ()
) -> PipelineDocument:
    """Return a pipeline with every setting of its tasks; it is given as for `Store.batch`.

    `PipelineInvalidError` names what is wrong with a document, `TaskNotFoundError` a task that
    there is not.

    >>> [task["id"] for task in pipeline("analyze")["tasks"]]
    ['parse', 'analyze']
    """
    found = definitions.resolve_pipeline(pipeline, tasks)
    return PipelineDocument(definitions.pipeline_document(found))


def draw_pipeline(
    pipeline: PipelineLike | None = None, tasks: Sequence[TaskLike] = ()
) -> drawing.Drawing:
    """Return a drawing of which task of a pipeline needs which; it is given as for `Store.batch`.

    >>> print(draw_pipeline("analyze").text(ascii_only=True))
    *  parse
    `-*  analyze
    """
    found = definitions.resolve_pipeline(pipeline, tasks)
    notes = [draw.scope_note(one.id, one.task.name, one.task.scope) for one in found.tasks]
    nodes = [
        draw.Node(one.id, note, one.needs) for one, note in zip(found.tasks, notes, strict=True)
    ]
    return drawing.Drawing(found.name, nodes)


def check_pipeline(file: PathLike) -> list[Document]:
    """Return a row for each thing that is wrong with a pipeline document, or with what it extends:
    ``file, line, column, pointer, message, nearest``, of which the last is the nearest word that
    would be right. A document that is right has none. `PipelineInvalidError` where the file cannot
    be read.
    """
    try:
        _, problems = definitions.check_pipeline(documents.read_source(os.fspath(file)))
    except PipelineInvalidError as error:  # it is no JSON, or too large
        if "line" not in error.details:
            raise
        at = places.Place(int(str(error.details["line"])), int(str(error.details["column"])))
        message = error.message.partition(": ")[2]
        return [_problem_row(os.fspath(file), at, (), message, None)]
    rows = [
        _problem_row(
            one.source.name,
            places.place_of(one.source.text or "", one.pointer, key=one.on_key),
            one.pointer,
            one.message,
            one.nearest,
        )
        for one in problems
    ]
    return sorted(rows, key=lambda row: (row["file"], row["line"], row["column"]))


def _problem_row(
    file: str, at: places.Place, pointer: places.Pointer, message: str, nearest: str | None
) -> Document:
    return {
        "file": file,
        "line": at.line,
        "column": at.column,
        "pointer": places.json_pointer(pointer),
        "message": message,
        "nearest": nearest,
    }


def list_tasks() -> list[Document]:
    """Return a row for each task that can be found by its name, built in or of an installed
    package: ``name, scope, needs, kinds, version, source, summary, error``; the last says why one
    cannot be loaded.

    >>> [row["name"] for row in list_tasks() if row["needs"] == ["parse"]][:2]
    ['analyze', 'lint']
    """
    return [
        {
            "name": one.name,
            "scope": one.task.scope if one.task else None,
            "needs": list(one.task.needs) if one.task else [],
            "kinds": list(one.task.kinds) if one.task else [],
            "version": one.task.version if one.task else None,
            "source": one.source,
            "summary": one.task.summary if one.task else None,
            "error": one.error,
        }
        for one in registry.listed_tasks()
    ]


def new_task(name: str, folder: PathLike = ".") -> list[Path]:
    """Write a task that works, and its test, as ``NAME.py`` and ``test_NAME.py`` in a folder, and
    return the two files. `TaskInvalidError` for what is no name of a task; `OutputError` where a
    file is there already, or cannot be written.
    """
    texts = {Path(folder, file): text for file, text in template.files_of(name).items()}
    for file in texts:
        if os.path.lexists(file):
            raise OutputError(f"{file} is there already", hints=["name the task otherwise"])
    for file, text in texts.items():
        with new_file(os.fspath(file)) as stream:
            stream.write(text.encode())
    return list(texts)


def import_tools(source: PathLike, folder: PathLike = "tools") -> Document:
    """Write descriptions of tools from trunk's plugins, or from the hooks of pre-commit, into a
    folder, which is made if need be, and return what was ``written``, by name and file, and what
    was ``left``, with the reason. Nothing that is named there is run.

    ``source`` is a checkout of the plugins, a ``.pre-commit-config.yaml``, or a folder that has
    one. `ToolImportError` where there is nothing to import, `OutputError` where a file is there
    already.
    """
    found = _imported(os.fspath(source))
    paths = {name: os.path.join(folder, f"{name}.json") for name in sorted(found.descriptions)}
    if taken := [path for path in paths.values() if os.path.lexists(path)]:
        hints = ["name another folder with --output, or remove what is there"]
        raise OutputError(f"{taken[0]} is there already", hints=hints, details={"all": taken})
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}") from error
    for name, path in paths.items():
        with new_file(path) as stream:
            stream.write(json.dumps(found.descriptions[name], indent=2).encode() + b"\n")
    return {
        "written": [{"name": name, "file": path} for name, path in paths.items()],
        "left": [one._asdict() for one in found.left],
    }


def _imported(source: str) -> imports.Imported:
    """Return what there is to import at a path; `ToolImportError` where there is nothing."""
    where, plugins = source, {}
    try:
        if os.path.isdir(source):
            with Folder.at(os.fsencode(source)) as folder:
                plugins = dict(_plugins(folder))
                where = imports.PRECOMMIT_FILE
                hooks = folder.read(os.fsencode(where), _MAX_BYTES)
        else:
            hooks = read_file(os.fsencode(source), _MAX_BYTES)
    except OSError as error:
        raise ToolImportError(f"cannot read {source}: {error.strerror}") from error
    packaged = {name: resources.load_tool_document(name) for name in resources.list_tools()}
    if plugins:
        return imports.import_trunk(plugins, packaged)
    if hooks is None:
        kinds = f"{_LINTERS}/*/{imports.PLUGIN_FILE} or {imports.PRECOMMIT_FILE}"
        raise ToolImportError(f"nothing to import from {source}: no {kinds}")
    return imports.import_precommit(hooks, where, packaged, program.find_program)


def _plugins(folder: Folder) -> Iterator[tuple[str, bytes]]:
    """Yield each plugin of a checkout by its path; links are not followed."""
    if folder.status(os.fsencode(_LINTERS)) is None:
        return
    with folder.open(os.fsencode(_LINTERS)) as linters:
        for name in ("", *sorted(os.listdir(linters.descriptor))):
            path = os.path.join(name, imports.PLUGIN_FILE)
            inner = linters.status(os.fsencode(path))
            data = linters.read(os.fsencode(path), _MAX_BYTES) if inner else None
            if data is not None:
                yield f"{_LINTERS}/{path}", data
