"""The tables of a segment as Parquet, for DuckDB: made of the segment, so that both hold the same.

A table that a statement does not name is not made. Columns have the types of the tables; where one
has none, or holds numbers that its type cannot, it is of numbers if all its values are, else text.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebatch.model.errors import StoreDamagedError, StoreWriteError
from codebatch.query.fields import INTEGER, REAL, TEXT
from codebatch.query.index import CONTENT, Index, database_uri
from codebatch.query.sql_tables import Columns
from codebatch.runtime.lazy import lazy
from codebatch.store import StoreDirectory, is_intact, replacing
from codebatch.store.layout import SEGMENT_BYTES

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet
else:
    pa = lazy("pyarrow")
    parquet = lazy("pyarrow.parquet")

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
        if is_intact(store.layout, path, SEGMENT_BYTES):
            return path
        with contextlib.suppress(StoreWriteError, StoreDamagedError):
            with replacing(store.layout, path) as made:
                _write(index, table, columns, made.path)
            return path
    _write(index, table, columns, scratch / path.name)
    return scratch / path.name


def _write(index: Index, table: str, columns: Columns, path: Path) -> None:
    """Fill a file with the rows of a table, by content and id."""
    uri = database_uri(index.path)
    every = {CONTENT: INTEGER, "id": INTEGER, **columns}
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
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
    if declared == TEXT:
        return pa.string()
    (types,) = database.execute(
        f'SELECT group_concat(DISTINCT typeof("{column}")) FROM "{table}"'  # noqa: S608 - checked names
    ).fetchone()
    found = {*(types or "").split(",")} - {"", "null"}
    if declared == REAL or (found and found <= {"integer", "real"} and "real" in found):
        return pa.float64()
    return pa.int64() if found <= {"integer"} else pa.string()


def _value(column: str, of_type: Any) -> str:
    """Return what SQLite gives for a column of such a type."""
    named = f'"{column}"'
    if pa.types.is_string(of_type):
        return f"CAST({named} AS TEXT)"
    return f"CAST({named} AS REAL)" if pa.types.is_floating(of_type) else named
