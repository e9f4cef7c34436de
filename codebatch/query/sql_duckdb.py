"""DuckDB as the engine of a statement, within the process that runs it (`query.sql_process`).

DuckDB is set so that nothing outside can be reached, but for the Parquet files of the segment and
its temporary files, and so that no statement can change that. What a statement names is looked at
before it runs: the tables, its own expressions, and functions that compute.

Where that can be done, it answers as SQLite does: integers are divided as such, nulls come first,
truth values are 0 and 1, decimal numbers are floating ones, and what is neither a number, a text
nor bytes is its text.
"""

from __future__ import annotations

import contextlib
import decimal
import glob
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from codebatch.runtime.lazy import lazily

with lazily():
    import duckdb

_SELECTS = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_SOURCES = frozenset({"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST"})
_NODES = _SELECTS | _SOURCES | {"EMPTY", "EMPTY_FROM"}
_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
# Functions that tell of this process or of the settings, or that run text as a statement.
_REFUSED = re.compile(
    r"getenv|getvariable|current_setting|read_|glob\Z|sniff|query|pragma|duckdb_|pg_|which_|"
    r"write_|.*secret|import|export|http|nextval|currval|setseed|in_search_path|current_(?!date|time)|"
    r"has_.*privilege|txid|parse_duckdb|json_(execute_)?(de)?serialize|sleep|shobj|obj_|col_desc|"
    r"version\Z|user\Z|session_user|inet_|arrow_scan|parquet_|sqlite_|iceberg|load_|install"
)
_NAMES = "SELECT view_name FROM duckdb_views() UNION ALL SELECT table_name FROM duckdb_tables()"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_UNKNOWN_COLUMN = re.compile(
    r'.*(?:Referenced column "([^"]*)" (?:was )?not found'
    r'|does not have a column named "([^"]*)"'
    r'|Referenced table "([^"]*)" not found)',
    re.DOTALL,
)
_NO_MEMORY = re.compile(r"\bbad[ _]alloc")
_DAMAGED = re.compile(r'Invalid Input Error: Failed to read file "')
_HEADINGS = {"count_star()": "count(*)"}
_BY_ZERO = ("error_on_division_by_zero", "ieee_floating_point_ops")  # without: null, as in SQLite
_INT64 = 2**63
_ROWS = 1_000
_MEGABYTE = 2**20


class RefusedError(ValueError):
    """A statement that is not just a question to the tables."""


def open_database(request: Mapping[str, Any], memory: int, disk: int) -> duckdb.DuckDBPyConnection:
    """Return a database with the tables that a request describes, which can do nothing else."""
    database = duckdb.connect(":memory:", config={"allow_unsigned_extensions": "false"})
    settings = {
        "memory_limit": f"{memory // _MEGABYTE}MiB",
        "temp_directory": request["scratch"],
        "max_temp_directory_size": f"{disk // _MEGABYTE}MiB",
        "threads": request["threads"],
        "integer_division": True,
        "default_null_order": "nulls_first_on_asc_last_on_desc",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
        "enable_progress_bar": False,
    }
    for name, value in settings.items():
        _set(database, name, value)
    for name in _BY_ZERO:
        with contextlib.suppress(duckdb.CatalogException):  # a version that needs only the other
            _set(database, name, value=False)
    _make_views(database, request)
    files = request["files"].values()
    _set(database, "allowed_paths", sorted({*files, *map(glob.escape, files)}))
    _set(database, "enable_external_access", value=False)
    _set(database, "lock_configuration", value=True)
    return database


def _set(database: duckdb.DuckDBPyConnection, name: str, value: object) -> None:
    database.execute(f"SET {name} = {_literal(value)}")


def _literal(value: object) -> str:
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return "'" + str(value).replace("'", "''") + "'"


def _make_views(database: duckdb.DuckDBPyConnection, request: Mapping[str, Any]) -> None:
    secret = f"x{secrets.token_hex(16)}"
    database.execute(
        f"CREATE TABLE {secret} (content BIGINT, batch VARCHAR, task_id VARCHAR, shard_id VARCHAR)"
    )
    _fill(database, secret, request)
    for view, (columns, parts) in request["views"].items():
        selects = [
            _select(columns, names, f"{secret} AS h JOIN {_scan(path)} AS r", request["content"])
            for held, names in parts
            if (path := request["files"].get(held)) is not None
        ]
        if selects:
            # The secret is in the view's text, which no statement can read.
            database.execute(f'CREATE VIEW "{view}" AS {" UNION ALL ".join(selects)}')


