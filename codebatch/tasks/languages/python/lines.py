"""Code and comment lines of a Python file, exact without a run of `tokenize`.

A line whose first character is ``#`` is a comment line and any other line that is not blank holds
code, except where a string runs over several lines: within its span the text is looked at token
by token. What `ast` reports as one string may be several, with comments in between. A line of a
docstring is code unless it is blank; a line with only a backslash is neither.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from typing import TYPE_CHECKING, NamedTuple, cast

from codebatch.tasks.languages.python.places import character_offset, line_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codebatch.tasks.languages.python.nodes import FlatTree

# From 3.12 on an f-string may hold its own quotes and comments; only the tokenizer knows.
_NESTED_QUOTES = sys.version_info >= (3, 12)

_TOKEN = re.compile(
    r"""(?P<blank> [ \t\f\n]+ | \\\n ) | (?P<comment> \#[^\n]* ) |
    (?P<prefix> [A-Za-z]{0,2} ) (?:
        \"\"\" [^"\\]* (?: (?: \\. | "(?!"") ) [^"\\]* )* \"\"\"
      | ''' [^'\\]* (?: (?: \\. | '(?!'') ) [^'\\]* )* '''
      | " [^"\\\n]* (?: \\. [^"\\\n]* )* "
      | ' [^'\\\n]* (?: \\. [^'\\\n]* )* '
    )""",
    re.DOTALL | re.VERBOSE,
)
_NO_CODE = frozenset(
    (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.INDENT)
)


class LineCounts(NamedTuple):
    """Lines with code, and lines with nothing but a comment."""

    code: int
    comment: int


class _Span(NamedTuple):
    """From the first character of a string to its end, in `ast`'s places."""

    line: int
    column: int
    end_line: int
    end_column: int


def count_lines(lines: Sequence[str], stripped: Sequence[str], flat: FlatTree) -> LineCounts:
    """Code and comment lines of a file that parsed; ``stripped`` are its lines, stripped."""
    code = len(stripped) - stripped.count("")
    doubtful = {
        number for number, text in enumerate(stripped, 1) if text[:1] == "#" or text == "\\"
    }
    if not doubtful:
        return LineCounts(code, 0)
    for span in _string_spans(flat):
        inside = doubtful.intersection(range(span.line + 1, span.end_line + 1))
        if inside:
            doubtful -= inside & _token_lines(lines, span)
    comments = sum(stripped[number - 1] != "\\" for number in doubtful)
    return LineCounts(code - len(doubtful), comments)


def _string_spans(flat: FlatTree) -> Iterator[_Span]:
    """Strings over several lines; what stands inside an f-string belongs to it."""
    constants = _over_several_lines(flat, ast.Constant)
    joined = _over_several_lines(flat, ast.JoinedStr)
    strings = _outside_f_strings(flat, {*constants, *joined}) if joined else constants
    for node in strings:
        yield _Span(node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)


def _over_several_lines(flat: FlatTree, cls: type[ast.expr]) -> list[ast.expr]:
    nodes = cast("list[ast.expr]", flat.members.get(cls, []))
    return [node for node in nodes if node.lineno != node.end_lineno]


def _outside_f_strings(flat: FlatTree, strings: set[ast.expr]) -> list[ast.expr]:
    """Those of the strings that stand in no f-string, one f-string being in no other."""
    outside = []
    joined = end = len(flat.nodes)
    for row, (node, parent) in enumerate(zip(flat.nodes, flat.parents, strict=True)):
        if joined <= parent:
            continue  # rows below the f-string follow it without a gap
        joined = row if isinstance(node, ast.JoinedStr) else end
        if node in strings:
            outside.append(node)
    return outside


def _token_lines(lines: Sequence[str], span: _Span) -> set[int]:
    """The lines of a span that a string token touches."""
    last = line_at(lines, span.end_line)
    rows = [*lines[span.line - 1 : span.end_line - 1]]
    rows.append(last[: character_offset(last, span.end_column)])
    text = "\n".join(rows)[character_offset(rows[0], span.column) :]
    touched: set[int] = set()
    place, line = 0, span.line
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or (_NESTED_QUOTES and set("fFtT") & set(match["prefix"] or "")):
            return touched | {line + row for row in _tokenized(text[place:])}
        end_line = line + text.count("\n", place, match.end())
        if match["prefix"] is not None:
            touched.update(range(line, end_line + 1))
        place, line = match.end(), end_line
    return touched


def _tokenized(text: str) -> Iterator[int]:
    """Lines, from 0, that the tokenizer finds something other than comments on."""
    for token in tokenize.generate_tokens(io.StringIO(f"({text})").readline):
        if token.type not in _NO_CODE:
            yield from range(token.start[0] - 1, token.end[0])
