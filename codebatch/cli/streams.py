"""Standard streams of a command: what cannot be written is an error on stdout and lost on stderr.

A reader of stdout that has gone wants no more, which is no error (`ReaderGoneError`). Anything else
that keeps data from stdout is one (`StdoutError`), reported once: later writes go nowhere, or the
interpreter would stumble over what is still buffered when it exits. Messages on stderr are for
whoever listens; that nobody can must never stop work.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from codebatch.model.errors import OutputError

_STDIN, _STDOUT, _STDERR = range(3)


class ReaderGoneError(Exception):
    """The other end of the pipe that is stdout has been closed."""


class StdoutError(OutputError):
    """Standard output takes no more data."""


class _Raw(io.FileIO):
    """A descriptor that stays open; one that does not block is waited for."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: Any) -> int:
        """Write some of the data; how many bytes."""
        written = cast("int | None", super().write(data))
        while written is None:  # whoever shares the descriptor made it non-blocking
            poll = select.poll()
            poll.register(self.fileno(), select.POLLOUT)
            poll.poll()
            written = cast("int | None", super().write(data))
        return written


class _Output(_Raw):
    """State: ``error`` is the first that was met; from then on data goes nowhere."""

    error: Exception | None = None

    def write(self, data: Any) -> int:
        """Write some of the data, or raise what is to be reported."""
        if self.error is not None:
            return len(data)
        with self._failing():
            return super().write(data)

    def settle(self) -> None:
        """Have the file system say what it has put off so far."""
        if self.error is None:
            with self._failing():
                os.close(os.dup(self.fileno()))  # NFS tells of a full disk when a file is closed

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.EPIPE:
                self.error = ReaderGoneError()
            else:
                self.error = StdoutError(f"cannot write the output: {error.strerror or error}")
            raise self.error from error


class _Messages(_Raw):
    def write(self, data: Any) -> int:
        """Write some of the data, or drop all of it."""
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(data)


def plug() -> None:
    """Open the standard streams that whoever started us has closed.

    Otherwise the next file that is opened gets the number of one, and what is printed goes there.
    Nothing can be read from stdin then, nothing is written to stdout, and stderr is dropped.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        if not _is_open(number):
            os.set_inheritable(os.open(os.devnull, flags), True)  # noqa: FBT003 - its only form
    if sys.stdout is None:
        sys.stdout = _text(_Raw(_STDOUT))
    if sys.stderr is None:
        sys.stderr = _text(_Raw(_STDERR))


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """For a block, have stdout and stderr fail in the way that the module says."""
    stdout, stderr = sys.stdout, sys.stderr
    if _output() is not None:  # a block around this one has seen to it
        yield
        return
    sys.stdout, sys.stderr = _wrapped(stdout, _Output), _wrapped(stderr, _Messages)
    try:
        yield
    finally:
        with contextlib.suppress(ReaderGoneError, StdoutError):
            sys.stdout.flush()
        sys.stdout, sys.stderr = stdout, stderr


def settle() -> None:
    """Raise `ReaderGoneError` or `StdoutError` unless all that was printed has been taken."""
    sys.stdout.flush()
    output = _output()
    if output is not None:
        output.settle()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _output() -> _Output | None:
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Output) else None


def _wrapped(stream: TextIO, raw: type[_Raw]) -> TextIO:
    """The stream by way of the class; as it is where no descriptor is behind it."""
    try:
        stream.flush()
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return stream
    return _text(raw(descriptor), stream.encoding)


def _text(raw: _Raw, encoding: str | None = None) -> TextIO:
    # A narrow encoding escapes what it lacks.
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding or "utf-8", "backslashreplace")
