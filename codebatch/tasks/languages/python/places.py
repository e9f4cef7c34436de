"""From the places ``ast`` gives (lines from 1, UTF-8 bytes from 0) to characters, and back to text.

`ast` has no place for some names (of a function, a class, an exception handler); they are found
in the text between two places that it has, where no string can stand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORD = re.compile(r"#.*|\w+")
_LAST_WORD = re.compile(r"\w*\Z")


def line_at(lines: Sequence[str], number: int) -> str:
    """Line ``number``, counted from 1; empty where an odd codec made the counts differ."""
    return lines[number - 1] if 0 < number <= len(lines) else ""


def character_offset(line: str, offset: int) -> int:
    """An offset in UTF-8 bytes as one in characters, both from 0."""
    if line.isascii():
        return offset
    head = line.encode("utf-8", "surrogatepass")[:offset]
    return len(head.decode("utf-8", "replace"))


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
    match = _LAST_WORD.search(line, 0, character_offset(line, offset))
    return number, match.start() if match else 0
