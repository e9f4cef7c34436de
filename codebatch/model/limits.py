"""Limits on a task: how long it may take for one file, and how much memory; sizes as text.

They are in no key and no record: they decide when a file is quarantined, not what is found in one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from codebatch.model.errors import UsageError

DEFAULT_FILE_SECONDS = 120.0
LEAST_MEMORY_BYTES = 2**26

_TIMEOUT_VARIABLE = "CODEBATCH_FILE_TIMEOUT"
_MEMORY_VARIABLE = "CODEBATCH_MEMORY_LIMIT"
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_POWERS = " kmgt"


class Limits(NamedTuple):
    """The limits of a worker process; 0 is none.

    ``file_seconds`` is for one task on one file. ``memory_bytes`` is what the process may take
    beyond what it has before it works; None is half of the memory there is where it runs.
    """

    file_seconds: float = DEFAULT_FILE_SECONDS
    memory_bytes: int | None = None

    def seconds_for(self, files: int) -> float:
        """Return how long a step may take that looks at so many files at once; 0 is no limit.

        A tool that takes them together is fast on each: a second is granted for every further one.
        """
        return self.file_seconds + files - 1 if files and self.file_seconds else 0


def choose_limits(
    file_timeout: float | None = None,
    memory_limit: int | str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Limits:
    """Return the limits that are given, else those of the environment, else the default."""
    seconds: float | str = environment.get(_TIMEOUT_VARIABLE) or DEFAULT_FILE_SECONDS
    if file_timeout is not None:
        seconds = file_timeout
    size = environment.get(_MEMORY_VARIABLE) or None if memory_limit is None else memory_limit
    return Limits(_seconds(seconds), None if size is None else _memory(size))


def parse_size(value: int | str) -> int | None:
    """Return a number of bytes, given as a number or as text: ``2GiB``, ``512M``, ``1.5g``; units
    are powers of 1024. None for ``none``.
    """
    text = str(value).strip()
    if text.lower() == "none":
        return None
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"not a size: {value}", hints=["give bytes, or a unit: 512MiB, 2GiB; or none"]
        )
    return int(float(found[1]) * 1024 ** _POWERS.index(found[2].lower() or " "))


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
