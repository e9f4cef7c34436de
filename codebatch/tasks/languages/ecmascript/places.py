"""Lines, columns and offsets of a text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, count
from operator import add

LINE_END = re.compile(r"\r\n|\n|\r")


def line_starts(text: str) -> list[int]:
    r"""Return where lines start; ``\n``, ``\r\n`` and a lone ``\r`` end a line."""
    if "\r" in text:
        return [0, *(match.end() for match in LINE_END.finditer(text))]
    lengths = map(len, text.split("\n"))
    return [0, *map(add, accumulate(lengths), count(1))][:-1]


def places(text: str, offsets: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the line and the column, both from 1, of ascending offsets in the text's UTF-8.

    Columns count characters.
    """
    starts = line_starts(text)
    encoded = b"" if text.isascii() else text.encode()
    known = characters = 0
    for offset in offsets:
        if encoded:
            characters += len(encoded[known:offset].decode("utf-8", "ignore"))
            known = offset
        else:
            characters = offset
        line = bisect_right(starts, characters)
        yield line, characters - starts[line - 1] + 1
