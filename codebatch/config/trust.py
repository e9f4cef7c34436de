"""What a configuration may not say that nobody has named: it comes with a tree, which is anyone's.

What names code or a program, or lets files of the tree configure one, would run what the tree says;
what names a place outside of the folder of the file would read or write there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from codebatch.model.resources import list_pipelines, list_tools

_OUTSIDE = "it is outside of the folder of the file"
_RUNS = "it would run code or programs that the tree names"


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
    is_packaged = name in list_pipelines()
    return None if is_packaged else "it is no packaged pipeline, and may run any program"


def _settings(tables: Mapping[str, Any], _: str) -> str | None:
    tools = sorted({"tool", *list_tools()} & tables.keys())
    return f"{tools[0]}: it would change what a program is told to do" if tools else None


def _tasks(names: Sequence[str], _: str) -> str | None:
    signs = (":", os.sep, ".json")
    return next((f"{one}: {_RUNS}" for one in names if any(sign in one for sign in signs)), None)


def _tools(names: Sequence[str], _: str) -> str | None:
    return next((f"{one}: {_RUNS}" for one in names if one not in list_tools()), None)


_CHECKS: Mapping[str, Callable[[Any, str], str | None]] = {
    "store": _place,
    "baseline": _place,
    "memo": lambda *_: "it names another place to read from and write to",
    "read-config": lambda *_: "it would let files of the tree configure programs",
    "pipeline": _pipeline,
    "settings": _settings,
    "tasks": _tasks,
    "tools": _tools,
}
