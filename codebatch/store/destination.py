"""Files outside a store that somebody names to have something written to them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from codebatch.model.errors import OutputError, UsageError


@contextlib.contextmanager
def writing_file(name: str) -> Iterator[BinaryIO]:
    """A stream to a file that is no part of a store: a device as it is, or a file that appears
    when all of it is written. `OutputError` where that cannot be.
    """
    if not name:
        raise UsageError("the name of the file to write is empty")
    real = os.path.realpath(name)
    try:
        if os.path.exists(name) and not os.path.isfile(name):
            with open(name, "wb") as stream:
                yield stream
        else:
            with _replacing(real) as stream:
                yield stream
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith((name, real)):
            raise  # reading the store went wrong, not writing the file
        raise OutputError(
            f"cannot write {name}: {error.strerror or error}",
            hints=["name a file in a folder that exists and may be written to"],
            details={"errno": error.errno},
        ) from error


@contextlib.contextmanager
def new_file(name: str) -> Iterator[BinaryIO]:
    """A stream to a file that is made, and was not there before; `OutputError` otherwise."""
    try:
        with open(name, "xb") as stream:
            yield stream
    except OSError as error:
        reason = error.strerror or str(error)
        details = {"errno": error.errno}
        raise OutputError(f"cannot write {name}: {reason}", details=details) from error


def check_writable(name: str) -> None:
    """Raise what `writing_file` would raise later; nothing is changed."""
    if not name or "\0" in name:
        raise OutputError(f"no file can have the name {name!r}", hints=["is a variable not set?"])
    with contextlib.suppress(_OnlyAskedError), writing_file(name):
        raise _OnlyAskedError


class _OnlyAskedError(Exception):
    """Ends a file before it appears."""


@contextlib.contextmanager
def _replacing(path: str) -> Iterator[BinaryIO]:
    temporary = f"{path}.{os.urandom(6).hex()}.tmp"
    try:
        with open(temporary, "xb") as stream:
            yield stream
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
