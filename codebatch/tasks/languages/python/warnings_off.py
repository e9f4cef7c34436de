"""Parsing without warnings, also in several threads at once and under ``-W error``.

The parser warns about invalid escapes and the like through `warnings`, whose filters belong to
the whole process; with ``-W error`` a warning would turn a good file into a syntax error.
`warnings.catch_warnings` around each parse would restore the filters in the wrong order when
threads overlap. So the first user sets the filters aside, the last one restores them. Where
Python keeps the filters per context (3.14 without the GIL), each parse has its own.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType


class WarningsOff:
    """A context that any number of threads may be in; syntax warnings are ignored meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                _ignore_syntax_warnings()
            self._users += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._saved is not None:
                self._saved.__exit__(None, None, None)
                self._saved = None


def warnings_off() -> AbstractContextManager[None]:
    """A context to parse in, in any thread."""
    return _in_this_context() if _PER_CONTEXT else _shared


_PER_CONTEXT = bool(getattr(sys.flags, "context_aware_warnings", False))
_shared = WarningsOff()


@contextlib.contextmanager
def _in_this_context() -> Iterator[None]:
    with warnings.catch_warnings():
        _ignore_syntax_warnings()
        yield


def _ignore_syntax_warnings() -> None:
    warnings.simplefilter("ignore", SyntaxWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
