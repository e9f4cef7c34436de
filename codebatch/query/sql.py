"""One SQL statement of the user over the index of batches, read-only and within limits.

It runs in a process of its own (`query.sql_process`), which is killed when it takes too
long, and when nobody wants the answer any more.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from codebatch.model.digest import Document
from codebatch.model.errors import (
    CodeBatchError,
    FilterInvalidError,
    MachineExhaustedError,
    MissingExtraError,
    SqlInvalidError,
    SqlTimeoutError,
    SqlTooLargeError,
)
from codebatch.processes.channel import BrokenChannelError, receive, send, start_process
from codebatch.query.fields import ADDED, check_choice, spelled
from codebatch.query.index import (
    CONTENT,
    Asked,
    Index,
    SegmentGoneError,
    database_uri,
    index_of,
    tables_in,
)
from codebatch.query.sql_process import DISK, DUCKDB, MEMORY, MEMORY_OF, SQLITE
from codebatch.query.sql_tables import BATCH, ID, Tables, View, views_of
from codebatch.runtime.lazy import lazily
from codebatch.status.batch_status import BatchStatus
from codebatch.status.contents import Content
from codebatch.store import StoreDirectory

with lazily():
    from codebatch.query import index_parquet

DEFAULT_TIMEOUT = 60.0
ENGINES = (SQLITE, DUCKDB)
SCHEMA_COLUMNS = ("table", "rows", "column", "type")
_MOST_NEAR = 3
_MOST_THREADS = 4
_LONGEST_NAME = 200
_UNKNOWN = re.compile(r"no such (table|column): (?:.*\.)?(.*)\Z", re.DOTALL)
_DENIED = re.compile(r"\A(not authorized|authorization denied|access to .* is prohibited)\Z")
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


@dataclass(frozen=True, repr=False)
class Question:
    """What statements are about: the batches, and with ``several`` a column ``batch`` that tells
    them apart; and what runs them.
    """

    store: StoreDirectory
    statuses: Sequence[BatchStatus]
    several: bool = False
    engine: str = SQLITE

    def __post_init__(self) -> None:
        check_choice("engine", self.engine, ENGINES)
        missing = self.engine == DUCKDB and not all(map(find_spec, ("duckdb", "pyarrow")))
        if missing:
            message = "the engine duckdb needs duckdb and pyarrow, which are not installed"
            raise MissingExtraError(message, hints=["pip install 'codebatch[sql]'"])

    @cached_property
    def views(self) -> Mapping[str, View]:
        """The tables."""
        return views_of([one.plan for one in self.statuses], several=self.several)

    @property
    def tables(self) -> Tables:
        """The columns of each table, with their types."""
        return {table: view.columns for table, view in self.views.items()}


def run_sql(question: Question, statement: str, timeout: float | None = None) -> SqlResult:
    """Run one statement. `SqlInvalidError` where SQLite refuses it.

    ``timeout`` is how many seconds to wait for it at most; None is the default, 0 no limit.
    """
    timeout = DEFAULT_TIMEOUT if timeout is None else timeout
    if not 0 <= timeout <= _LONGEST_TIMEOUT:
        raise FilterInvalidError("the time limit must be a number of seconds, or 0 for none")
    answers = _answers(question, spelled(statement), timeout)
    columns = _unique(cast("Sequence[str]", next(answers)))
    rows = (
        dict(zip(columns, map(_json_value, row), strict=True))
        for portion in answers
        for row in portion
    )
    return SqlResult(columns, rows)


def _answers(question: Question, statement: str, timeout: float) -> Iterator[list[Any]]:
    """Yield what `_answers_of_one` does, of the next segment where one is gone."""
    while True:
        with contextlib.suppress(SegmentGoneError):
            yield from _answers_of_one(question, statement, timeout)
            return


def _answers_of_one(question: Question, statement: str, timeout: float) -> Iterator[list[Any]]:
    """Yield the names of the columns, then rows in portions. The time that the one who reads them
    takes does not count.
    """
    left = timeout or None
    asked = Asked.of(question.statuses)
    with ExitStack() as stack:
        index = stack.enter_context(index_of(question.store, asked))
        request: dict[str, Any] = _described(question, asked, index)
        if question.engine == DUCKDB:
            scratch = stack.enter_context(TemporaryDirectory(prefix="codebatch-"))
            request |= _files(question, index, statement, Path(scratch))
        request |= {"statement": statement, "timeout": timeout}
        channel, process = stack.enter_context(_started())
        with contextlib.suppress(BrokenChannelError):  # whether it arrives, the answer tells
            send(channel, request)
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
                files = (index.path, *map(Path, request.get("files", {}).values()))
                if answer["kind"] == DISK and not all(one.exists() for one in files):
                    raise SegmentGoneError
                raise _refusal(answer["error"], answer["kind"], question)
            if "end" in answer:
                return
            yield answer["columns"] if "columns" in answer else answer["rows"]


def _described(question: Question, asked: Asked, index: Index) -> dict[str, object]:
    """Return what the process has to know: the segment, the views, and which contents batches
    have, as numbers: of the content, of its task and of its shard, one after the other.
    """
    return {
        "engine": question.engine,
        "threads": 1,
        "uri": database_uri(index.path),
        "content": CONTENT,
        "views": {
            table: [
                list(view.columns),
                [[part.held, _sources(part.columns)] for part in view.parts],
            ]
            for table, view in question.views.items()
        },
        "batches": [
            _held(batch_status, contents, index)
            for batch_status, contents in zip(asked.statuses, asked.contents, strict=True)
        ],
    }


def _files(question: Question, index: Index, statement: str, scratch: Path) -> dict[str, object]:
    """Return what DuckDB has to know besides: the files of the tables that a statement names, which
    are made if need be, and a folder for temporary files.
    """
    words = {*re.findall(r"\w+", statement.lower())}
    views = [view for table, view in question.views.items() if table.lower() in words]
    held = {part.held for view in views for part in view.parts}
    tables = {table: one for table, one in tables_in(index.segment).items() if table in held}
    files = index_parquet.parquet_files(question.store, index, tables.items(), scratch)
    return {
        "files": {table: str(path.absolute()) for table, path in files.items()},
        "scratch": str(scratch),
        "threads": min(os.cpu_count() or 1, _MOST_THREADS),
    }


def _sources(columns: Mapping[str, str]) -> dict[str, str]:
    """Return what a column is taken from: the records, ``r``, or where they belong, ``h``."""
    places = {name: f"h.{name}" for name in (*ADDED, BATCH)}
    return {**places, ID: "r.id", **{name: f'r."{held}"' for name, held in columns.items()}}


def _held(batch_status: BatchStatus, contents: Iterable[Content], index: Index) -> list[object]:
    tasks = {"": 0, **{task.id: n for n, task in enumerate(batch_status.plan.tasks, 1)}}
    shards = {shard_id: n for n, shard_id in enumerate(batch_status.shard_ids)}
    numbers = [
        number
        for one in contents
        for number in (index.numbers[one.key], tasks[one.task_id], shards[one.shard_id])
    ]
    return [batch_status.batch_id, list(tasks), list(shards), numbers]


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


def _refusal(reason: str, kind: str, question: Question) -> CodeBatchError:
    tables = question.tables
    if kind == MEMORY:
        most = f"{MEMORY_OF[question.engine] // 2**20} MiB"
        return SqlTooLargeError(f"SQL: the statement needs more than {most} of memory")
    if kind == DISK:
        return MachineExhaustedError(f"SQL: the database cannot use its files: {reason}")
    # What is not authorised SQLite does not say well.
    told = "only reading is allowed" if _DENIED.search(reason) else reason
    unknown = _UNKNOWN.match(reason)
    if unknown is None:
        hints = [f"the tables: {', '.join(tables)}"]
    elif unknown[1] == "table":
        hints = [f"the tables: {', '.join(_nearest_first(unknown[2], tables))}", _SHOW_COLUMNS]
    else:
        hints = _columns_like(unknown[2], tables)
    return SqlInvalidError(f"SQL: {told}", hints=hints)


_SHOW_COLUMNS = "see their columns: codebatch sql --schema"


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


def schema_rows(question: Question, table: str | None = None) -> list[Document]:
    """Return a row for each column of the tables, or of one: `SCHEMA_COLUMNS`."""
    tables = question.tables
    if table is not None:
        if table not in tables:
            raise _refusal(f"no such table: {table}", "", question)
        tables = {table: tables[table]}
    count = 'SELECT count(*) AS "rows" FROM "{}"'  # names are such that nothing has to be escaped
    counts = " UNION ALL ".join(map(count.format, tables))
    found = run_sql(question, counts, timeout=0).rows
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
