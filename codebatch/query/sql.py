"""One SQL statement of the user over the index of a batch, read-only and within a time limit.

The statement can read tables and call functions, nothing else: the database is opened
read-only, and what the statement would do is authorised while SQLite compiles it.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

from codebatch.digest import Document
from codebatch.errors import FilterInvalidError, SqlInvalidError, SqlTimeoutError
from codebatch.overview import BatchOverview
from codebatch.query.index import TABLES, open_index, spelled
from codebatch.store import StoreDirectory

DEFAULT_TIMEOUT = 60.0
_READING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
_REFUSED_FUNCTIONS = frozenset({"load_extension"})
_MAX_VALUE_BYTES = 64 * 2**20
_STEPS = 10_000
# Table-valued functions are made when they are first used, which is more than reading.
_FUNCTIONS = "SELECT 1 FROM json_each('[]'), json_tree('[]')"


@dataclass(frozen=True)
class SqlResult:
    """What a statement gave: the names of its columns, each once, and its rows."""

    columns: tuple[str, ...]
    rows: list[Document]


def run_sql(
    store: StoreDirectory,
    overview: BatchOverview,
    statement: str,
    timeout: float | None = None,
) -> SqlResult:
    """Run one statement. `SqlInvalidError` where SQLite refuses it.

    ``timeout`` is in seconds; None is the default.
    """
    timeout = DEFAULT_TIMEOUT if timeout is None else timeout
    if not 0 < timeout < math.inf:
        raise FilterInvalidError("the time limit must be a positive number of seconds")
    with open_index(store, overview) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        with contextlib.suppress(sqlite3.Error):  # an SQLite without JSON
            connection.execute(_FUNCTIONS)
        connection.set_authorizer(_authorize)
        deadline = time.monotonic() + timeout
        if hasattr(connection, "setlimit"):  # Python 3.11 and later
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            return _fetch(connection, spelled(statement))
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if time.monotonic() > deadline:
                message = f"the statement took longer than {timeout:g} s"
                raise SqlTimeoutError(message, hints=["give it more: --timeout"]) from error
            raise SqlInvalidError(f"SQL: {_reason(error)}", hints=_hints(error)) from error


def _fetch(connection: sqlite3.Connection, statement: str) -> SqlResult:
    cursor = connection.execute(statement)
    if cursor.description is None:
        raise ValueError("the statement gives no rows: only SELECT does")
    columns = _unique([str(column[0]) for column in cursor.description])
    rows = [dict(zip(columns, map(_json_value, row), strict=True)) for row in cursor]
    return SqlResult(columns, rows)


def _authorize(action: int, _first: str | None, second: str | None, *_where: str | None) -> int:
    allowed = action in _READING and second not in _REFUSED_FUNCTIONS
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _reason(error: Exception) -> str:
    """What SQLite says; what is not authorised it does not say well."""
    text = str(error)
    return "only reading is allowed" if text == "not authorized" else text


def _hints(error: Exception) -> list[str]:
    """The tables, with their columns where a name is not known."""
    tables = {name: columns for name, columns in TABLES.items() if name != "meta"}
    if "no such" in str(error):
        return [f"{name}: {', '.join(columns)}" for name, columns in tables.items()]
    return [f"the tables: {', '.join(tables)}"]


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
