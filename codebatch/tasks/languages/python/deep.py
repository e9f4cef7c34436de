"""Calls that need more C stack than a thread has by default.

Before Python 3.12 the parser's depth depends on the recursion limit (3.11) or on nothing but the
stack itself (3.10, which crashes when it ends), so deep code parses in a thread with a large
stack. From 3.12 on the limit is fixed in the interpreter and the language refuses deeper code.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

# The stack is address space, touched only as far as it is used. Building a tree takes less than
# 100 bytes of it per level, and the limit counts three levels each: half a million levels at most.
_STACK_BYTES = 128 * 1024 * 1024
_RECURSION_LIMIT = 1_500_000

# Stack size and recursion limit belong to the process: one deep call at a time.
_lock = threading.Lock()


class NoThreadError(MemoryError):
    """The machine has no memory for a large stack now."""


def call_deep(function: Callable[[], _T]) -> _T:
    """The function's result, or its exception, from a thread with a large stack.

    Other threads go on meanwhile and see the raised recursion limit until the call returns.
    `NoThreadError` where no such thread can be started, which says nothing about the code.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    with _lock:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, _RECURSION_LIMIT))
        try:
            _run_in_thread(run)
        finally:
            sys.setrecursionlimit(limit)
    if errors:
        raise errors[0].with_traceback(None)
    return results[0]


def _run_in_thread(run: Callable[[], None]) -> None:
    size = threading.stack_size()
    try:
        threading.stack_size(_STACK_BYTES)
        thread = threading.Thread(target=run, name="codebatch-deep-parse")
        thread.start()
    except (RuntimeError, ValueError) as error:
        raise NoThreadError("no thread with a large stack") from error
    finally:
        threading.stack_size(size)
    thread.join()
