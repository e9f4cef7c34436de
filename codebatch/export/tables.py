r"""Records of one kind as a flat table: the columns of a query, typed by the schema of the kind.

CSV is that of RFC 4180: a header, lines that end in CR LF, quotes doubled, UTF-8 without a byte
order mark. An absent field is empty; NUL, which readers stumble over, is ``\u0000``.

Parquet is written a row group at a time. The value of a metric becomes two columns: ``value`` holds
the number, ``value_text`` the text. The same records give the same bytes with the same version of
pyarrow.

Fields of kinds that tasks have of their own have the types that the plan says: lists of one type
are lists in Parquet; dicts, other lists, and all of them in CSV, are JSON; a field of several types
is text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, cast

from codebatch.export.selection import ExportReport, Selection
from codebatch.export.text import unicode_text
from codebatch.model.digest import Document, canonical_json
from codebatch.model.errors import MissingExtraError, UsageError
from codebatch.model.field_types import alternatives
from codebatch.model.records import KINDS, Plan, Record
from codebatch.model.resources import load_schema
from codebatch.query.fields import fields_of, own_fields, record_columns, types_in
from codebatch.query.filters import has_own_metrics

ROW_GROUP = 65_536

_JSON_TYPES: dict[type, str] = {str: "string", bool: "boolean", int: "integer"}
_WORDS = {"str": "string", "bool": "boolean", "int": "integer", "float": "number"}
_ARROW = {
    "string": "string",
    "boolean": "bool",
    "integer": "int64",
    "number": "double",
    **{f"array of {item}": f"array of {item}" for item in _WORDS.values()},
}


@dataclass(frozen=True)
class Column:
    """A field of the records of a kind; ``types`` are JSON Schema's, and ``array of`` one of them;
    ``required``: never absent.
    """

    name: str
    types: tuple[str, ...]
    required: bool


def columns_of(kind: str, plan: Plan) -> tuple[Column, ...]:
    """The columns of a query for the kind: its fields, then what a reader adds."""
    own = own_fields(plan.tasks).get(kind)
    found = _columns_of_schema(kind, plan) if own is None else _own_columns(own)
    return tuple(
        found.get(name, Column(name, ("string",), required=True))
        for name in record_columns([kind], fields_of(plan))
    )


def _own_columns(types: Mapping[str, str]) -> dict[str, Column]:
    return {
        name: Column(name, (_type_of(words),), "None" not in alternatives(words))
        for name, words in types.items()
    }


def _type_of(words: str) -> str:
    """Return the type of a field by that which the plan says; text where it has several."""
    types = types_in(words)
    if types == {"int", "float"}:
        return "number"
    (only,) = types if len(types) == 1 else ("",)
    if only.startswith("list[") and only[5:-1] in _WORDS:
        return f"array of {_WORDS[only[5:-1]]}"
    return _WORDS.get(only, "string")


def _columns_of_schema(kind: str, plan: Plan) -> dict[str, Column]:
    schema = load_schema(f"record.{kind}")
    properties = cast("dict[str, Document]", schema["properties"])
    required = {*cast("list[str]", schema["required"])}
    types = {name: _types(rule) for name, rule in properties.items()}
    if kind == "metric" and not any(map(has_own_metrics, plan.tasks)):
        types["value"] = ("integer", "string")
    return {name: Column(name, types[name], name in required) for name in properties}


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
    return _plain(value).replace("\0", "\\u0000")


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
    columns = columns_of(table_kind(selection), selection.batch_status.plan)
    fields = [f for column in columns for f in _fields(column)]
    schema = pa.schema([pa.field(f.name, _arrow_type(pa, f.type), f.nullable) for f in fields])
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
    elif column.types == ("array of string",):
        yield _Field(name, name, *column.types, nullable, _texts)
    elif len(column.types) == 1:
        yield _Field(name, name, _ARROW[column.types[0]], nullable, lambda value: value)
    else:
        numbers = "double" if "number" in column.types else "int64"
        yield _Field(name, name, numbers, nullable=True, convert=_number)
        yield _Field(f"{name}_text", name, "string", nullable=True, convert=_words)


def _arrow_type(pa: Any, name: str) -> Any:
    """Return the type of Arrow with a name of `_ARROW`."""
    _, is_array, item = name.partition("array of ")
    return pa.list_(pa.type_for_alias(_ARROW[item])) if is_array else pa.type_for_alias(name)


def _number(value: object) -> int | float | None:
    return value if isinstance(value, int | float) else None


def _words(value: object) -> str | None:
    return None if _number(value) is not None else _text(value)


def _text(value: object) -> str | None:
    return None if value is None else _plain(value)


def _texts(value: list[object] | None) -> list[str] | None:
    return None if value is None else [unicode_text(item) for item in value]


def _plain(value: object) -> str:
    """Return a value as text: what is no text is JSON."""
    return unicode_text(value) if isinstance(value, str) else canonical_json(value).decode()


def _types(rule: Document) -> tuple[str, ...]:
    stated = rule.get("type")
    if isinstance(stated, list):
        return tuple(stated)
    if isinstance(stated, str):
        return (stated,)
    values = cast("list[object]", rule.get("enum", [rule.get("const")]))
    return tuple(sorted({_JSON_TYPES[type(value)] for value in values}))
