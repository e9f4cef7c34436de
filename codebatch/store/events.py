"""The events of a batch: what happened, and when. For people and views; no result depends on them.

Lines that are no event, as a crash may leave them, are left out where they are read.
"""

from __future__ import annotations

import os

from codebatch.model.digest import Document, canonical_json
from codebatch.store.bounds import EVENTS_BYTES
from codebatch.store.door import ABSENT
from codebatch.store.files import append_line, reporting_read_errors
from codebatch.store.layout import Layout
from codebatch.store.parsing import parse_events

_RUN_STARTED = b'{"event":"run-started"'
_LATEST_BYTES = 128 * 1024


def append_event(layout: Layout, batch_id: str, event: Document) -> None:
    """Add one event."""
    append_line(layout.door, layout.events(batch_id), canonical_json(event))


def last_run_events(layout: Layout, batch_id: str) -> list[Document]:
    """Return the events since the last run started."""
    data = _end_of(layout, batch_id, EVENTS_BYTES)
    start = data.rfind(_RUN_STARTED)
    return parse_events(data[max(start, 0) :].splitlines()[1:])


def latest_events(layout: Layout, batch_id: str, size: int = _LATEST_BYTES) -> list[Document]:
    """The last events, of which there may be very many: those in so many bytes at the end."""
    return parse_events(_end_of(layout, batch_id, size).splitlines())


def _end_of(layout: Layout, batch_id: str, size: int) -> bytes:
    """The last lines, as many as are in so many bytes: there is no telling how long a file is."""
    path = layout.events(batch_id)
    try:
        with reporting_read_errors(path), layout.door.stream(path) as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - size))
            data = stream.read(size)
    except ABSENT:
        return b""
    return data if end <= size else data.partition(b"\n")[2]
