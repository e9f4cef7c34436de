"""Code and comment lines of a Python file, without a run of `tokenize` over all of it.

A line whose first character is ``#`` is a comment line and any other line that is not blank holds
code, except where a string runs over several lines: its text is looked at token by token. What
`ast` reports as one string may be several, with comments in between. A line of a docstring is code
unless it is blank; a line with only a backslash is neither.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Sequence

from codebatch.tasks.languages.base import Comment
from codebatch.tasks.languages.python.nodes import FlatTree
from codebatch.tasks.languages.python.places import character_offset, line_at

_NO_CODE = frozenset(
    (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.INDENT)
)
# In code that parses, a quote outside of both opens a string, and ``#`` a comment.
_COMMENT_OR_STRING = re.compile(
    r"""
    \#[^\n]*
    | \"{3} [^"\\]* (?: (?: \\. | "(?!"") ) [^"\\]* )* \"{3}
    | '{3} [^'\\]* (?: (?: \\. | '(?!'') ) [^'\\]* )* '{3}
    | " [^"\\\n]* (?: \\. [^"\\\n]* )* "
    | ' [^'\\\n]* (?: \\. [^'\\\n]* )* '
    """,
    re.VERBOSE | re.DOTALL,
)
_FORMATTED = re.compile(r"(?:[ft]r?|r[ft])['\"]", re.IGNORECASE)
_NESTS_STRINGS = sys.version_info >= (3, 12)  # the expressions in an f-string are code


def count_lines(lines: Sequence[str], blank: int, flat: FlatTree) -> tuple[int, int]:
    """Return the numbers of lines with code and of those with nothing but a comment, in a file that
    parsed; ``blank`` of its lines are blank.
    """
    code = len(lines) - blank
    doubtful = {
        number
        for number, line in enumerate(lines, 1)
        if ("#" in line and line.lstrip()[0] == "#") or ("\\" in line and line.strip() == "\\")
    }
    for string in _long_strings(flat) if doubtful else ():
        inside = doubtful.intersection(range(string.lineno + 1, (string.end_lineno or 0) + 1))
        if inside:
            doubtful -= inside & _token_lines(lines, string)
    comments = sum(lines[number - 1].strip() != "\\" for number in doubtful)
    return code - len(doubtful), comments


def find_comments(text: str) -> list[Comment] | None:
    """Return the comments of a file that parses; None where Python's tokenizer rejects what its
    parser takes. One behind a string over several lines is about all of these, as linters take it.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _NESTS_STRINGS and _FORMATTED.search(text):
        return _comment_tokens(text)
    found: list[Comment] = []
    row, line_start, place = 1, 0, 0
    first = last = 0  # lines of the last string over several
    for match in _COMMENT_OR_STRING.finditer(text):
        start, end = match.span()
        if newlines := text.count("\n", place, start):
            row, line_start = row + newlines, text.rfind("\n", place, start) + 1
        place = start
        if text[start] == "#":
            about = first if row == last else row
            found.append(Comment(row, start - line_start + 1, match.group(), about))
        elif newlines := text.count("\n", start, end):
            first, last = first if row == last else row, row + newlines
    return found


def _comment_tokens(text: str) -> list[Comment] | None:
    """Return what `find_comments` does, token by token: strings may stand in strings."""
    found: list[Comment] = []
    first = last = 0  # lines of the last token over several
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            row, column = token.start
            if token.type == tokenize.COMMENT:
                about = first if row == last else row
                found.append(Comment(row, column + 1, token.string, about))
            elif token.end[0] != row and token.type not in _NO_CODE:
                first, last = first if row == last else row, token.end[0]
    except (tokenize.TokenError, SyntaxError):
        return None
    return found


def _long_strings(flat: FlatTree) -> list[ast.expr]:
    """Strings over several lines; what stands inside an f-string belongs to it."""
    constants, joined = (
        [node for node in flat.members.get(cls, ()) if node.lineno != node.end_lineno]
        for cls in (ast.Constant, ast.JoinedStr)
    )
    inside: set[ast.AST] = set()
    for string in joined:
        pending = [] if string in inside else [*ast.iter_child_nodes(string)]
        while pending:
            node = pending.pop()
            inside.add(node)
            pending += ast.iter_child_nodes(node)
    return [node for node in (*constants, *joined) if node not in inside]


def _token_lines(lines: Sequence[str], string: ast.expr) -> set[int]:
    """The lines of a string that hold something other than comments."""
    first, end_line = string.lineno, string.end_lineno or 0
    last = line_at(lines, end_line)
    rows = [*lines[first - 1 : end_line - 1]]
    rows.append(last[: character_offset(last, string.end_col_offset or 0)])
    text = "\n".join(rows)[character_offset(rows[0], string.col_offset) :]
    return {
        row
        for token in tokenize.generate_tokens(io.StringIO(f"({text})").readline)
        if token.type not in _NO_CODE
        for row in range(first + token.start[0] - 1, first + token.end[0])
    }
