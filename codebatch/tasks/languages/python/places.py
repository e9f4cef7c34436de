"""From the places ``ast`` gives (lines from 1, UTF-8 bytes from 0) to characters, and back to text.

`ast` has no place for some names (of a function, a class, an exception handler); they are found
in the text between two places that it has, where no string can stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

_WORD = re.compile(r"#.*|\w+")
_WORD_CHARACTER = re.compile(r"\w")
_INNER = bytes(range(0x80, 0xC0))
_BLOCK = 1024


def line_at(lines: Sequence[str], number: int) -> str:
    """Line ``number``, counted from 1; empty where an odd codec made the counts differ."""
    return lines[number - 1] if 0 < number <= len(lines) else ""


def character_offset(line: str, offset: int) -> int:
    """An offset in UTF-8 bytes as one in characters, both from 0."""
    if line.isascii():
        return offset
    if offset <= _BLOCK:
        return offset - _inner_bytes(line[:offset].encode("utf-8", "surrogatepass")[:offset])
    data, inner = _measured(line)
    block = offset // _BLOCK
    return offset - inner[block] - _inner_bytes(data[block * _BLOCK : offset])


def _inner_bytes(data: bytes) -> int:
    """Return the number of bytes that are not the first of a character."""
    return len(data) - len(data.translate(None, _INNER))


@lru_cache(maxsize=1)
def _measured(line: str) -> tuple[bytes, list[int]]:
    """A long line in UTF-8, and how many bytes before each block are not the first of a character:
    a file may be one line, and each of its nodes has a place in it.
    """
    data = line.encode("utf-8", "surrogatepass")
    blocks = (data[start : start + _BLOCK] for start in range(0, len(data), _BLOCK))
    return data, [0, *accumulate(map(_inner_bytes, blocks))]


def word_after(
    lines: Sequence[str], number: int, offset: int, keyword: str | None
) -> tuple[int, int] | None:
    """Line and character offset of the word after ``keyword``, looked for from a place on.

    Without a keyword it is the first word from there on. Comments are passed over.
    """
    due = keyword is None
    start = character_offset(line_at(lines, number), offset)
    for current in range(number, len(lines) + 1):
        for match in _WORD.finditer(lines[current - 1], start):
            word = match.group()
            if word[0] == "#":
                break
            if due:
                return current, match.start()
            due = word == keyword
        start = 0
    return None


def word_before(lines: Sequence[str], number: int, offset: int) -> tuple[int, int]:
    """Line and character offset of the word that ends at a place."""
    line = line_at(lines, number)
    start = min(character_offset(line, offset), len(line))
    while start > 0 and _WORD_CHARACTER.match(line, start - 1):
        start -= 1
    return number, start
