r"""The SQL index of a batch: its records as tables of an SQLite database.

Derived from the committed outputs, built when it is first needed and used as long as the batch
is what it was made from: its ``meta`` table names the result digest (of an unfinished batch, a
digest over the states of its shards) and the layout of the tables. One that is damaged, of
another state or of another layout is built again; where the store cannot be written, it is
built in a temporary folder and removed after use. Each kind that a task has of its own has a table:
its name is that of the kind and an ``s``, and where that is taken, the kind's.

Text in it is spelled as in JSON where it could not be encoded: a byte of a path that is not
UTF-8 is ``\udcXX``.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from codebatch.model.digest import canonical_json, digest_document
from codebatch.model.errors import StoreDamagedError, StoreWriteError
from codebatch.model.records import Plan, Record
from codebatch.query.fields import (
    ADDED,
    FIELDS,
    FILE_FIELDS,
    INTEGER,
    TEXT,
    fields_of,
    flat,
    spelled,
)
from codebatch.query.records import iter_records
from codebatch.query.views import file_rows
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory, is_intact, replacing

_ADDED = dict.fromkeys(ADDED, TEXT)
_TABLE_OF_KIND = {
    "diagnostic": "diagnostics",
    "symbol": "symbols",
    "edge": "edges",
    "metric": "metrics",
    "patch": "patches",
    "artifact": "artifacts",
    "suppression": "suppressions",
}
# Column types of each table; `id` is the same number in `records` and in the table of the kind.
TABLES: dict[str, dict[str, str]] = {
    "meta": {"key": TEXT, "value": TEXT},
    "files": {n: INTEGER if n in ("size", "records", "diagnostics") else TEXT for n in FILE_FIELDS},
    "records": {"path": TEXT, **_ADDED, "kind": TEXT, "json": TEXT},
    **{table: {**FIELDS[kind], **_ADDED} for kind, table in _TABLE_OF_KIND.items()},
}
_INDEXED = ("path", "code", "name", "metric")

Tables = Mapping[str, Mapping[str, str]]


def table_names(plan: Plan) -> dict[str, str]:
    """Return the table of each kind that has one."""
    names = dict(_TABLE_OF_KIND)
    taken = {*TABLES}
    for kind in sorted(fields_of(plan).keys() - FIELDS.keys()):
        more = (f"{kind}_{number}" for number in itertools.count(2))
        candidates = itertools.chain((f"{kind}s", kind), more)
        names[kind] = next(name for name in candidates if name not in taken)
        taken.add(names[kind])
    return names


def tables_of(plan: Plan) -> Tables:
    """Return the columns of each table of the index of a batch."""
    fields = fields_of(plan)
    own = {
        table: {**fields[kind], **_ADDED}
        for kind, table in table_names(plan).items()
        if kind not in _TABLE_OF_KIND
    }
    return {**TABLES, **own}


def _schema(tables: Tables) -> Iterator[str]:
    """The statements that make the tables, then their indexes. Names are such that nothing in them
    has to be escaped: the plan has been checked.
    """
    for table, columns in tables.items():
        declared = ", ".join(f'"{name}" {kind}'.rstrip() for name, kind in columns.items())
        yield f"CREATE TABLE {_quoted(table)} (id INTEGER PRIMARY KEY, {declared})"
    for table, columns in tables.items():
        for column in _INDEXED:
            if column in columns:
                yield f'CREATE INDEX "{table}_{column}" ON {_quoted(table)} ("{column}")'


def _quoted(table: str) -> str:
    # A table of a task's own kind may be named like a word of SQL.
    return table if table in TABLES else f'"{table}"'


_INT64 = 2**63
_MOST_BYTES = 2**34  # of an index: to look through more takes longer than to build it
_PORTION = 10_000
_LONGEST_META = 1_000


@contextlib.contextmanager
def index_file(store: StoreDirectory, batch_status: BatchStatus) -> Iterator[Path]:
    """The index of the batch as it is now, built where it is not; it is there during the block."""
    path = store.layout.sql_index(batch_status.batch_id)
    with contextlib.ExitStack() as stack:
        if not _is_current(store, path, batch_status):
            try:
                with replacing(store.layout, path) as index:
                    _make(index.path, store, batch_status)
            except (StoreWriteError, StoreDamagedError):
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="codebatch-"))
                path = Path(folder) / path.name
                path.touch()
                _make(path, store, batch_status)
        yield path


def _is_current(store: StoreDirectory, path: Path, batch_status: BatchStatus) -> bool:
    """Return true if the index is as it would be built: its tables, and what they were made from.

    A store may come from anybody, so that anything may be called a table: only what is looked at
    in this order takes no more time than a look.
    """
    if not is_intact(store.layout, path, min(_MOST_BYTES, 2**26 + 64 * batch_status.output_bytes)):
        return False
    # A foreign view must not be queried.
    expected = tuple(_schema(tables_of(batch_status.plan)))
    schema = "SELECT substr(sql, 1, ?) FROM sqlite_master ORDER BY rowid LIMIT ?"
    longest = max(map(len, expected)) + 1
    meta = "SELECT key, substr(value, 1, ?) FROM meta LIMIT 10"
    uri = database_uri(path)
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as found:
            made = tuple(sql for (sql,) in found.execute(schema, (longest, len(expected) + 1)))
            return made == expected and dict(found.execute(meta, (_LONGEST_META,))) == _meta(
                batch_status
            )
    except sqlite3.Error:
        return False


def _meta(batch_status: BatchStatus) -> dict[str, str]:
    """Return what a current index is made from, and how."""
    states = [
        [task, shard, None if state is None else [state.status, state.digest]]
        for task, shards in batch_status.states.items()
        for shard, state in shards.items()
    ]
    source = batch_status.result or digest_document("states", states)
    layout = digest_document("sql-index", [3, tables_of(batch_status.plan), _INDEXED])
    return {"batch_id": batch_status.batch_id, "layout": layout, "source": source}


def database_uri(path: Path) -> str:
    """Return the URI with which SQLite opens an index."""
    # The file is replaced as a whole, never changed: immutable spares SQLite its locks, which
    # a read-only file system would refuse.
    return f"{path.as_uri()}?mode=ro&immutable=1"


def _make(path: Path, store: StoreDirectory, batch_status: BatchStatus) -> None:
    """Fill an empty file, which SQLite must not make: it could be made anywhere by then."""
    tables = tables_of(batch_status.plan)
    statements = tuple(_schema(tables))
    try:
        uri = f"{path.as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as database:
            for setting in ("journal_mode = OFF", "synchronous = OFF"):
                database.execute(f"PRAGMA {setting}")
            database.execute("BEGIN")
            for statement in statements[: len(tables)]:
                database.execute(statement)
            _insert(database, "meta", [(None, *row) for row in _meta(batch_status).items()])
            files = file_rows(store, batch_status)
            _insert(database, "files", [(None, *_values(row, FILE_FIELDS)) for row in files])
            _insert_records(database, batch_status.plan, iter_records(store, batch_status))
            for statement in statements[len(tables) :]:
                database.execute(statement)
            database.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise StoreWriteError(f"cannot write below {path.parent}: {error}") from error


def _insert_records(database: sqlite3.Connection, plan: Plan, records: Iterable[Record]) -> None:
    names, fields = table_names(plan), fields_of(plan)
    rows: dict[str, list[tuple[object, ...]]] = {
        table: [] for table in ("records", *names.values())
    }

    def flush() -> None:
        for table, portion in rows.items():
            _insert(database, table, portion)
            portion.clear()

    for number, record in enumerate(records):
        task, shard, kind = record.pop("task_id"), record.pop("shard_id"), str(record["kind"])
        line = canonical_json(record).decode()
        rows["records"].append((number, *_values(record, ("path",)), task, shard, kind, line))
        if kind in names:
            values = _values(flat(record), fields[kind])
            rows[names[kind]].append((number, *values, task, shard))
        if number % _PORTION == 0:
            flush()
    flush()


def _insert(database: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        database.executemany(f"INSERT INTO {_quoted(table)} VALUES ({marks})", rows)  # noqa: S608 - checked names


def _values(record: Mapping[str, object], fields: Iterable[str]) -> Iterator[object]:
    return (_stored_value(record.get(field)) for field in fields)


def _stored_value(value: object) -> object:
    """Return the value that SQLite holds for one of JSON."""
    if isinstance(value, str):
        return spelled(value)
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return float(value)
    if isinstance(value, list | dict):
        return canonical_json(value).decode()
    return value
