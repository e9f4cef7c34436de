"""The process that runs a statement of the user: it can be killed, and has limits of its own.

SQLite can be interrupted between its steps only. A single one may take for ever (a pattern), or any
amount of memory (a width), so the one who waits for the answer has to be able to do without it.

The statement can read tables and call functions, nothing else: the database is opened read-only,
and what the statement would do is authorised while SQLite compiles it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from codebatch.processes.channel import BrokenChannelError, receive, send

MAX_MEMORY_BYTES = 512 * 2**20
_MAX_VALUE_BYTES = 64 * 2**20
_MAX_TEMPORARY_BYTES = 4 * 2**30
_SPARE_CPU_SECONDS = 10
_PORTION_ROWS = 1_000
_PORTION_BYTES = 2**20
_PORTION_SECONDS = 0.5
_READING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
_REFUSED_FUNCTIONS = frozenset({"load_extension"})
# Table-valued functions are made when they are first used, which is more than reading.
_FUNCTIONS = "SELECT 1 FROM json_each('[]'), json_tree('[]')"

INVALID, MEMORY, DISK = "invalid", "memory", "disk"
_DISK_ERRORS = ("disk I/O error", "database or disk is full", "unable to open database file")


def main(descriptor: int) -> None:
    """Answer the one request that comes over the socket, until its other end is closed."""
    channel = socket.socket(fileno=descriptor)
    request = receive(channel)
    threading.Thread(target=_end_with_owner, args=[channel], daemon=True).start()
    with contextlib.suppress(BrokenChannelError):
        for answer in _answers(request["uri"], request["statement"], request["timeout"]):
            send(channel, answer)


def _end_with_owner(channel: socket.socket) -> None:
    while channel.recv(1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _answers(uri: str, statement: str, timeout: float) -> Iterator[dict[str, Any]]:
    """The names of the columns, the rows in portions, and the end; or what went wrong."""
    try:
        _limit_process(timeout)
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as database:
            _limit(database)
            cursor = database.execute(statement)
            if cursor.description is None:
                raise ValueError("the statement gives no rows: only SELECT does")
            yield {"columns": [str(column[0]) for column in cursor.description]}
            for rows in _portions(cursor):
                yield {"rows": rows}
        yield {"end": True}
    except (MemoryError, sqlite3.Error, sqlite3.Warning, ValueError) as error:
        yield {"error": str(error), "kind": _kind(error)}


def _limit_process(timeout: float) -> None:
    """Set limits, so that the system ends this process should its owner be gone."""
    limits = {resource.RLIMIT_FSIZE: _MAX_TEMPORARY_BYTES}
    if timeout:
        limits[resource.RLIMIT_CPU] = int(timeout) + _SPARE_CPU_SECONDS
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (soft, hard))


def _limit(database: sqlite3.Connection) -> None:
    database.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    database.execute(f"PRAGMA hard_heap_limit = {MAX_MEMORY_BYTES}")
    database.execute("PRAGMA trusted_schema = OFF")
    with contextlib.suppress(sqlite3.Error):  # an SQLite without JSON
        database.execute(_FUNCTIONS)
    if hasattr(database, "setlimit"):  # Python 3.11 and later
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    database.set_authorizer(_authorize)


def _authorize(action: int, _first: str | None, second: str | None, *_where: str | None) -> int:
    allowed = action in _READING and second not in _REFUSED_FUNCTIONS
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _portions(cursor: sqlite3.Cursor) -> Iterator[list[Sequence[object]]]:
    rows: list[Sequence[object]] = []
    size, began = 0, time.monotonic()
    for row in cursor:
        rows.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        is_late = time.monotonic() - began > _PORTION_SECONDS
        if len(rows) >= _PORTION_ROWS or size >= _PORTION_BYTES or is_late:
            yield rows
            rows, size, began = [], 0, time.monotonic()
    yield rows


def _kind(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return MEMORY
    return DISK if str(error) in _DISK_ERRORS else INVALID
