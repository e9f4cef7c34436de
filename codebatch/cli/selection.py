"""The options that choose rows, each described once: a command names those that it takes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import click

from codebatch.cli.options import (
    kind_option,
    language_option,
    limit_option,
    path_option,
    task_option,
)
from codebatch.model.records import SEVERITIES
from codebatch.tasks.vocabulary import EDGE_TYPES, METRICS, SYMBOL_TYPES

F = TypeVar("F", bound=Callable[..., Any])


class Selection(NamedTuple):
    """The values of the options: task, conditions by name of `RecordFilter`, order, number."""

    task: str | None
    filters: Mapping[str, Any]
    sort: str | None
    limit: int | None


def _text(name: str, metavar: str, text: str) -> Callable[[F], F]:
    return click.option(f"--{name}", metavar=metavar, help=text)


_SEVERAL = "Several with commas."
_OPTIONS: Mapping[str, Callable[[Any], Any]] = {
    "task": task_option,
    "kind": kind_option,
    "path": path_option,
    "language": language_option,
    "severity": _text("severity", "SEVERITY", f"Of {', '.join(SEVERITIES)}. {_SEVERAL}"),
    "code": _text("code", "CODE", f"Only this code, as L101. {_SEVERAL}"),
    "name": _text("name", "GLOB", "Only records whose name matches."),
    "symbol_type": _text("symbol-type", "TYPE", f"Of {', '.join(SYMBOL_TYPES)}. {_SEVERAL}"),
    "edge_type": _text("edge-type", "TYPE", f"Of {', '.join(EDGE_TYPES)}. {_SEVERAL}"),
    "target": _text("target", "GLOB", "Only edges whose target matches."),
    "metric": _text("metric", "METRIC", f"Of {', '.join(METRICS)}. {_SEVERAL}"),
    "min": click.option("--min", type=float, metavar="N", help="Only metrics of at least this."),
    "max": click.option("--max", type=float, metavar="N", help="Only metrics of at most this."),
    "sort": _text("sort", "FIELD", "Order by this field; -FIELD: the largest first."),
    "limit": limit_option,
}


def selection_options(*names: str) -> Callable[[F], F]:
    """The named options; the command receives them as ``selection``."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            given = {
                name: kwargs.pop("task_id" if name == "task" else name, None) for name in names
            }
            task, sort, limit = (given.pop(name, None) for name in ("task", "sort", "limit"))
            return command(*args, selection=Selection(task, given, sort, limit), **kwargs)

        decorated: Any = wrapped
        for name in reversed(names):
            decorated = _OPTIONS[name](decorated)
        return decorated  # type: ignore[no-any-return]  # click keeps the function

    return decorate
