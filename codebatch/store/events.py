"""The events of a batch: what happened, and when. For people and views; no result depends on them.

Lines that are no event, as a crash may leave them, are left out where they are read.
"""

from __future__ import annotations

import os

from codebatch.digest import Document, canonical_json
from codebatch.store.files import append_line, read_file, reporting_read_errors
from codebatch.store.layout import Layout
from codebatch.store.parsing import parse_events

_RUN_STARTED = b'{"event":"run-started"'
_LATEST_BYTES = 128 * 1024


def append_event(layout: Layout, batch_id: str, event: Document) -> None:
    """Add one event."""
    append_line(layout.events(batch_id), canonical_json(event))


def last_run_events(layout: Layout, batch_id: str) -> list[Document]:
    """What happened since the last run started."""
    data = read_file(layout.events(batch_id)) or b""
    start = data.rfind(_RUN_STARTED)
    return parse_events(data[max(start, 0) :].splitlines()[1:])


def latest_events(layout: Layout, batch_id: str, size: int = _LATEST_BYTES) -> list[Document]:
    """The last events, of which there may be very many: those in so many bytes at the end."""
    path = layout.events(batch_id)
    try:
        with reporting_read_errors(path), open(path, "rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - size))
            lines = stream.read().splitlines()
    except FileNotFoundError:
        return []
    return parse_events(lines if end <= size else lines[1:])
