"""Paths into JSON documents: where the findings are, and where in a finding its parts are.

The path to findings is keys joined by ``.``; ``[]`` goes through a list, ``{}`` through the values
of an object: ``generalDiagnostics[]``, ``[].messages[]``, ``{}[]``. The path to a part is keys, or
numbers for what is in lists: ``location.row``, ``spans.0.line``. It begins at the finding; with
``$1``, ``$2`` at what the first, the second ``[]`` or ``{}`` went to, with ``$0`` at the document.
``{}`` alone is the key of what the innermost ``{}`` went to. A text with such paths in ``${}`` is
a text with what is there in their places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from codebatch.tasks.tools.outputs.said import UnreadableOutputError

LIST, OBJECT = "[]", "{}"
_STEPS = re.compile(r"([^\[\]{}]*)((?:\[\]|\{\})*)\Z")
_START = re.compile(r"\$([0-9]{1,2})\Z")
_HOLE = re.compile(r"\$\{(\{\}|[^{}]*)\}")

Part = Callable[["Place"], str]


class Place(NamedTuple):
    """A value in a document: what was gone through up to it, the document first, itself last, and
    the key of the innermost object whose values were gone through.
    """

    through: tuple[object, ...]
    key: str = ""


@lru_cache(maxsize=256)
def steps_of(path: str) -> tuple[str, ...]:
    """Return the steps of a path to findings: keys, `LIST`, `OBJECT`. ValueError if it is none."""
    steps: list[str] = []
    for part in path.split(".") if path else ():
        match = _STEPS.match(part)
        if match is None or not part:
            raise ValueError(f"{part!r} of {path!r} is not a key, '[]' or '{{}}'")
        steps += [match[1]] if match[1] else []
        steps += re.findall(r"\[\]|\{\}", match[2])
    return tuple(steps)


def depth_of(path: str) -> int:
    """Return how many lists and objects a path to findings goes through."""
    return sum(step in (LIST, OBJECT) for step in steps_of(path))


def places(document: object, path: str, *, strict: bool) -> Iterator[Place]:
    """Yield what a path leads to. A key of the document itself has to be there if ``strict``; any
    other may be absent or null.
    """
    return _walk(document, steps_of(path), Place((document,)), strict=strict)


def _walk(value: object, steps: Sequence[str], at: Place, *, strict: bool) -> Iterator[Place]:
    if not steps:
        yield at if at.through[-1] is value else Place((*at.through, value), at.key)
        return
    step, rest = steps[0], steps[1:]
    if value is None and not strict:
        return
    if step == LIST:
        if not isinstance(value, list):
            raise UnreadableOutputError(f"{_kind(value)} where a list should be")
        for item in value:
            yield from _walk(item, rest, Place((*at.through, item), at.key), strict=False)
    elif not isinstance(value, Mapping):
        raise UnreadableOutputError(f"{_kind(value)} where an object should be")
    elif step == OBJECT:
        for key, item in value.items():
            yield from _walk(item, rest, Place((*at.through, item), key), strict=False)
    elif step in value:
        yield from _walk(value[step], rest, at, strict=strict and value[step] is not None)
    elif strict:
        raise UnreadableOutputError(f"there is no {step!r} in it")


def _kind(value: object) -> str:
    names = {list: "a list", dict: "an object", str: "a text", type(None): "null"}
    return names.get(type(value), "a number")


@lru_cache(maxsize=1024)
def part_of(path: str) -> Part:
    """Return what gives the text of a part of a finding, "" where it is not there. ValueError if
    the path is none.
    """
    if "${" in path:
        holes = [part_of(hole) for hole in _HOLE.findall(path)]
        between = _HOLE.split(path)[::2]
        return lambda at: _filled(between, [hole(at) for hole in holes])
    if path == OBJECT:
        return lambda at: at.key
    first, *keys = path.split(".")
    start = _START.match(first)
    index = int(start[1]) if start else -1
    wanted = keys if start else [first, *keys]
    if not all(wanted) or any(char in key for key in wanted for char in "[]{}"):
        raise ValueError(f"{path!r} is not keys joined by '.'")
    return lambda at: _text(_value(at.through[index], wanted))


def deepest_of(path: str) -> int:
    """Return the highest number after ``$`` in a path to a part, 0 where there is none."""
    paths = _HOLE.findall(path) if "${" in path else [path]
    found = (_START.match(one.partition(".")[0]) for one in paths)
    return max((int(match[1]) for match in found if match), default=0)


def names_key(path: str) -> bool:
    """Return true if a path to a part says the key of an object."""
    return OBJECT in (_HOLE.findall(path) if "${" in path else [path])


def _filled(between: Sequence[str], values: Sequence[str]) -> str:
    if not all(values):
        return ""
    return between[0] + "".join(v + t for v, t in zip(values, between[1:], strict=True))


def _value(value: object, keys: Sequence[str]) -> object:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and len(key) < 10:
            value = value[int(key)] if int(key) < len(value) else None
        else:
            return None
    return value


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_word, value[:100])))
    return _word(value)


def _word(value: object) -> str:
    if isinstance(value, list | Mapping) or value is None:
        return ""
    return value if isinstance(value, str) else str(value).lower()
