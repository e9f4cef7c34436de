"""Values of JSON documents by type; TypeError or ValueError for one that is of another."""

from __future__ import annotations

from typing import Any, cast

from codebatch.model.digest import Document


def to_text(value: object) -> str:
    """Return a value that is text."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def to_count(value: object) -> int:
    """Return a value that is a number of things."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a count, got {value!r}")
    return value


def to_mapping(value: object) -> Document:
    """Return a value that is an object."""
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def to_numbers(value: object) -> dict[str, int]:
    """Return a value that is an object of counts."""
    return {name: to_count(number) for name, number in to_mapping(value).items()}


def to_pairs(value: object) -> tuple[tuple[int, int], ...]:
    """Return a value that is an array of pairs of counts."""
    # Most files have as many records as another: one pair serves them all.
    pairs = list(map(tuple, cast("list[list[int]]", value)))
    known = dict.fromkeys(pairs)
    for pair in known:
        if len(pair) != 2 or any(type(number) is not int or number < 0 for number in pair):
            raise ValueError("expected pairs of counts")
    shared = cast("dict[tuple[int, ...], tuple[int, int]]", dict(zip(known, known, strict=True)))
    return tuple(map(shared.__getitem__, pairs))


def to_texts(value: object) -> tuple[str, ...]:
    """Return a value that is an array of text."""
    return tuple(to_text(item) for item in to_list(value))


def to_list(value: object) -> list[Any]:
    """Return a value that is an array."""
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return value
