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
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from codebatch.export.selection import ExportReport, Selection
from codebatch.model.errors import UsageError
from codebatch.model.records import KINDS
from codebatch.query import arrow
from codebatch.query.columns import columns_of
from codebatch.query.fields import fields_of, flat
from codebatch.runtime.lazy import lazily

with lazily():
    import pyarrow as pa
    from pyarrow import parquet

    from codebatch.query import tables

ROW_GROUP = 65_536


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
    return arrow.text_of_value(value).replace("\0", "\\u0000")


def _drained(line: io.StringIO) -> bytes:
    data = line.getvalue().encode("utf-8")
    line.seek(0)
    line.truncate()
    return data


def write_parquet(selection: Selection, stream: BinaryIO) -> ExportReport:
    """Records of one kind, by task, shard and path: the columns of `Records.to_arrow`."""
    arrow.require_arrow("the format parquet")
    columns = columns_of(table_kind(selection), selection.batch_status.plan)
    schema = arrow.arrow_schema(columns)
    written = 0
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for group in _row_groups(
            tables.Tables(
                selection.store,
                selection.batch_status,
                selection.filters,
                selection.task_id,
                columns,
            ).batches(),
            schema,
        ):
            writer.write_table(group)
            written += group.num_rows
    return ExportReport(written)


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield all rows in tables of `ROW_GROUP` rows each but the last. The dictionaries of each have
    what is in it, in order, so that the same rows give the same bytes however shards cut them.
    """
    plain = pa.schema(
        [
            field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
            for field in schema
        ]
    )
    held = plain.empty_table()
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).cast(plain)])
        while held.num_rows >= ROW_GROUP:
            yield held.slice(0, ROW_GROUP).combine_chunks().cast(schema)
            held = held.slice(ROW_GROUP)
    if held.num_rows:
        yield held.combine_chunks().cast(schema)
