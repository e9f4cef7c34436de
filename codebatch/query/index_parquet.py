"""The tables of a segment as Parquet, for DuckDB: made of the segment, so that both hold the same.

A table that a statement does not name is not made. Columns have the types of the tables. One that
has none is text, whatever its values are, as else a batch would be answered about by what others
hold; values of metrics alone are numbers. Of integers one that is beyond 64 bits makes the column
floating.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from codebatch.model.errors import StoreDamagedError, StoreWriteError
from codebatch.query.fields import ANY, INTEGER, REAL
from codebatch.query.index import CONTENT, Index, SegmentGoneError, database_uri
from codebatch.query.sql_tables import BUILT_IN, Columns
from codebatch.runtime.lazy import lazily
from codebatch.store import StoreDirectory, is_intact, replacing
from codebatch.store.layout import SEGMENT_BYTES

with lazily():
    import pyarrow as pa
    from pyarrow import parquet

_GROUP_ROWS = 50_000


def parquet_files(
    store: StoreDirectory, index: Index, tables: Iterable[tuple[str, Columns]], scratch: Path
) -> dict[str, Path]:
    """Return the files of tables of a segment, made where they are not: in the folder ``scratch``
    where the store cannot be written.
    """
    return {table: _file_of(store, index, table, columns, scratch) for table, columns in tables}


def _file_of(
    store: StoreDirectory, index: Index, table: str, columns: Columns, scratch: Path
) -> Path:
    path = store.layout.segment_table(index.path.stem, table)
    if index.is_kept:
        if is_intact(store.layout, path, SEGMENT_BYTES) and _is_of(index, table, columns, path):
            return path
        with contextlib.suppress(StoreWriteError, StoreDamagedError):
            with replacing(store.layout, path) as made:
                _write(index, table, columns, made.path)
            return path
    _write(index, table, columns, scratch / path.name)
    return scratch / path.name


def _is_of(index: Index, table: str, columns: Columns, path: Path) -> bool:
    """Return True if a file has the columns and as many rows as the table: anybody can make one
    with a right checksum.
    """
    try:
        with parquet.ParquetFile(path) as found:
            fields, count = found.schema_arrow, found.metadata.num_rows
    except (OSError, pa.ArrowException):
        return False
    expected = _columns(columns)
    if fields.names != [*expected]:
        return False
    with _reading(index) as database:
        (rows,) = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608 - a checked name
    types = (field.type in _types(table, expected[field.name]) for field in fields)
    return bool(count == rows) and all(types)


def _columns(columns: Columns) -> Columns:
    return {CONTENT: INTEGER, "id": INTEGER, **columns}


@contextlib.contextmanager
def _reading(index: Index) -> Iterator[sqlite3.Connection]:
    """Yield the segment's database; `SegmentGoneError` where it is no more."""
    try:
        uri = database_uri(index.path)
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            yield database
    except sqlite3.OperationalError:
        if index.path.exists():
            raise
        raise SegmentGoneError from None


def _write(index: Index, table: str, columns: Columns, path: Path) -> None:
    """Fill a file with the rows of a table, by content and id."""
    every = _columns(columns)
    with _reading(index) as database:
        schema = pa.schema(
            [(name, _arrow_type(database, table, name, kind)) for name, kind in every.items()]
        )
        chosen = ", ".join(_value(name, schema.field(name).type) for name in every)
        rows = database.execute(
            f'SELECT {chosen} FROM "{table}" ORDER BY "{CONTENT}", "id"'  # noqa: S608 - checked names
        )
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for portion in _portions(rows):
                arrays = [
                    pa.array(values, field.type)
                    for values, field in zip(zip(*portion, strict=True), schema, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def _portions(rows: sqlite3.Cursor) -> Iterator[list[Any]]:
    while portion := rows.fetchmany(_GROUP_ROWS):
        yield portion


def _arrow_type(database: sqlite3.Connection, table: str, column: str, declared: str) -> Any:
    possible = _types(table, declared)
    if len(possible) == 1:
        return possible[0]
    (types,) = database.execute(
        f'SELECT group_concat(DISTINCT typeof("{column}")) FROM "{table}"'  # noqa: S608 - checked names
    ).fetchone()
    found = {*(types or "").split(",")} - {"", "null"}
    return possible[0] if found <= {"integer"} else possible[1]


def _types(table: str, declared: str) -> tuple[Any, ...]:
    """Return the types that a column may have, the usual one first."""
    if declared == INTEGER:
        return pa.int64(), pa.float64()
    is_number = declared == REAL or (declared == ANY and table in BUILT_IN)
    return (pa.float64(),) if is_number else (pa.string(),)


def _value(column: str, of_type: Any) -> str:
    """Return what SQLite gives for a column of such a type."""
    named = f'"{column}"'
    if pa.types.is_string(of_type):
        return f"CAST({named} AS TEXT)"
    return f"CAST({named} AS REAL)" if pa.types.is_floating(of_type) else named
