"""The process that runs a statement of the user: it can be killed, and has limits of its own.

SQLite can be interrupted between its steps only. A single one may take for ever (a pattern), or any
amount of memory (a width), so the one who waits for the answer has to be able to do without it.

The statement can read tables and call functions, nothing else: the database is opened read-only,
and what the statement would do is authorised while SQLite compiles it. What it reads are views of
what the batches hold that it is about; a segment may hold more, which only views can reach whose
names cannot be guessed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from codebatch.processes.channel import BrokenChannelError, receive, send

_MEMORY_BYTES = 512 * 2**20
_DUCKDB_BYTES = 2**30  # it holds itself to the above, but for single values, lists and the like
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
_SCHEMAS = frozenset(
    f"sqlite_{temp}{name}" for temp in ("", "temp_") for name in ("master", "schema", "stat1")
)
_TABLE_FUNCTIONS = frozenset({"json_each", "json_tree"})
# Table-valued functions are made when they are first used, which is more than reading.
_FUNCTIONS = "SELECT 1 FROM json_each('[]'), json_tree('[]')"

SQLITE, DUCKDB = "sqlite", "duckdb"
MEMORY_OF = {SQLITE: _MEMORY_BYTES, DUCKDB: _DUCKDB_BYTES}
INVALID, MEMORY, DISK = "invalid", "memory", "disk"
# Besides the engine's own: what Python says of a statement that is nested too deep, or of a value
# that it has no room for.
_FAILURES = (
    *(MemoryError, sqlite3.Error, sqlite3.Warning),
    *(ValueError, OverflowError, RecursionError),
)
_DISK_ERRORS = ("disk I/O error", "database or disk is full", "unable to open database")


def main(descriptor: int) -> None:
    """Answer the one request that comes over the socket, until its other end is closed."""
    channel = socket.socket(fileno=descriptor)
    request = receive(channel)
    threading.Thread(target=_end_with_owner, args=[channel], daemon=True).start()
    with contextlib.suppress(BrokenChannelError):
        for answer in _answers(request):
            send(channel, answer)


def _end_with_owner(channel: socket.socket) -> None:
    while channel.recv(1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _answers(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The names of the columns, the rows in portions, and the end; or what went wrong."""
    try:
        _limit_process(request["timeout"], request["threads"])
        if request["engine"] == SQLITE:
            yield from _ask_sqlite(request)
        else:
            yield from _ask_duckdb(request)
        yield {"end": True}
    except _FAILURES as error:
        yield {"error": str(error), "kind": _kind(error)}


