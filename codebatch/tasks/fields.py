"""The types of the fields of records, as a plan spells them, and the values that fit them.

A type is one of ``str``, ``int``, ``float``, ``bool`` and ``None``, several of these with ``|``
between, ``list[T]`` of them, or ``dict[str, T]``. A value fits by its exact type: ``True`` is no
number, and a subclass of ``str`` is no text. Numbers are finite, and integers have 64 bits.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterator
from functools import cache

Fits = Callable[[object], bool]

_WORDS: dict[object, str] = {
    **{of_type: of_type.__name__ for of_type in (str, int, float, bool)},
    type(None): "None",
}
_LARGEST = 2**63


def words_of(annotation: object) -> str:
    """Return a type as a plan spells it; ValueError for one that no field of a record may have."""
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(sorted(map(words_of, inner), key="None".__eq__))
    if origin is list and len(inner) == 1:
        return f"list[{words_of(inner[0])}]"
    if origin is dict and len(inner) == 2 and inner[0] is str:
        return f"dict[str, {words_of(inner[1])}]"
    raise ValueError(f"{getattr(annotation, '__name__', annotation)} is no type of a field")


@cache
def fits(words: str) -> Fits:
    """Return what tells whether a value is of a type."""
    parts = [_fits_one(part) for part in _alternatives(words)]
    return parts[0] if len(parts) == 1 else lambda value: any(part(value) for part in parts)


def _alternatives(words: str) -> Iterator[str]:
    depth, start = 0, 0
    for place, char in enumerate(words):
        depth += (char == "[") - (char == "]")
        if char == "|" and not depth:
            yield words[start:place].strip()
            start = place + 1
    yield words[start:].strip()


def _fits_one(part: str) -> Fits:
    if part.startswith("list["):
        item = fits(part[5:-1])
        return lambda value: type(value) is list and all(map(item, value))
    if part.startswith("dict["):
        item, text = fits(part.partition(",")[2][:-1]), fits("str")
        return lambda value: (
            type(value) is dict and all(map(text, value)) and all(map(item, value.values()))
        )
    return _ATOMS[part]


_ATOMS: dict[str, Fits] = {
    "str": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    "None": lambda value: value is None,
    "int": lambda value: type(value) is int and -_LARGEST <= value < _LARGEST,
    "float": lambda value: type(value) is float and math.isfinite(value),
}
