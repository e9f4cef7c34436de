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
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from codebatch.tasks.languages.python.nodes import FlatTree
from codebatch.tasks.languages.python.places import character_offset, line_at

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


def count_lines(lines: Sequence[str], blank: int, flat: FlatTree) -> LineCounts:
    """Code and comment lines of a file that parsed; ``blank`` of its lines are blank."""
    code = len(lines) - blank
    doubtful = {
        number
        for number, line in enumerate(lines, 1)
        if ("#" in line and line.lstrip()[0] == "#") or ("\\" in line and line.strip() == "\\")
    }
    if not doubtful:
        return LineCounts(code, 0)
    for span in _string_spans(flat):
        inside = doubtful.intersection(range(span.line + 1, span.end_line + 1))
        if inside:
            doubtful -= inside & _token_lines(lines, span)
    comments = sum(lines[number - 1].strip() != "\\" for number in doubtful)
    return LineCounts(code - len(doubtful), comments)


def _string_spans(flat: FlatTree) -> Iterator[_Span]:
    """Strings over several lines; what stands inside an f-string belongs to it."""
    constants = _over_several_lines(flat, ast.Constant)
    joined = _over_several_lines(flat, ast.JoinedStr)
    inside = _inside_f_strings(joined)
    for node in (*constants, *joined):
        if node not in inside:
            yield _Span(
                node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0
            )


def _over_several_lines(flat: FlatTree, cls: type[ast.expr]) -> list[ast.expr]:
    nodes = cast("list[ast.expr]", flat.members.get(cls, []))
    return [node for node in nodes if node.lineno != node.end_lineno]


def _inside_f_strings(strings: Sequence[ast.expr]) -> set[ast.AST]:
    """All nodes below f-strings that are given in the order of their rows."""
    inside: set[ast.AST] = set()
    for string in strings:
        pending = [] if string in inside else [*ast.iter_child_nodes(string)]
        while pending:
            node = pending.pop()
            inside.add(node)
            pending += ast.iter_child_nodes(node)
    return inside


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
