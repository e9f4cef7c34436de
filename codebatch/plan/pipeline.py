"""A pipeline document becomes a validated DAG of tasks.

What a document says is checked by `document`; here its tasks become a graph, in which each follows
what it needs, without cycles and with no task that needs one over a whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import Any, NamedTuple, cast

from codebatch.model.digest import Document
from codebatch.model.errors import (
    ConfigInvalidError,
    ConfigUntrustedError,
    PipelineInvalidError,
    TaskInvalidError,
)
from codebatch.model.records import FILE_SCOPE
from codebatch.model.resources import list_pipelines, list_tools, load_graph, nearest_of
from codebatch.plan.document import Problem, Source, entries_of, invalid, read_source
from codebatch.plan.policy import Policy, Settings
from codebatch.tasks.base import Task
from codebatch.tasks.levels import NO_LEVELS, Levels
from codebatch.tasks.registry import TOOL, find_task, resolve_task, task_names

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
    """A DAG; ``tasks`` stand in an order in which each follows what it needs. ``levels`` are those
    of the findings of all.
    """

    name: str
    description: str
    tasks: tuple[PipelineTask, ...]
    levels: Levels = NO_LEVELS


def load_pipeline(name_or_path: str) -> Pipeline:
    """The packaged pipeline of that name, else the document at that path."""
    if name_or_path in list_pipelines():
        return _pipeline(load_graph(name_or_path))
    return _checked(read_source(name_or_path))


def resolve_pipeline(
    pipeline: str | PathLike[str] | Mapping[str, object] | Sequence[object] | None,
    tasks: Sequence[object] = (),
    settings: Settings | None = None,
) -> Pipeline:
    """Return the pipeline that a name, a path, a document or a list stands for, with ``tasks``
    added to it; without one, that of the tasks alone, or else ``full``. ``settings`` are laid over
    those of its tasks, by their names; those of a `Policy` wait for a pipeline that has the task.

    A list holds tasks, names of tasks, and names of packaged pipelines. A task may also be given as
    ``FILE.py:NAME`` or ``module:NAME``; what a task needs and is not there is added.
    """
    if pipeline is None:
        pipeline = [] if tasks else DEFAULT_PIPELINE
    if isinstance(pipeline, str | PathLike):
        parts: list[object] = [load_pipeline(fspath(pipeline))]
    elif isinstance(pipeline, Mapping):
        parts = [parse_pipeline(pipeline)]
    else:
        packaged = list_pipelines()
        parts = [load_pipeline(part) if part in packaged else part for part in pipeline]
    parts += tasks
    if len(parts) == 1 and isinstance(parts[0], Pipeline):
        return configured(parts[0], settings)
    found = _combined([p if isinstance(p, Pipeline) else resolve_task(p) for p in parts])
    return configured(found, settings)


def _combined(parts: Sequence[Pipeline | Task]) -> Pipeline:
    """Return the pipeline of all tasks in ``parts``, and of what they need; a task that a pipeline
    has keeps the settings that it has there.
    """
    name = "+".join(dict.fromkeys(part.name for part in parts))[:_MOST_CHARACTERS]
    tasks: dict[str, PipelineTask] = {}
    for part in parts:
        for task in part.tasks if isinstance(part, Pipeline) else ():
            if tasks.setdefault(task.id, task) != task:
                raise invalid(name, [f"two tasks have the id {task.id!r}"])
    pending = [part for part in reversed(parts) if isinstance(part, Task)]
    given = {task.name: task for task in pending}
    while pending:
        one = pending.pop()
        if one.bind is not None:  # without some settings it is no task
            _check_config(one.name, one, {})
        known = tasks.setdefault(
            one.name, PipelineTask(one.name, one, one.needs, one.resolve_config({}))
        )
        if known.task is not one:
            raise invalid(name, [f"two tasks are named {one.name!r}"])
        needs = [need for need in reversed(known.needs) if need not in tasks]
        pending += [given.get(need) or find_task(need) for need in needs]
    if not tasks:
        raise invalid("of no name", ["it has no task"])
    return Pipeline(name, "", _ordered(name, tasks))


def configured(pipeline: Pipeline, settings: Settings | None) -> Pipeline:
    """Return the pipeline with settings by the name of a task laid over those of each such task;
    `PipelineInvalidError` where there is none, or where they do not fit.
    """
    tasks = list(pipeline.tasks)
    policy = settings if isinstance(settings, Policy) else Policy(given=settings or {})
    for name, given in policy.items():
        places = [place for place, one in enumerate(tasks) if one.task.name == name]
        if not places and name in policy.given:
            raise invalid(pipeline.name, [f"it has no task {name!r}, for which there are settings"])
        if not places:
            _check_known(name, policy)
        for place in places:
            if name in policy.defaults:
                _check_trusted(tasks[place], policy)
            tasks[place] = with_config(tasks[place], given)
    return replace(pipeline, tasks=tuple(tasks), levels=policy.levels)


def _check_trusted(one: PipelineTask, policy: Policy) -> None:
    """Raise where defaults that nobody vouches for are about a program: they are part of what it is
    told to do, or name it.
    """
    if policy.ways_out and one.task.registered == TOOL:
        raise ConfigUntrustedError(
            f"{policy.where}: settings: {one.task.name}: they would change what a program is told "
            "to do",
            hints=policy.ways_out,
            details={"key": "settings"},
        )


def _check_known(name: str, policy: Policy) -> None:
    """Raise unless some pipeline may have the task of that name."""
    known = {*task_names(), *list_tools(), *policy.known}
    if name not in known:
        nearest = nearest_of(name, sorted(known))
        hints = [f"the nearest: {nearest}"] if nearest else []
        raise ConfigInvalidError(
            f"{policy.where}: settings: there is no task {name!r}", hints=hints
        )


def with_config(one: PipelineTask, given: Mapping[str, object]) -> PipelineTask:
    """Return a task with settings laid over its own; `TaskInvalidError` where they do not fit."""
    _check_config(one.id, one.task, given)
    config = one.task.resolve_config({**one.config, **given})
    return one._replace(task=one.task.bound(config), config=config)


def _check_config(id_: str, task: Task, given: Mapping[str, object]) -> None:
    if wrong := task.config_errors(given):
        raise TaskInvalidError(f"task {id_}: config: {wrong[0]}", details={"all": wrong})


def parse_pipeline(document: object, where: str = "pipeline") -> Pipeline:
    """Validate a document; `PipelineInvalidError` names all that is wrong with it."""
    return _checked(Source(where, document))


def check_pipeline(source: Source) -> tuple[Pipeline | None, list[Problem]]:
    """Return the pipeline of a document, or all that is wrong with it and with what it extends."""
    problems: list[Problem] = []
    entries = entries_of(source, problems)
    if not problems and isinstance(source.document, Mapping):
        try:
            return _pipeline({**source.document, "tasks": list(entries.values())}), []
        except PipelineInvalidError as error:
            found = cast("list[str]", error.details["problems"])
            problems += (Problem(source, ("tasks",), message) for message in found)
    return None, problems


def _checked(source: Source) -> Pipeline:
    pipeline, problems = check_pipeline(source)
    if pipeline is not None:
        return pipeline
    if problems and problems[0].error is not None and problems[0].source is source:
        raise problems[0].error
    error = invalid(source.name, [problem.within(source) for problem in problems])
    if len(problems) > 1 and source.text is not None:
        error.hints += (f"all {len(problems)} problems: codebatch pipeline validate {source.name}",)
    raise error


def _pipeline(document: Mapping[str, Any]) -> Pipeline:
    name = document["name"]
    tasks: dict[str, PipelineTask] = {}
    for entry in document["tasks"]:
        task = find_task(entry["task"])
        config = task.resolve_config(entry.get("config", {}))
        needs = tuple(entry.get("needs", ()))
        tasks[entry["id"]] = PipelineTask(entry["id"], task.bound(config), needs, config)
    return Pipeline(name, document.get("description", ""), _ordered(name, tasks))


def _ordered(name: str, tasks: dict[str, PipelineTask]) -> tuple[PipelineTask, ...]:
    """The tasks in an order that respects ``needs``, else that of the document."""
    for task in tasks.values():
        for need in task.needs:
            if need not in tasks:
                raise invalid(name, [f"task {task.id} needs {need!r}, which is not in it"])
    ordered: dict[str, PipelineTask] = {}
    while len(ordered) < len(tasks):
        ready = [
            task
            for task in tasks.values()
            if task.id not in ordered and all(need in ordered for need in task.needs)
        ]
        if not ready:
            circle = ", ".join(sorted(set(tasks) - set(ordered)))
            raise invalid(name, [f"the tasks need each other in a circle: {circle}"])
        ordered.update((task.id, task) for task in ready)
    _check_scopes(name, ordered)
    return tuple(ordered.values())


def _check_scopes(name: str, tasks: Mapping[str, PipelineTask]) -> None:
    """Raise unless all tasks need tasks of the scope ``file`` alone: what is computed over a whole
    batch is there when every file is done; and what is of the scope ``batch`` needs one, or the
    files themselves.
    """
    for task in tasks.values():
        if task.task.scope != FILE_SCOPE and not (task.needs or task.task.inputs):
            raise invalid(name, [f"task {task.id} is of scope 'batch' and needs no task"])
        for need in task.needs:
            if tasks[need].task.scope != FILE_SCOPE:
                raise invalid(name, [f"task {task.id} needs {need}, which is of scope 'batch'"])


def pipeline_document(pipeline: Pipeline) -> Document:
    """The resolved pipeline as a JSON document, every default spelled out."""
    return {
        **({"levels": pipeline.levels.as_document()} if pipeline.levels else {}),
        "name": pipeline.name,
        "description": pipeline.description,
        "tasks": [
            {
                "id": id_,
                "task": task.registered,
                "needs": [*needs],
                "config": {**config},
            }
            for id_, task, needs, config in pipeline.tasks
        ],
    }