def _ask_sqlite(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    with contextlib.closing(
        sqlite3.connect(":memory:", uri=True, isolation_level=None)
    ) as database:
        database.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        database.execute(f"PRAGMA hard_heap_limit = {_MEMORY_BYTES}")
        _limit(database, _make_views(database, request))
        cursor = database.execute(request["statement"])
        if cursor.description is None:
            raise ValueError("the statement gives no rows: only SELECT does")
        yield {"columns": [str(column[0]) for column in cursor.description]}
        for rows in _portions(cursor):
            yield {"rows": rows}


def _ask_duckdb(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    import duckdb  # noqa: PLC0415 - an optional package

    from codebatch.query import sql_duckdb as engine  # noqa: PLC0415 - it needs that

    _set_limit(resource.RLIMIT_DATA, _DUCKDB_BYTES)
    try:
        with engine.open_database(request, _MEMORY_BYTES, _MAX_TEMPORARY_BYTES) as database:
            engine.check(database, request["statement"], request["views"])
            cursor = database.execute(request["statement"])
            yield {"columns": engine.headings(cursor.description or ())}
            for rows in _portions(engine.rows_of(cursor)):
                yield {"rows": rows}
    except duckdb.Error as error:
        yield {"error": engine.reason_of(error), "kind": engine.kind_of(error)}


class _Names(NamedTuple):
    """What a statement may read by name, the views by which the segment is read, and what else
    there is.
    """

    readable: frozenset[str]
    hidden: frozenset[str]
    others: frozenset[str]


def _make_views(database: sqlite3.Connection, request: Mapping[str, Any]) -> _Names:
    """Make the views over the segment, and return the names there are."""
    secret = f"x{secrets.token_hex(16)}"
    held = f'main."{secret}"'
    database.execute(f"ATTACH ? AS {secret}", [request["uri"]])
    database.execute(
        f"CREATE TABLE {held} (content INTEGER, batch TEXT, task_id TEXT, shard_id TEXT, "
        "PRIMARY KEY (content, batch)) WITHOUT ROWID"
    )
    database.executemany(f"INSERT INTO {held} VALUES (?, ?, ?, ?)", _held(request))  # noqa: S608 - a name of ours
    database.execute("PRAGMA analysis_limit = 1000")
    database.execute("ANALYZE main")
    for view, (columns, parts) in request["views"].items():
        selects = " UNION ALL ".join(
            _select(columns, names, f'{held} AS h JOIN {secret}."{table}" AS r', request["content"])
            for table, names in parts
        )
        database.execute(f'CREATE TEMP VIEW "{secret}_{view}" AS {selects}')
        database.execute(f'CREATE TEMP VIEW "{view}" AS SELECT * FROM "{secret}_{view}"')  # noqa: S608 - checked names
    hidden = frozenset(f"{secret}_{view}" for view in request["views"])
    readable = frozenset({*request["views"], *hidden, *_TABLE_FUNCTIONS})
    tables = database.execute(f"SELECT name FROM {secret}.sqlite_master WHERE type = 'table'")  # noqa: S608 - a name of ours
    others = frozenset(name for (name,) in tables) | _SCHEMAS
    return _Names(readable, hidden, others - readable)


def _select(columns: Sequence[str], names: Mapping[str, str], tables: str, content: str) -> str:
    """Return what takes these columns from a table of the segment, ``r``, and from ``h``, which
    says where contents belong. ``names`` has what they are called there.
    """
    chosen = ", ".join(f'{names.get(column, "NULL")} AS "{column}"' for column in columns)
    return f'SELECT {chosen} FROM {tables} ON r."{content}" = h.content'  # noqa: S608 - checked names


def _held(request: Mapping[str, Any]) -> Iterator[tuple[int, str, str, str]]:
    for batch, tasks, shards, contents in request["batches"]:
        for number, task, shard in zip(contents[::3], contents[1::3], contents[2::3], strict=True):
            yield number, batch, tasks[task], shards[shard]


def _limit_process(timeout: float, threads: int) -> None:
    """Set limits, so that the system ends this process should its owner be gone."""
    limits = {resource.RLIMIT_FSIZE: _MAX_TEMPORARY_BYTES, resource.RLIMIT_CORE: 0}
    if timeout:
        limits[resource.RLIMIT_CPU] = int(timeout) * threads + _SPARE_CPU_SECONDS
    for kind, most in limits.items():
        _set_limit(kind, most)


def _set_limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (soft, hard))


def _limit(database: sqlite3.Connection, names: _Names) -> None:
    """Allow no more than reading the views."""
    database.execute("PRAGMA trusted_schema = OFF")
    with contextlib.suppress(sqlite3.Error):  # an SQLite without JSON
        database.execute(_FUNCTIONS)
    if hasattr(database, "setlimit"):  # Python 3.11 and later
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)

    def authorize(action: int, first: str | None, second: str | None, *where: str | None) -> int:
        """Say whether a step may be; ``where`` ends with the innermost view that takes it."""
        allowed = action in _READING and second not in _REFUSED_FUNCTIONS
        if action == sqlite3.SQLITE_READ and where[-1] not in names.hidden:
            # Without a column it may be anything that has rows, as a common table expression.
            allowed = first in names.readable or (not second and first not in names.others)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    database.set_authorizer(authorize)


def _portions(cursor: Iterable[Sequence[object]]) -> Iterator[list[Sequence[object]]]:
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
    return DISK if str(error).startswith(_DISK_ERRORS) else INVALID
