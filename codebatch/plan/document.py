"""Pipeline documents: what they say, what they extend, and all that is wrong with them.

A document is untrusted: it names registered tasks and packaged pipelines alone, and extends nothing
but these and documents in its own folder or below. Each is checked by itself against the schema,
the registry and the schemas of its tasks; every problem says where it is.

A document that ``extends`` another has the tasks of that one, in their order. Where one of its own
has the id of one of these, its settings are laid over those it has there, one by one, and its
``needs`` take the place of those; the others are added at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from codebatch.model.errors import CodeBatchError, PipelineInvalidError, PipelineNotFoundError
from codebatch.model.resources import (
    list_pipelines,
    load_graph,
    load_schema,
    nearest_of,
    schema_problems,
)
from codebatch.plan.places import Pointer, json_path
from codebatch.tasks.base import Task
from codebatch.tasks.registry import find_task, task_names

_MAX_BYTES = 2**20
_MOST_BASES = 8
_MOST_SAID = 20

Entries = dict[str, dict[str, Any]]


class Source(NamedTuple):
    """A document with the name that messages have for it, its text if it is from a file, and the
    folder whose documents it may extend.
    """

    name: str
    document: object
    text: str | None = None
    folder: str | None = None


class Problem(NamedTuple):
    """Something wrong in a document: where, what, and the nearest word that would be right."""

    source: Source
    pointer: Pointer
    message: str
    nearest: str | None = None
    on_key: bool = False
    error: CodeBatchError | None = None

    @property
    def text(self) -> str:
        """The message, with the word."""
        return self.message + (f"; did you mean {self.nearest!r}?" if self.nearest else "")

    def within(self, source: Source) -> str:
        """Return the place and the message, with the document where it is not that one."""
        where = "" if self.source.name == source.name else f"in {self.source.name}: "
        return f"{where}{json_path(self.pointer)}: {self.text}"


def read_source(path: str, shown: str | None = None) -> Source:
    """Return the document at a path; an error says where it is no JSON."""
    name = path if shown is None else shown
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        hints = [f"packaged pipelines: {', '.join(list_pipelines())}", "or give the path of a file"]
        raise PipelineNotFoundError(f"unknown pipeline: {name}", hints=hints) from error
    if len(data) > _MAX_BYTES:
        raise invalid(name, [f"larger than {_MAX_BYTES} bytes"])
    try:
        text = data.decode(json.detect_encoding(data))
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        line, column = getattr(error, "lineno", 1), getattr(error, "colno", 1)
        message = getattr(error, "msg", None) or str(error)
        where = f"line {line} column {column}"
        raise invalid(name, [f"not a JSON document: {message}: {where}"], line, column) from error
    return Source(name, document, text, os.path.dirname(os.path.abspath(path)))


def invalid(
    where: str, problems: Sequence[str], line: int = 1, column: int = 1
) -> PipelineInvalidError:
    """Return the error for what is wrong with a pipeline, and where the text breaks off."""
    first = problems[0] if problems else "not a JSON object"
    return PipelineInvalidError(
        f"invalid pipeline {where}: {first}",
        hints=["the form is that of schemas/pipeline.schema.json"],
        details={"problems": list(problems[:_MOST_SAID]), "line": line, "column": column},
    )


def entries_of(source: Source, problems: list[Problem]) -> Entries:
    """Return the tasks of a document by id, with those of what it extends; what is wrong with any
    of the documents is added to ``problems``.
    """
    return _Reading(problems).entries(source, ())


class _Reading:
    """Documents being read. State: ``problems`` grows."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems

    def entries(self, source: Source, above: tuple[str, ...]) -> Entries:
        """Return the tasks of a document; ``above`` are the files of those that extend it."""
        document = source.document
        for found in schema_problems(document, load_schema("pipeline")):
            self._problems.append(Problem(source, *found))
        if not isinstance(document, Mapping):
            return {}
        merged: Entries = {}
        if isinstance(base := document.get("extends"), str):
            merged = self._base(source, base, above)
        own = dict(_own_entries(document))
        inherited, seen = set(merged), set[str]()
        for place, entry in own.items():
            pointer, one = ("tasks", place), str(entry["id"])
            if one in seen:
                self._add(source, (*pointer, "id"), f"the task id {one!r} is given twice")
                continue
            seen.add(one)
            merged[one] = self._overlaid(source, pointer, merged.get(one), entry)
            self._check_task(source, pointer, entry, merged[one], is_new=one not in inherited)
        for place, entry in own.items():
            self._check_needs(source, place, entry, merged)
        return merged

    def _add(self, source: Source, pointer: Pointer, message: str, *more: Any, **of: Any) -> None:
        self._problems.append(Problem(source, pointer, message, *more, **of))

    def _base(self, source: Source, name: str, above: tuple[str, ...]) -> Entries:
        """Return the tasks of the document that one extends."""
        if name in list_pipelines():
            tasks = cast("list[dict[str, Any]]", load_graph(name)["tasks"])
            return {str(entry["id"]): entry for entry in tasks}
        folder = os.path.realpath(source.folder or os.curdir)
        path, wrong = "", None
        with contextlib.suppress(ValueError):  # a NUL, or what has no bytes
            path = os.path.realpath(os.path.join(folder, name))
        if not path:
            wrong = f"{name!r} is no name of a file"
        elif os.path.isabs(name) or not path.startswith(os.path.join(folder, "")):
            wrong = f"{name!r} is no packaged pipeline, and not in the folder of this document"
        elif not os.path.isfile(path):
            wrong = f"there is no packaged pipeline {name!r}, and no such file"
        elif path in above:
            wrong = f"{name!r} extends itself"
        elif len(above) >= _MOST_BASES:
            wrong = f"more than {_MOST_BASES} documents extend each other"
        if wrong is None:
            try:
                return self.entries(read_source(path, name), (*above, path))
            except CodeBatchError as error:
                wrong = error.message
        self._add(source, ("extends",), wrong, nearest_of(name, list_pipelines()))
        return {}

    def _overlaid(
        self, source: Source, pointer: Pointer, base: dict[str, Any] | None, entry: dict[str, Any]
    ) -> dict[str, Any]:
        """Return a task as the document has it, over that of the document it extends."""
        if base is None:
            return dict(entry)
        if entry.get("task", base.get("task")) != base.get("task"):
            message = f"task {entry['id']} is {base.get('task')} in what this extends"
            self._add(source, (*pointer, "task"), f"{message}: give another id to another task")
        configs = (one.get("config") for one in (base, entry))
        config = {k: v for one in configs if isinstance(one, Mapping) for k, v in one.items()}
        return {**base, **entry, "task": base.get("task"), "config": config}

    def _check_task(
        self,
        source: Source,
        pointer: Pointer,
        entry: dict[str, Any],
        merged: dict[str, Any],
        *,
        is_new: bool,
    ) -> None:
        """Check the name of a task, and the settings that this document gives."""
        name = merged.get("task")
        if not isinstance(name, str):
            if is_new and "task" not in entry and "extends" in _fields(source):
                self._add(
                    source, pointer, f"{entry['id']!r} is not in what this extends: say its 'task'"
                )
            return
        try:
            task = find_task(name)
        except CodeBatchError as error:
            if "task" in entry:  # else what this extends has the problem
                near = nearest_of(name, task_names())
                self._add(source, (*pointer, "task"), error.message, near, error=error)
            return
        self._check_config(source, pointer, task, entry.get("config", {}))

    def _check_config(self, source: Source, pointer: Pointer, task: Task, config: object) -> None:
        if isinstance(config, Mapping):
            for found in task.config_problems(config):
                at = (*pointer, "config", *found.pointer)
                self._problems.append(Problem(source, *found._replace(pointer=at)))

    def _check_needs(
        self, source: Source, place: int, entry: dict[str, Any], merged: Entries
    ) -> None:
        needs = entry.get("needs")
        for index, need in enumerate(needs if isinstance(needs, list) else ()):
            if isinstance(need, str) and need not in merged:
                message = f"task {entry['id']} needs {need!r}, which is not in it"
                near = nearest_of(need, merged)
                self._add(source, ("tasks", place, "needs", index), message, near)


def _fields(source: Source) -> Mapping[str, Any]:
    return source.document if isinstance(source.document, Mapping) else {}


def _own_entries(document: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the tasks of a document by their place, as far as they are such."""
    tasks = document.get("tasks")
    for place, entry in enumerate(tasks if isinstance(tasks, list) else ()):
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            yield place, entry
