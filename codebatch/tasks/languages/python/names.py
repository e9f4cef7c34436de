"""Places of the names that `ast` does not place, found in the text.

These are the names of functions, classes and exception handlers, those that patterns capture, and
the local names of imports. Each stands between two places that `ast` has, where no string can be.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from codebatch.tasks.languages.python.places import (
    character_offset,
    line_at,
    word_after,
    word_before,
)

Place = tuple[int, int]

_DEFINITION = re.compile(r"(?:async +)?(?:def|class) +(?=\w)")


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
