"""From the bytes of a file to a syntax tree, or to the one place where Python rejects it.

Whatever `ast.parse` accepts is accepted; nothing that only the compiler checks is a fault. The
parser's position for bytes counts bytes in some errors and characters in others, so the text is
parsed again to have characters throughout. No answer holds a path, and none depends on filters
for warnings.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize

from codebatch.tasks.languages.base import Source, SyntaxFault
from codebatch.tasks.languages.python.deep import NoThreadError, call_deep
from codebatch.tasks.languages.python.places import line_at
from codebatch.tasks.languages.python.warnings_off import warnings_off

NULL_BYTES = "source code cannot contain null bytes"
TOO_DEEP = "nested too deeply for this Python's parser"
TOO_MANY = "too many nested parentheses"
IN_ANY_PYTHON = frozenset((NULL_BYTES, TOO_DEEP, TOO_MANY))  # are these faults

# Python 3.12 fixed the depth of the parser. 3.10 has no limit and crashes where the stack ends:
# it gets the large stack for every file that could be deep enough, a level taking two bytes.
_DEPTH_IS_FIXED = sys.version_info >= (3, 12)
_SAFE_BYTES = sys.maxsize if sys.version_info >= (3, 11) else 4_000

_LINE_END = re.compile(r"\r\n|\n|\r")
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=]")


def parse_source(source: Source) -> ast.Module | SyntaxFault:
    """The tree of a file, or why there is none."""
    content = source.content
    null = content.find(b"\0")
    if null >= 0:
        return _fault_at(content[:null].decode("utf-8", "replace"), NULL_BYTES)
    try:
        return _parse(content)
    except SyntaxError as error:
        return _decoding_fault(content, error) or _syntax_fault(source, error)
    except RecursionError:
        return SyntaxFault(1, 1, TOO_DEEP)
    except MemoryError as error:
        if _is_shortage(error):
            raise
        return SyntaxFault(1, 1, TOO_DEEP)
    except ValueError as error:
        return SyntaxFault(1, 1, f"invalid source: {error}")


def parse_text(text: str) -> ast.Module | None:
    """The tree of a text, None where Python rejects it."""
    try:
        return _parse(text)
    except MemoryError as error:
        if _is_shortage(error):
            raise
    except (SyntaxError, RecursionError, ValueError):
        pass
    return None


def _is_shortage(error: MemoryError) -> bool:
    """Return true if memory is short, which says nothing about the file; else it is too deep.
    The parser of an older Python says the same of both.
    """
    return isinstance(error, NoThreadError) or (_DEPTH_IS_FIXED and not error.args)


def _parse(content: bytes | str) -> ast.Module:
    with warnings_off():
        if _DEPTH_IS_FIXED:
            return ast.parse(content)
        if len(content) > _SAFE_BYTES:
            return call_deep(lambda: ast.parse(content))
        try:
            return ast.parse(content)
        except RecursionError:
            return call_deep(lambda: ast.parse(content))


def _syntax_fault(source: Source, error: SyntaxError) -> SyntaxFault:
    try:
        _parse(source.text)
    except SyntaxError as exact:
        error = exact
    except MemoryError as again:
        if _is_shortage(again):
            raise
    except (RecursionError, ValueError):
        pass
    lines = source.lines
    number = min(max(error.lineno or 1, 1), max(len(lines), 1))
    column = min(max(error.offset or 1, 1), len(line_at(lines, number)) + 1)
    return SyntaxFault(number, column, error.msg)


def _decoding_fault(content: bytes, error: SyntaxError) -> SyntaxFault | None:
    """The first byte that is no text in the declared encoding, or the declaration itself."""
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(content).readline)[0].removesuffix("-sig")
        declared = True
    except SyntaxError:
        encoding, declared = "utf-8", False
    try:
        content.decode(encoding)
    except UnicodeDecodeError as refused:
        head = refused.object[: refused.start].decode(encoding, "replace")
        byte = refused.object[refused.start]
        return _fault_at(head, f"'{encoding}' codec cannot decode byte 0x{byte:02x}")
    except (LookupError, ValueError):
        declared = False
    if declared:
        return None
    first_two = content.splitlines()[:2]
    number = 2 if len(first_two) > 1 and not _COOKIE.match(first_two[0]) else 1
    return SyntaxFault(number, 1, error.msg)


def _fault_at(head: str, message: str) -> SyntaxFault:
    """A fault at the character that follows ``head``."""
    lines = _LINE_END.split(head.removeprefix("\ufeff"))
    return SyntaxFault(len(lines), len(lines[-1]) + 1, message)
