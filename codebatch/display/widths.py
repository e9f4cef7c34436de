"""Columns of a terminal: how many a text takes, and how a table is made to fit."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

GAP = 2
_FIRST_ROWS = 1_000
_LEAST = 16  # what is left of a text at least, before a column of the table goes
_LEAST_KEPT = 24  # and of one in a column that stays: an id is whole
_ZERO_WIDTH = frozenset({"Mn", "Me", "Cf"})


def text_width(text: str) -> int:
    """Return the columns that a text takes: none for a combining mark, two for a wide letter."""
    return len(text) if text.isascii() else sum(map(_letter_width, text))


def padded(text: str, width: int, *, to_the_right: bool = False) -> str:
    """Return the text with spaces up to a width."""
    space = " " * (width - text_width(text))
    return space + text if to_the_right else text + space


def abridged(text: str, most: int = 1_000) -> str:
    """Return a text, of a longer one than that the beginning and the length."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def shortened(text: str, width: int, mark: str) -> str:
    """Return as much of a text as fits, with a mark where some is left out: the end, or the middle
    of a path, of which the beginning and the name say most.
    """
    if text_width(text) <= width:
        return text
    room = width - len(mark)
    if room <= 0:
        return _first(text, width)
    first, slash, rest = text.partition("/")
    if not slash or " " in text:
        return _first(text, room) + mark
    head = f"{first}/"
    tail = _last(rest, room - text_width(head))
    if "/" in tail:  # whole names after the mark
        return head + mark + tail[tail.index("/") :]
    return mark + _last(text, room)


def fitted(
    natural: Sequence[int], numeric: Sequence[bool], width: int, order: Sequence[int], kept: int
) -> list[int]:
    """Return widths with which columns fit, 0 for one that is left out.

    ``order`` are the columns by importance, of which the first ``kept`` are never left out: of
    the others, as many as fit with a few letters of each text. What is too wide by then
    is taken from the widest texts.
    """
    least = [
        size if numeric[i] else min(size, _LEAST_KEPT if i in order[:kept] else _LEAST)
        for i, size in enumerate(natural)
    ]
    shown: list[int] = []
    for rank, index in enumerate(order):
        if rank < kept or _total([least[i] for i in (*shown, index)]) <= width:
            shown.append(index)
    widths = [size if i in shown else 0 for i, size in enumerate(natural)]
    texts = [i for i in shown if not numeric[i]]
    while _total(widths) > width:
        wide = [i for i in texts if widths[i] > least[i]] or [i for i in texts if widths[i] > 1]
        if not wide:
            break
        widths[max(wide, key=lambda i: (widths[i], i))] -= 1
    return widths


def fits(natural: Sequence[int], numeric: Sequence[bool], width: int) -> bool:
    """Return whether all columns fit with a few letters of each text."""
    every = range(len(natural))
    return all(fitted(natural, numeric, width, every, 0))


def _total(widths: Sequence[int]) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + GAP * (len(shown) - 1)


def _letter_width(letter: str) -> int:
    if unicodedata.category(letter) in _ZERO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _first(text: str, width: int) -> str:
    """Return the letters at the beginning that fit."""
    used = 0
    for place, letter in enumerate(text):
        used += _letter_width(letter)
        if used > width:
            return text[:place]
    return text


def _last(text: str, width: int) -> str:
    """Return the letters at the end that fit."""
    return _first(text[::-1], width)[::-1] if width > 0 else ""


def first_rows(rows: Iterable[T]) -> tuple[list[T], Iterator[T]]:
    """Return the first rows, which say what columns look like, and an iterator over the others."""
    iterator = iter(rows)
    return list(islice(iterator, _FIRST_ROWS)), iterator
