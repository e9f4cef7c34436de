"""The tasks that a pipeline can name."""

from __future__ import annotations

from codebatch.model.errors import TaskNotFoundError
from codebatch.tasks import analyze, lint, parse, symbols
from codebatch.tasks.base import Task

BUILT_IN = {task.name: task for task in (parse.TASK, analyze.TASK, symbols.TASK, lint.TASK)}


def find_task(name: str) -> Task:
    """The task of that name, else `TaskNotFoundError`."""
    try:
        return BUILT_IN[name]
    except KeyError:
        raise TaskNotFoundError(
            f"unknown task: {name}", hints=[f"known tasks: {', '.join(sorted(BUILT_IN))}"]
        ) from None
