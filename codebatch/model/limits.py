"""How long a task may take for one file, and how much memory it may use.

They are in no key and no record: they decide when a file is given up, not what is found in one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from codebatch.model.errors import UsageError
from codebatch.model.sizes import parse_size

DEFAULT_FILE_SECONDS = 120.0
LEAST_MEMORY_BYTES = 2**26

_TIMEOUT_VARIABLE = "CODEBATCH_FILE_TIMEOUT"
_MEMORY_VARIABLE = "CODEBATCH_MEMORY_LIMIT"


class Limits(NamedTuple):
    """The limits of a worker process; 0 is none.

    ``file_seconds`` is for one task on one file. ``memory_bytes`` is what the process may take
    beyond what it has before it works; None is half of the memory there is where it runs.
    """

    file_seconds: float = DEFAULT_FILE_SECONDS
    memory_bytes: int | None = None

    def seconds_for(self, files: int) -> float:
        """How long a step may take that looks at so many files at once; 0 is without end.

        A tool that takes them together is fast on each: a second is granted for every further one.
        """
        return self.file_seconds + files - 1 if files and self.file_seconds else 0


def choose_limits(
    file_timeout: float | None = None,
    memory_limit: int | str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Limits:
    """What was asked for, else what the environment says, else the default."""
    seconds: float | str = environment.get(_TIMEOUT_VARIABLE) or DEFAULT_FILE_SECONDS
    if file_timeout is not None:
        seconds = file_timeout
    size = environment.get(_MEMORY_VARIABLE) or None if memory_limit is None else memory_limit
    return Limits(_seconds(seconds), None if size is None else _memory(size))


def _memory(value: int | str) -> int:
    size = parse_size(value) or 0
    if 0 < size < LEAST_MEMORY_BYTES:
        raise UsageError(
            f"too small a limit of memory: {value}",
            hints=[f"give at least {LEAST_MEMORY_BYTES // 2**20}MiB, or 0 for no limit"],
        )
    return size


def _seconds(value: float | str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(
            f"not a number of seconds: {value}", hints=["give seconds, or 0 for no limit"]
        )
    return seconds
