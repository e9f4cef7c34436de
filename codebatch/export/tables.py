r"""Records of one kind as a flat table: the columns of a query, typed by the schema of the kind.

CSV is that of RFC 4180: a header, lines that end in CR LF, quotes doubled, UTF-8 without a byte
order mark. An absent field is empty; NUL, which readers stumble over, is ``\u0000``.

Parquet is written a row group at a time. A field that is a number or a text becomes two columns:
``value`` holds the number, ``value_text`` the text. The same records give the same bytes with
the same version of pyarrow.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, cast

from codebatch.export.selection import ExportReport, Selection
from codebatch.export.text import unicode_text
from codebatch.model.digest import Document
from codebatch.model.errors import MissingExtraError, UsageError
from codebatch.model.records import KINDS, Record
from codebatch.model.resources import load_schema
from codebatch.query.fields import record_columns

ROW_GROUP = 65_536

_JSON_TYPES: dict[type, str] = {str: "string", bool: "boolean", int: "integer"}


@dataclass(frozen=True)
class Column:
    """A field of the records of a kind; ``types`` are JSON Schema's, ``required``: never absent."""

    name: str
    types: tuple[str, ...]
    required: bool


def columns_of(kind: str) -> tuple[Column, ...]:
    """The columns of a query for the kind: its fields, then what a reader adds."""
    schema = load_schema(f"record.{kind}")
    properties = cast("dict[str, Document]", schema["properties"])
    required = {*cast("list[str]", schema["required"])}
    return tuple(
        Column(name, _types(properties[name]), name in required)
        if name in properties
        else Column(name, ("string",), required=True)
        for name in record_columns([kind])
    )


def table_kind(selection: Selection) -> str:
    """The one kind of the selected records; an error where several would mix."""
    possible = selection.filters.kinds
    if possible is None:
        possible = frozenset(selection.batch_status.counts(selection.task_id).by_kind)
    kinds = [kind for kind in KINDS if kind in possible]
    if len(kinds) == 1:
        return kinds[0]
    found = ", ".join(kinds) or "no records at all"
    raise UsageError(
        f"a table holds records of one kind, and there are {found}",
        hints=[f"choose one with --kind: {', '.join(kinds or KINDS)}"],
        details={"kinds": kinds},
    )


def write_csv(selection: Selection, stream: BinaryIO) -> ExportReport:
    """Records of one kind, by task, shard and path."""
    names = [column.name for column in columns_of(table_kind(selection))]
    line = io.StringIO(newline="")
    write_row = csv.writer(line).writerow
    write_row(names)
    written = 0
    for record in selection.records():
        write_row([_cell(record.get(name)) for name in names])
        stream.write(_drained(line))
        written += 1
    stream.write(_drained(line))
    return ExportReport(written)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return unicode_text(value).replace("\0", "\\u0000")


def _drained(line: io.StringIO) -> bytes:
    data = line.getvalue().encode("utf-8")
    line.seek(0)
    line.truncate()
    return data


class _Field(NamedTuple):
    """A Parquet column: its arrow type, and how its value comes out of a field of records."""

    name: str
    source: str
    type: str
    nullable: bool
    convert: Callable[[Any], object]


def write_parquet(selection: Selection, stream: BinaryIO) -> ExportReport:
    """Records of one kind, by task, shard and path."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and 100 ms that no other format needs
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            "the format parquet needs pyarrow, which is not installed",
            hints=["install it: pip install 'codebatch[parquet]'"],
        ) from error
    fields = [f for column in columns_of(table_kind(selection)) for f in _fields(column)]
    schema = pa.schema([pa.field(f.name, pa.type_for_alias(f.type), f.nullable) for f in fields])
    written = 0
    found: Iterator[Record] = selection.records()
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        while records := list(islice(found, ROW_GROUP)):
            arrays = [
                pa.array([f.convert(record.get(f.source)) for record in records], of_type)
                for f, of_type in zip(fields, schema.types, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            written += len(records)
    return ExportReport(written)


def _fields(column: Column) -> Iterator[_Field]:
    """One field, or for a number or a text two."""
    name, nullable = column.name, not column.required
    if column.types == ("string",):
        yield _Field(name, name, "string", nullable, _text)
    elif column.types in (("boolean",), ("integer",)):
        arrow = "bool" if column.types == ("boolean",) else "int64"
        yield _Field(name, name, arrow, nullable, lambda value: value)
    else:
        yield _Field(name, name, "int64", nullable=True, convert=_number)
        yield _Field(f"{name}_text", name, "string", nullable=True, convert=_words)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _words(value: object) -> str | None:
    return None if _number(value) is not None else _text(value)


def _text(value: object) -> str | None:
    return None if value is None else unicode_text(value)


def _types(rule: Document) -> tuple[str, ...]:
    stated = rule.get("type")
    if isinstance(stated, list):
        return tuple(stated)
    if isinstance(stated, str):
        return (stated,)
    values = cast("list[object]", rule.get("enum", [rule.get("const")]))
    return tuple(sorted({_JSON_TYPES[type(value)] for value in values}))
