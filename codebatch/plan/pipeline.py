"""A pipeline document becomes a validated DAG of tasks.

A document is untrusted input: it is checked against its schema, every name against the
registry, every config against the schema of its task, and the graph for duplicate ids, unknown
needs and cycles, with one error that names the place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from codebatch.model.digest import Document
from codebatch.model.errors import PipelineInvalidError, PipelineNotFoundError
from codebatch.model.records import FILE_SCOPE
from codebatch.model.resources import list_pipelines, load_graph, load_schema, schema_errors
from codebatch.tasks.base import Task
from codebatch.tasks.registry import find_task, resolve_task

_MAX_BYTES = 2**20
_MOST_CHARACTERS = 200  # of a name
DEFAULT_PIPELINE = "full"


class PipelineTask(NamedTuple):
    """One task of a pipeline with its config resolved."""

    id: str
    task: Task
    needs: tuple[str, ...]
    config: Mapping[str, object]


@dataclass(frozen=True)
class Pipeline:
    """A DAG; ``tasks`` stand in an order in which each follows what it needs."""

    name: str
    description: str
    tasks: tuple[PipelineTask, ...]


def load_pipeline(name_or_path: str) -> Pipeline:
    """The packaged pipeline of that name, else the document at that path."""
    if name_or_path in list_pipelines():
        return _pipeline(load_graph(name_or_path))
    hints = [f"packaged pipelines: {', '.join(list_pipelines())}", "or give the path of a file"]
    try:
        with Path(name_or_path).open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PipelineNotFoundError(f"unknown pipeline: {name_or_path}", hints=hints) from error
    if len(data) > _MAX_BYTES:
        raise _invalid(name_or_path, [f"larger than {_MAX_BYTES} bytes"])
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _invalid(name_or_path, [f"not a JSON document: {error}"]) from error
    return parse_pipeline(document, name_or_path)


def resolve_pipeline(
    pipeline: str | Mapping[str, object] | Sequence[object] | None, tasks: Sequence[object] = ()
) -> Pipeline:
    """Return the pipeline that a name, a path, a document or a list stands for, with ``tasks``
    added to it; without one, that of the tasks alone, or else ``full``.

    A list holds tasks, names of tasks, and names of packaged pipelines. A task may also be given as
    ``FILE.py:NAME`` or ``module:NAME``; what a task needs and is not there is added.
    """
    if pipeline is None:
        pipeline = [] if tasks else DEFAULT_PIPELINE
    if isinstance(pipeline, str):
        parts: list[object] = [load_pipeline(pipeline)]
    elif isinstance(pipeline, Mapping):
        parts = [parse_pipeline(pipeline)]
    else:
        packaged = list_pipelines()
        parts = [load_pipeline(part) if part in packaged else part for part in pipeline]
    parts += tasks
    if len(parts) == 1 and isinstance(parts[0], Pipeline):
        return parts[0]
    return _combined([p if isinstance(p, Pipeline) else resolve_task(p) for p in parts])


def _combined(parts: Sequence[Pipeline | Task]) -> Pipeline:
    """Return the pipeline of all tasks in ``parts``, and of what they need; a task that a pipeline
    has keeps the settings that it has there.
    """
    name = "+".join(dict.fromkeys(part.name for part in parts))[:_MOST_CHARACTERS]
    tasks: dict[str, PipelineTask] = {}
    for part in parts:
        for task in part.tasks if isinstance(part, Pipeline) else ():
            if tasks.setdefault(task.id, task) != task:
                raise _invalid(name, [f"two tasks have the id {task.id!r}"])
    pending = [part for part in reversed(parts) if isinstance(part, Task)]
    given = {task.name: task for task in pending}
    while pending:
        one = pending.pop()
        known = tasks.setdefault(
            one.name, PipelineTask(one.name, one, one.needs, one.resolve_config({}))
        )
        if known.task is not one:
            raise _invalid(name, [f"two tasks are named {one.name!r}"])
        needs = [need for need in reversed(known.needs) if need not in tasks]
        pending += [given.get(need) or find_task(need) for need in needs]
    if not tasks:
        raise _invalid("of no name", ["it has no task"])
    return Pipeline(name, "", _ordered(name, tasks))


def parse_pipeline(document: object, where: str = "pipeline") -> Pipeline:
    """Validate a document; `PipelineInvalidError` names all that is wrong with it."""
    problems = schema_errors(document, load_schema("pipeline"))
    if problems or not isinstance(document, dict):
        raise _invalid(where, problems)
    pipeline = _pipeline(document)
    for task in pipeline.tasks:
        given = next(t for t in document["tasks"] if t["id"] == task.id).get("config", {})
        problems += [f"task {task.id}: {e}" for e in task.task.config_errors(given)]
    if problems:
        raise _invalid(where, problems)
    return pipeline


def _pipeline(document: Mapping[str, Any]) -> Pipeline:
    name = document["name"]
    tasks: dict[str, PipelineTask] = {}
    for entry in document["tasks"]:
        if entry["id"] in tasks:
            raise _invalid(name, [f"the task id {entry['id']!r} is given twice"])
        task = find_task(entry["task"])
        config = task.resolve_config(entry.get("config", {}))
        tasks[entry["id"]] = PipelineTask(entry["id"], task, tuple(entry.get("needs", ())), config)
    return Pipeline(name, document.get("description", ""), _ordered(name, tasks))


def _ordered(name: str, tasks: dict[str, PipelineTask]) -> tuple[PipelineTask, ...]:
    """The tasks in an order that respects ``needs``, else that of the document."""
    for task in tasks.values():
        for need in task.needs:
            if need not in tasks:
                raise _invalid(name, [f"task {task.id} needs {need!r}, which is not in it"])
    ordered: dict[str, PipelineTask] = {}
    while len(ordered) < len(tasks):
        ready = [
            task
            for task in tasks.values()
            if task.id not in ordered and all(need in ordered for need in task.needs)
        ]
        if not ready:
            circle = ", ".join(sorted(set(tasks) - set(ordered)))
            raise _invalid(name, [f"the tasks need each other in a circle: {circle}"])
        ordered.update((task.id, task) for task in ready)
    _check_scopes(name, ordered)
    return tuple(ordered.values())


def _check_scopes(name: str, tasks: Mapping[str, PipelineTask]) -> None:
    """Raise unless all tasks need tasks of the scope ``file`` alone: what is computed over a whole
    batch is there when every file is done; and what is of the scope ``batch`` needs one.
    """
    for task in tasks.values():
        if task.task.scope != FILE_SCOPE and not task.needs:
            raise _invalid(name, [f"task {task.id} is of scope 'batch' and needs no task"])
        for need in task.needs:
            if tasks[need].task.scope != FILE_SCOPE:
                raise _invalid(name, [f"task {task.id} needs {need}, which is of scope 'batch'"])


def _invalid(where: str, problems: list[str]) -> PipelineInvalidError:
    first = problems[0] if problems else "not a JSON object"
    return PipelineInvalidError(
        f"invalid pipeline {where}: {first}",
        hints=["the form is that of schemas/pipeline.schema.json"],
        details={"problems": problems},
    )


def pipeline_document(pipeline: Pipeline) -> Document:
    """The resolved pipeline as a JSON document, every default spelled out."""
    return {
        "name": pipeline.name,
        "description": pipeline.description,
        "tasks": [
            {"id": id_, "task": task.name, "needs": list(needs), "config": dict(config)}
            for id_, task, needs, config in pipeline.tasks
        ],
    }
