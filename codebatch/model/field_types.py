"""The types of the fields of records, as a plan spells them, and the values that fit them.

A type is one of ``str``, ``int``, ``float``, ``bool`` and ``None``, several of these with ``|``
between, ``list[T]`` of them, or ``dict[str, T]``. A value fits by its exact type: ``True`` is no
number, and a subclass of ``str`` is no text. Numbers are finite, integers have 64 bits. Texts have
`MOST_CHARACTERS`, and no lone surrogate but those that stand for a byte; lists and dicts have
`MOST_ITEMS`. What reads records and what writes them asks the same function.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterator
from functools import lru_cache

Fits = Callable[[object], bool]

MOST_CHARACTERS = 2**20
MOST_ITEMS = 2**16

_WORDS: dict[object, str] = {
    **{of_type: of_type.__name__ for of_type in (str, int, float, bool)},
    type(None): "None",
}
_LARGEST = 2**63
_LONGEST_WORDS = 200


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


@lru_cache(maxsize=4096)
def fits(words: str) -> Fits:
    """Return what tells whether a value is of a type; ValueError where the words are no type."""
    if len(words) > _LONGEST_WORDS:
        raise ValueError("a type of a field is too long")
    parts = [_fits_one(part) for part in alternatives(words)]
    return parts[0] if len(parts) == 1 else lambda value: any(part(value) for part in parts)


def has_type(words: str, value: object) -> bool:
    """Return True if a value is of the type at the top of one of the words, whatever is in it."""
    name = "None" if value is None else type(value).__name__
    return any(one.partition("[")[0] == name for one in alternatives(words))


def alternatives(words: str) -> Iterator[str]:
    """Yield the types that ``|`` separates."""
    depth, start = 0, 0
    for place, char in enumerate(words):
        depth += (char == "[") - (char == "]")
        if char == "|" and not depth:
            yield words[start:place].strip()
            start = place + 1
    yield words[start:].strip()


def _fits_one(part: str) -> Fits:
    if part.startswith("list[") and part.endswith("]"):
        item = fits(part[len("list[") : -1])
        return lambda value: (
            type(value) is list and len(value) <= MOST_ITEMS and all(map(item, value))
        )
    if part.startswith("dict[str, ") and part.endswith("]"):
        item, text = fits(part[len("dict[str, ") : -1]), _ATOMS["str"]
        return lambda value: (
            type(value) is dict
            and len(value) <= MOST_ITEMS
            and all(map(text, value))
            and all(map(item, value.values()))
        )
    if part not in _ATOMS:
        raise ValueError(f"{part!r} is no type of a field")
    return _ATOMS[part]


def _is_text(value: object) -> bool:
    if type(value) is not str or len(value) > MOST_CHARACTERS:
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return False
    return True


_ATOMS: dict[str, Fits] = {
    "str": _is_text,
    "bool": lambda value: type(value) is bool,
    "None": lambda value: value is None,
    "int": lambda value: type(value) is int and -_LARGEST <= value < _LARGEST,
    "float": lambda value: type(value) is float and math.isfinite(value),
}
