"""What a configuration may not say that nobody has named: it comes with a tree, which is anyone's.

What names code or a program, or lets files of the tree configure one, would run what the tree says;
what names a place outside of the folder of the file would read or write there. (Whether settings
are of a program is decided where the task is known: `codebatch.plan.pipeline.configured`.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from codebatch.model.resources import list_pipelines
from codebatch.runtime.lazy import lazily

with lazily():
    from codebatch.tasks import registry

_OUTSIDE = "it is outside of the folder of the file"
_RUNS = "it would run code or programs that the tree names"
_LONGEST_SHOWN = 60


def reason_to_refuse(name: str, value: Any, folder: str) -> str | None:
    """Return why a value is not to be used; None where it may be."""
    check = _CHECKS.get(name)
    return None if check is None else check(value, folder)


def _place(path: str, folder: str) -> str | None:
    top = os.path.realpath(folder)
    try:
        place = os.path.realpath(os.path.join(top, path))
    except ValueError:  # a NUL: no name at all
        return _OUTSIDE
    return None if place.startswith(os.path.join(top, "")) else _OUTSIDE


def _pipeline(name: str, _: str) -> str | None:
    if name in list_pipelines():
        return None
    return f"{name[:_LONGEST_SHOWN]!r} is no packaged pipeline, and may run any program"


def _tasks(names: Sequence[str], _: str) -> str | None:
    return _running(name for name in names if name not in registry.BUILT_IN)


def _running(names: Iterable[str]) -> str | None:
    return next((f"{name[:_LONGEST_SHOWN]!r}: {_RUNS}" for name in names), None)


_CHECKS: Mapping[str, Callable[[Any, str], str | None]] = {
    "store": _place,
    "baseline": _place,
    "memo": lambda *_: "it names another place to read from and write to",
    "read-config": lambda *_: "it would let files of the tree configure programs",
    "pipeline": _pipeline,
    "tasks": _tasks,
    "tools": lambda names, _: _running(names),
}
