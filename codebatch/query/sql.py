"""One SQL statement of the user over the index of a batch, read-only and within limits.

It runs in a process of its own (`query.sql_process`), which is killed when it takes too
long, and when nobody wants the answer any more.
"""

from __future__ import annotations

import contextlib
import math
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from codebatch.model.digest import Document
from codebatch.model.errors import (
    CodeBatchError,
    FilterInvalidError,
    MachineExhaustedError,
    SqlInvalidError,
    SqlTimeoutError,
    SqlTooLargeError,
)
from codebatch.processes.channel import BrokenChannelError, receive, send, start_process
from codebatch.query.fields import INTEGER, spelled
from codebatch.query.index import Tables, database_uri, index_file, tables_of
from codebatch.query.sql_process import DISK, MAX_MEMORY_BYTES, MEMORY
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

DEFAULT_TIMEOUT = 60.0
SCHEMA_COLUMNS = ("table", "rows", "column", "type")
_MOST_NEAR = 3
_LONGEST_NAME = 200
_UNKNOWN = re.compile(r"no such (table|column): (?:.*\.)?(.*)\Z", re.DOTALL)
_LONGEST_TIMEOUT = 10**9
_BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from codebatch.query.sql_process import main; main(int(sys.argv[1]))"
)


@dataclass(frozen=True)
class SqlResult:
    """The result of a statement: the names of its columns, each once, and its rows, which are
    read while it runs.
    """

    columns: tuple[str, ...]
    rows: Iterator[Document]


def run_sql(
    store: StoreDirectory,
    batch_status: BatchStatus,
    statement: str,
    timeout: float | None = None,
) -> SqlResult:
    """Run one statement. `SqlInvalidError` where SQLite refuses it.

    ``timeout`` is how many seconds to wait for it at most; None is the default, 0 no limit.
    """
    timeout = DEFAULT_TIMEOUT if timeout is None else timeout
    if not 0 <= timeout <= _LONGEST_TIMEOUT:
        raise FilterInvalidError("the time limit must be a number of seconds, or 0 for none")
    answers = _answers(store, batch_status, spelled(statement), timeout)
    columns = _unique(cast("Sequence[str]", next(answers)))
    rows = (
        dict(zip(columns, map(_json_value, row), strict=True))
        for portion in answers
        for row in portion
    )
    return SqlResult(columns, rows)


def _answers(
    store: StoreDirectory, batch_status: BatchStatus, statement: str, timeout: float
) -> Iterator[list[Any]]:
    """Yield the names of the columns, then rows in portions. The time that the one who reads them
    takes does not count.
    """
    left = timeout or None
    with index_file(store, batch_status) as path, _started() as (channel, process):
        with contextlib.suppress(BrokenChannelError):  # whether it arrives, the answer tells
            send(channel, {"uri": database_uri(path), "statement": statement, "timeout": timeout})
        while True:
            began = time.monotonic()
            channel.settimeout(left)
            try:
                answer = cast("dict[str, Any]", receive(channel))
            except TimeoutError:
                raise _too_slow(timeout) from None
            except BrokenChannelError:
                status = process.wait()
                if status == -signal.SIGXCPU:
                    raise _too_slow(timeout) from None
                how = f"signal {-status}" if status < 0 else f"exit code {status}"
                message = f"the process that ran the statement ended with {how}"
                raise MachineExhaustedError(message) from None
            if left is not None:
                left = max(left - (time.monotonic() - began), 0.001)
            if "error" in answer:
                raise _refusal(answer["error"], answer["kind"], tables_of(batch_status.plan))
            if "end" in answer:
                return
            yield answer["columns"] if "columns" in answer else answer["rows"]


@contextlib.contextmanager
def _started() -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """Yield the channel to a process that runs a statement, and the process, killed afterwards."""
    channel, process = start_process(_BOOT)
    with channel:
        try:
            yield channel, process
        finally:
            process.kill()
            process.wait()


def _too_slow(timeout: float) -> CodeBatchError:
    message = f"the statement took longer than {timeout:g} s"
    return SqlTimeoutError(message, hints=["give it more: --timeout"])


def _refusal(reason: str, kind: str, every: Tables) -> CodeBatchError:
    if kind == MEMORY:
        most = f"{MAX_MEMORY_BYTES // 2**20} MiB"
        return SqlTooLargeError(f"SQL: the statement needs more than {most} of memory")
    if kind == DISK:
        return MachineExhaustedError(f"SQL: SQLite cannot use its files: {reason}")
    # What is not authorised SQLite does not say well.
    told = "only reading is allowed" if reason == "not authorized" else reason
    tables = _readable(every)
    unknown = _UNKNOWN.match(reason)
    if unknown is None:
        hints = [f"the tables: {', '.join(tables)}"]
    elif unknown[1] == "table":
        hints = [f"the tables: {', '.join(_nearest_first(unknown[2], tables))}", _SHOW_COLUMNS]
    else:
        hints = _columns_like(unknown[2], tables)
    return SqlInvalidError(f"SQL: {told}", hints=hints)


_SHOW_COLUMNS = "see their columns: codebatch sql --schema"


def _readable(every: Tables) -> Tables:
    """Return the tables that statements are for."""
    return {name: {"id": INTEGER, **columns} for name, columns in every.items() if name != "meta"}


def _columns_like(name: str, tables: Tables) -> list[str]:
    """Return a line for each table, one with a column of a name like that first."""
    near = _nearest_first(name, {column: None for of_one in tables.values() for column in of_one})
    ranks = {column: rank for rank, column in enumerate(near)}
    lines = [
        (min(map(ranks.__getitem__, columns)), f"{table}: {', '.join(ordered)}")
        for table, columns in tables.items()
        for ordered in [sorted(columns, key=lambda one: min(ranks[one], _MOST_NEAR))]
    ]
    return [line for _, line in sorted(lines, key=lambda line: line[0])]


def _nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """Return the names, those that are most like one first."""
    import difflib  # noqa: PLC0415 - for what is wrong alone

    names = list(known)
    near = difflib.get_close_matches(name[:_LONGEST_NAME].lower(), names, _MOST_NEAR)
    return list(dict.fromkeys((*near, *names)))


def schema_rows(
    store: StoreDirectory, batch_status: BatchStatus, table: str | None = None
) -> list[Document]:
    """Return a row for each column of the tables, or of one: `SCHEMA_COLUMNS`."""
    tables = _readable(tables_of(batch_status.plan))
    if table is not None:
        if table not in tables:
            raise _refusal(f"no such table: {table}", "", tables)
        tables = {table: tables[table]}
    count = 'SELECT count(*) AS "rows" FROM "{}"'  # names are such that nothing has to be escaped
    counts = " UNION ALL ".join(map(count.format, tables))
    found = run_sql(store, batch_status, counts, timeout=0).rows
    return [
        {"table": name, "rows": counted["rows"], "column": column, "type": of_type}
        for (name, columns), counted in zip(tables.items(), found, strict=True)
        for column, of_type in columns.items()
    ]


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names with a number after those that occurred before."""
    taken: dict[str, None] = {}
    for name in names:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken[candidate] = None
    return tuple(taken)


def _json_value(value: object) -> object:
    """A value of SQLite as one of JSON: bytes as hex digits, infinity as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
