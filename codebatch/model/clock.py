"""The one place that reads the wall clock, for documents, events and the age of files."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def now() -> str:
    """The time as ISO 8601 in UTC with microseconds, so that it sorts as text."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def now_ns() -> int:
    """The time in nanoseconds since 1970, as file systems count it."""
    return time.time_ns()


def is_time(text: str) -> bool:
    """Return whether the text is a time with its distance from UTC."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def seconds_since(moment: str) -> float:
    """Return the seconds since ``moment``, a time as `now` writes it; negative if it is to come."""
    return (datetime.now(timezone.utc) - datetime.fromisoformat(moment)).total_seconds()


def seconds() -> float:
    """The present in seconds since 1970, as file systems tell time."""
    return time.time()


def seconds_at(moment: str) -> float | None:
    """A time as `now` writes it, in seconds since 1970; None for a text that is none."""
    return datetime.fromisoformat(moment).timestamp() if is_time(moment) else None


def moment_at(nanoseconds: int) -> str:
    """A time in nanoseconds since 1970, as `now` writes it."""
    passed = timedelta(microseconds=nanoseconds // 1000)
    return (_EPOCH + passed).isoformat(timespec="microseconds")
