"""From the places ``ast`` gives (lines from 1, UTF-8 bytes from 0) to characters, and back to text.

`ast` has no place for the names of functions, classes and exception handlers, those that patterns
capture, and the local names of imports; they are found in the text between two places that it has,
where no string can stand.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

Place = tuple[int, int]

_WORD = re.compile(r"#.*|\w+")
_WORD_CHARACTER = re.compile(r"\w")
_INNER = bytes(range(0x80, 0xC0))
_BLOCK = 1024
_DEFINITION = re.compile(r"(?:async +)?(?:def|class) +(?=\w)")


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


def find_name_places(
    members: Mapping[type[ast.AST], Sequence[ast.AST]], lines: Sequence[str]
) -> dict[ast.AST, Place]:
    """Line, and offset in characters, of each such name by the node that has it."""
    found: dict[ast.AST, Place] = {}
    for cls, find in _FINDERS.items():
        for node in members.get(cls, ()):
            place = find(node, lines)
            if place is not None:
                found[node] = place
    return found


def _of_definition(node: ast.FunctionDef | ast.ClassDef, lines: Sequence[str]) -> Place:
    """Only blanks, each one byte, stand before the keyword."""
    number, offset = node.lineno, node.col_offset
    match = _DEFINITION.match(line_at(lines, number), offset)
    if match is not None:
        return number, match.end()
    keyword = "class" if isinstance(node, ast.ClassDef) else "def"
    return word_after(lines, number, offset, keyword) or (number, offset)


def _of_handler(node: ast.ExceptHandler, lines: Sequence[str]) -> Place | None:
    if node.name is None or node.type is None:
        return None
    end_line, end = node.type.end_lineno or node.lineno, node.type.end_col_offset or 0
    return word_after(lines, end_line, end, "as") or (node.lineno, node.col_offset)


def _of_capture(node: ast.MatchAs | ast.MatchStar, lines: Sequence[str]) -> Place | None:
    if node.name is None:
        return None
    return word_before(lines, node.end_lineno, node.end_col_offset)


def _of_mapping(node: ast.MatchMapping, lines: Sequence[str]) -> Place | None:
    if node.rest is None:
        return None
    line, offset = node.lineno, node.col_offset
    if node.patterns:
        last = node.patterns[-1]
        line, offset = last.end_lineno, last.end_col_offset
    return word_after(lines, line, offset, None) or (node.lineno, node.col_offset)


def _of_alias(node: ast.alias, lines: Sequence[str]) -> Place | None:
    if node.asname is None:
        return None
    number = node.end_lineno or node.lineno
    line = line_at(lines, number)
    end = character_offset(line, node.end_col_offset or 0)
    if line.endswith(" " + node.asname, 0, end):
        return number, end - len(node.asname)
    return word_before(lines, number, node.end_col_offset or 0)


_FINDERS: dict[type[ast.AST], Callable[[Any, Sequence[str]], Place | None]] = {
    ast.AsyncFunctionDef: _of_definition,
    ast.ClassDef: _of_definition,
    ast.ExceptHandler: _of_handler,
    ast.FunctionDef: _of_definition,
    ast.MatchAs: _of_capture,
    ast.MatchMapping: _of_mapping,
    ast.MatchStar: _of_capture,
    ast.alias: _of_alias,
}
NAMED_CLASSES = frozenset(_FINDERS)
