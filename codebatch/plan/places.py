"""Where the parts of a JSON text stand."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

Pointer = tuple[str | int, ...]

_SIGN = re.compile(r'[{}\[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s{}\[\],:"]+', re.DOTALL)
_DEEPEST = 16  # nothing further down is ever asked for


class Place(NamedTuple):
    """A place in a text; lines and columns count from 1."""

    line: int
    column: int


def place_of(text: str, pointer: Pointer, *, key: bool = False) -> Place:
    """Return where a value of a JSON text stands, or its ``key``; of one that is not there, where
    the nearest stands that would hold it.
    """
    values, keys = _offsets(text)
    found = keys.get(pointer) if key else None
    while found is None:
        found, pointer = values.get(pointer, None if pointer else 0), pointer[:-1]
    return Place(text.count("\n", 0, found) + 1, found - text.rfind("\n", 0, found))


def json_path(pointer: Pointer) -> str:
    """Return a pointer as messages have it: ``$.tasks[0].id``."""
    return "$" + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in pointer)


def json_pointer(pointer: Pointer) -> str:
    """Return a pointer as RFC 6901 has it: ``/tasks/0/id``."""
    return "".join(f"/{str(one).replace('~', '~0').replace('/', '~1')}" for one in pointer)


def _offsets(text: str) -> tuple[dict[Pointer, int], dict[Pointer, int]]:
    """Return where each value, and each key, of a JSON text starts, but for what is very deep.

    State: ``path`` leads to the value to come, and has None where a key is to come.
    """
    values: dict[Pointer, int] = {}
    keys: dict[Pointer, int] = {}
    path: list[str | int | None] = []
    for match in _SIGN.finditer(text):
        sign, known = match[0], keys if path and path[-1] is None else values
        if sign == ",":
            last = path[-1]
            path[-1] = last + 1 if isinstance(last, int) else None
        elif sign in "}]":
            path.pop()
        elif sign != ":":
            if known is keys:
                path[-1] = str(json.loads(sign))
            if len(path) <= _DEEPEST:
                known[tuple(path)] = match.start()  # type: ignore[arg-type]  # no None by now
            if sign in "{[":
                path.append(None if sign == "{" else 0)
    return values, keys