def _fill(database: duckdb.DuckDBPyConnection, table: str, request: Mapping[str, Any]) -> None:
    """Say where contents belong: a list at a time, as rows one by one take long."""
    for batch, tasks, shards, contents in request["batches"]:
        database.execute(
            f"INSERT INTO {table} SELECT c, ?, (?::VARCHAR[])[t + 1], (?::VARCHAR[])[s + 1] FROM "  # noqa: S608 - a name of ours
            "(SELECT unnest(?::BIGINT[]) AS c, unnest(?::BIGINT[]) AS t, unnest(?::BIGINT[]) AS s)",
            [batch, tasks, shards, contents[::3], contents[1::3], contents[2::3]],
        )


def _scan(path: str) -> str:
    # Folders above a store may be called as those that DuckDB takes values from.
    options = "hive_partitioning = false, union_by_name = false, filename = false"
    return f"read_parquet({_literal(glob.escape(path))}, {options})"


def _select(columns: Sequence[str], names: Mapping[str, str], tables: str, content: str) -> str:
    chosen = ", ".join(f'{names.get(column, "NULL")} AS "{column}"' for column in columns)
    return f'SELECT {chosen} FROM {tables} ON r."{content}" = h.content'  # noqa: S608 - checked names


def check(database: duckdb.DuckDBPyConnection, statement: str, views: Mapping[str, Any]) -> None:
    """Raise `RefusedError` unless a statement is one SELECT over these views alone."""
    (text,) = database.execute("SELECT json_serialize_sql(?)", [statement]).fetchone() or ("",)
    tree = json.loads(text)
    if tree["error"]:
        message = str(tree["error_message"])
        is_other = message.startswith("Only SELECT")
        raise RefusedError(
            "only reading is allowed" if is_other else message.split("\n", maxsplit=1)[0]
        )
    if len(tree["statements"]) != 1:
        raise RefusedError("You can only execute one statement at a time.")
    nodes = list(_nodes(tree))
    tables = {view.lower() for view in views}
    expressions = {str(name).lower() for node in nodes for name in _expressions(node)}
    # Out of its scope such a name would be that of a view which tells of the database.
    there = database.execute(_NAMES).fetchall()
    if not expressions.isdisjoint({str(name).lower() for (name,) in there} - tables):
        raise RefusedError("only reading is allowed")
    for node in nodes:
        _check_node(node, tables | {name for name in expressions if _NAME.match(name)})


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield each object of a document."""
    pending = [tree]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield value
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def _expressions(node: Mapping[str, Any]) -> Iterator[object]:
    """Yield the names of the common table expressions of a SELECT."""
    cte_map = node.get("cte_map")
    if isinstance(cte_map, dict):
        yield from (entry.get("key") for entry in cte_map.get("map", ()))
    if node.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
        yield node.get("cte_name")


def _check_node(node: Mapping[str, Any], tables: set[str]) -> None:
    kind = node.get("type")
    if "sample" in node and kind not in _NODES:
        raise RefusedError("only reading is allowed")
    if kind == "BASE_TABLE":
        name = str(node.get("table_name", ""))
        if node.get("schema_name") or node.get("catalog_name") or name.lower() not in tables:
            raise RefusedError(f"no such table: {name}")
    function = node.get("function")
    if kind == "TABLE_FUNCTION" and isinstance(function, dict):
        name = str(function.get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise RefusedError("only reading is allowed")
    name = str(node.get("function_name", "")).lower()
    if _REFUSED.match(name) or node.get("schema") not in (None, "", "main"):
        raise RefusedError("only reading is allowed")


def headings(description: Sequence[Sequence[Any]]) -> list[str]:
    """Return the names of columns as SQLite has them, where that is known."""
    return [_HEADINGS.get(str(column[0]), str(column[0])) for column in description]


def rows_of(cursor: duckdb.DuckDBPyConnection) -> Iterator[list[object]]:
    """Yield the rows of an answer as they come."""
    while rows := cursor.fetchmany(_ROWS):
        yield from ([*map(_value_of, row)] for row in rows)


def _value_of(value: object) -> object:
    """Return a value as one of those that SQLite has."""
    if value is None or type(value) in (str, float, bytes):
        return value
    if isinstance(value, int):
        number = int(value)
        return number if -_INT64 <= number < _INT64 else float(number)
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)


def kind_of(error: Exception) -> str:
    """Return what kind of a failure it is, as `query.sql_process` calls them."""
    if isinstance(error, duckdb.OutOfMemoryException) or _NO_MEMORY.search(str(error)):
        return "memory"
    is_denied = "disabled" in str(error)
    if isinstance(error, duckdb.IOException) and not is_denied:
        return "disk"
    # A damaged file has an error of no class, or one that names it.
    return "disk" if type(error) is duckdb.Error or _DAMAGED.match(str(error)) else "invalid"


def reason_of(error: Exception) -> str:
    """Return what was wrong with a statement in one line, as SQLite says it where it can."""
    text = str(error)
    if unknown := _UNKNOWN_COLUMN.match(text):
        return f"no such column: {next(filter(None, unknown.groups()), '')}"
    return text.split("\n", maxsplit=1)[0]
