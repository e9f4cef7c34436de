r"""Records of one kind as a flat table: the columns of a query, typed by the schema of the kind.

CSV is that of RFC 4180: a header, lines that end in CR LF, quotes doubled, UTF-8 without a byte
order mark. An absent field is empty; NUL, which readers stumble over, is ``\u0000``.

The value of a metric has two columns: ``value`` holds the number, ``value_text`` the text. Parquet
is written a row group at a time. The same records give the same bytes with the same version of
pyarrow.

Fields of kinds that tasks have of their own have the types that the plan says: lists of one type
are lists in Parquet; dicts, other lists, and all of them in CSV, are JSON; a field of several types
is text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from itertools import islice
from typing import Any, BinaryIO

from codebatch.export.selection import ExportReport, Selection
from codebatch.export.text import unicode_text
from codebatch.model.digest import canonical_json
from codebatch.model.errors import MissingExtraError, UsageError
from codebatch.model.records import KINDS
from codebatch.query.columns import ARRAY, BOOLEAN, INTEGER, NUMBER, STRING, columns_of
from codebatch.query.fields import fields_of, flat

ROW_GROUP = 65_536

_ARROW = {
    STRING: "string",
    BOOLEAN: "bool",
    INTEGER: "int64",
    NUMBER: "double",
    **{f"{ARRAY}{item}": f"{ARRAY}{item}" for item in (STRING, BOOLEAN, INTEGER, NUMBER)},
}


def table_kind(selection: Selection) -> str:
    """The one kind of the selected records; an error where several would mix."""
    possible = selection.filters.kinds
    if possible is None:
        possible = frozenset(selection.batch_status.counts(selection.task_id).by_kind)
    kinds = [kind for kind in fields_of(selection.batch_status.plan) if kind in possible]
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
    columns = columns_of(table_kind(selection), selection.batch_status.plan)
    names = [column.name for column in columns]
    line = io.StringIO(newline="")
    write_row = csv.writer(line).writerow
    write_row(names)
    written = 0
    for record in map(flat, selection.records()):
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
    return _plain(value).replace("\0", "\\u0000")


def _drained(line: io.StringIO) -> bytes:
    data = line.getvalue().encode("utf-8")
    line.seek(0)
    line.truncate()
    return data


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
    columns = columns_of(table_kind(selection), selection.batch_status.plan)
    fields = [pa.field(c.name, _arrow_type(pa, _ARROW[c.type]), not c.required) for c in columns]
    schema = pa.schema(fields)
    written = 0
    found = map(flat, selection.records())
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        while records := list(islice(found, ROW_GROUP)):
            arrays = [
                pa.array([_CONVERT.get(c.type, _as_it_is)(r.get(c.name)) for r in records], of_type)
                for c, of_type in zip(columns, schema.types, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            written += len(records)
    return ExportReport(written)


def _arrow_type(pa: Any, name: str) -> Any:
    """Return the type of Arrow with a name of `_ARROW`."""
    _, is_array, item = name.partition("array of ")
    return pa.list_(pa.type_for_alias(_ARROW[item])) if is_array else pa.type_for_alias(name)


def _text(value: object) -> str | None:
    return None if value is None else _plain(value)


def _texts(value: list[object] | None) -> list[str] | None:
    return None if value is None else [unicode_text(item) for item in value]


def _plain(value: object) -> str:
    """Return a value as text: what is no text is JSON."""
    return unicode_text(value) if isinstance(value, str) else canonical_json(value).decode()


def _as_it_is(value: object) -> object:
    return value


_CONVERT: dict[str, Callable[[Any], object]] = {STRING: _text, f"{ARRAY}{STRING}": _texts}
