"""The one place that reads the wall clock, for snapshot and batch documents and events."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """The time as ISO 8601 in UTC with microseconds, so that it sorts as text."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def seconds_since(moment: str) -> float:
    """How long ago ``moment`` was, a time as `now` writes it; negative if it is to come."""
    return (datetime.now(timezone.utc) - datetime.fromisoformat(moment)).total_seconds()
