"""From the bytes of a file to a syntax tree, or to the one place where Python rejects it.

Whatever `ast.parse` accepts is accepted; nothing that only the compiler checks is a fault. The
parser's position for bytes counts bytes in some errors and characters in others, so the text is
parsed again to have characters throughout. No answer holds a path, and none depends on filters
for warnings.

Before Python 3.12 the parser's depth depends on the recursion limit (3.11) or on nothing but the
stack itself (3.10, which crashes when it ends), so deep code parses in a thread with a large
stack. From 3.12 on the limit is fixed in the interpreter and the language refuses deeper code.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys
import threading
import tokenize
import warnings

from codebatch.tasks.languages.base import Source, SyntaxFault
from codebatch.tasks.languages.python.places import line_at

NULL_BYTES = "source code cannot contain null bytes"
TOO_DEEP = "nested too deeply for this Python's parser"
TOO_MANY = "too many nested parentheses"
IN_ANY_PYTHON = frozenset((NULL_BYTES, TOO_DEEP, TOO_MANY))  # are these faults

_DEPTH_IS_FIXED = sys.version_info >= (3, 12)
# 3.10 gets the large stack for every file that could be deep enough, a level taking two bytes.
_SAFE_BYTES = sys.maxsize if sys.version_info >= (3, 11) else 4_000
# The stack is address space, touched only as far as it is used. Building a tree takes less than
# 100 bytes of it per level, and the limit counts three levels each: half a million levels at most.
_STACK_BYTES = 128 * 1024 * 1024
_RECURSION_LIMIT = 1_500_000

# Filters of warnings, stack size and recursion limit belong to the process: one parse at a time.
_lock = threading.Lock()

_LINE_END = re.compile(r"\r\n|\n|\r")
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=]")


class NoThreadError(MemoryError):
    """The machine has no memory for a large stack now."""


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
    """Return what `ast.parse` does; ``-W error`` would make its warnings syntax errors."""
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        if _DEPTH_IS_FIXED:
            return ast.parse(content)
        if len(content) <= _SAFE_BYTES:
            with contextlib.suppress(RecursionError):
                return ast.parse(content)
        return _parse_deep(content)


def _parse_deep(content: bytes | str) -> ast.Module:
    """Parse in a thread with a large stack; other threads see the raised recursion limit.

    `NoThreadError` where no such thread can be started, which says nothing about the code.
    """
    results: list[ast.Module] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(ast.parse(content))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    limit, size = sys.getrecursionlimit(), threading.stack_size()
    sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
    try:
        threading.stack_size(_STACK_BYTES)
        thread = threading.Thread(target=run, name="codebatch-deep-parse")
        thread.start()
        thread.join()
    except (RuntimeError, ValueError) as error:
        raise NoThreadError("no thread with a large stack") from error
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    if errors:
        raise errors[0].with_traceback(None)
    return results[0]


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
