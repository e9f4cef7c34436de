"""A pipeline document becomes a validated DAG of tasks.

A document is untrusted input: it is checked against its schema, every name against the
registry, every config against the schema of its task, and the graph for duplicate ids, unknown
needs and cycles, with one error that names the place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from codebatch.model.digest import Document
from codebatch.model.errors import PipelineInvalidError, PipelineNotFoundError
from codebatch.model.resources import list_pipelines, load_graph, load_schema, schema_errors
from codebatch.tasks.base import Task
from codebatch.tasks.registry import find_task

_MAX_BYTES = 2**20
_MOST_CHARACTERS = 200  # of a name


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
    pipeline: str | Mapping[str, object] | Sequence[object], tasks: Sequence[Task] = ()
) -> Pipeline:
    """Return the pipeline that a name, a path, a document or a list stands for, with ``tasks``
    added to it. A list holds tasks, names of tasks, and names of packaged pipelines.
    """
    if isinstance(pipeline, str):
        found = load_pipeline(pipeline)
    elif isinstance(pipeline, Mapping):
        found = parse_pipeline(pipeline)
    else:
        return combine_pipelines([*pipeline, *tasks])
    return combine_pipelines([found, *tasks]) if tasks else found


def combine_pipelines(parts: Sequence[object]) -> Pipeline:
    """Return the pipeline of all tasks in ``parts`` (each a pipeline, a task, or the name of one),
    and those that they need by default.
    """
    if not parts:
        raise PipelineInvalidError("invalid pipeline: it has no task")
    named: dict[str, None] = {}
    tasks: dict[str, PipelineTask] = {}
    chosen = list(map(_part, parts))
    given = {part.name: part for part in chosen if isinstance(part, Task)}
    for part in chosen:
        named[part.name] = None
        for task in part.tasks if isinstance(part, Pipeline) else _with_needs(part, given):
            known = tasks.setdefault(task.id, task)
            if known.task is not task.task:
                raise _invalid("+".join(named), [f"two tasks are named {task.id!r}"])
    name = "+".join(named)[:_MOST_CHARACTERS]
    return Pipeline(name, "", _ordered(name, tasks))


def _part(part: object) -> Pipeline | Task:
    if isinstance(part, Pipeline | Task):
        return part
    if isinstance(part, str):
        return load_pipeline(part) if part in list_pipelines() else find_task(part)
    name = getattr(part, "__name__", repr(part))
    raise PipelineInvalidError(
        f"invalid pipeline: {name} is no task",
        hints=["decorate the function: @codebatch.task(version=1)"],
    )


def _with_needs(task: Task, given: Mapping[str, Task]) -> Iterator[PipelineTask]:
    """Yield a task and all that it builds on, with the needs and settings of each by default; what
    is given goes before what the registry has.
    """
    pending, seen = [task], {task.name}
    while pending:
        one = pending.pop()
        yield PipelineTask(one.name, one, one.needs, one.resolve_config({}))
        pending += [given.get(need) or find_task(need) for need in one.needs if need not in seen]
        seen.update(one.needs)


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
    return tuple(ordered.values())


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
