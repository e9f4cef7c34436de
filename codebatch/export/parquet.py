"""Records of one kind as a Parquet file, written a row group at a time.

The columns are those of `tables`, typed. A field that is a number or a text becomes two columns:
``value`` holds the number, ``value_text`` the text. The same records give the same bytes with the
same version of pyarrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from codebatch.export.selection import ExportReport, Selection
from codebatch.export.tables import Column, columns_of, table_kind
from codebatch.export.text import unicode_text
from codebatch.model.errors import MissingExtraError
from codebatch.model.records import Record

ROW_GROUP = 65_536


class _Field(NamedTuple):
    """A Parquet column: its arrow type, and how its value comes out of a record."""

    name: str
    type: str
    nullable: bool
    value: Callable[[Record], object]


def write_parquet(selection: Selection, stream: BinaryIO) -> ExportReport:
    """Records of one kind, by task, shard and path."""
    pa, parquet = _pyarrow()
    kind = table_kind(selection)
    fields = [field for column in columns_of(kind) for field in _fields(column)]
    schema = pa.schema([pa.field(f.name, pa.type_for_alias(f.type), f.nullable) for f in fields])
    written = 0
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for records in _portions(selection.records()):
            arrays = [
                pa.array([field.value(record) for record in records], schema.field(index).type)
                for index, field in enumerate(fields)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            written += len(records)
    return ExportReport(written)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and 100 ms that no other format needs
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            "the format parquet needs pyarrow, which is not installed",
            hints=["install it: pip install 'codebatch[parquet]'"],
        ) from error
    return pa, parquet


def _portions(records: Iterator[Record]) -> Iterator[Sequence[Record]]:
    while portion := list(islice(records, ROW_GROUP)):
        yield portion


def _fields(column: Column) -> Iterator[_Field]:
    """One field, or for a number or a text two."""
    name, nullable = column.name, not column.required
    if column.types == ("string",):
        yield _Field(name, "string", nullable, lambda record: _text(record.get(name)))
    elif column.types == ("boolean",):
        yield _Field(name, "bool", nullable, lambda record: record.get(name))
    elif column.types == ("integer",):
        yield _Field(name, "int64", nullable, lambda record: record.get(name))
    else:
        yield _Field(name, "int64", nullable=True, value=lambda record: _number(record.get(name)))
        yield _Field(
            f"{name}_text", "string", nullable=True, value=lambda record: _words(record.get(name))
        )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _words(value: object) -> str | None:
    return None if _number(value) is not None else _text(value)


def _text(value: object) -> str | None:
    return None if value is None else unicode_text(value)
