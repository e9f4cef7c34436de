r"""Records as columns of Arrow: what type a column has, and rows that become columns.

Text that cannot be encoded is spelled as in JSON: a byte of a path that is not UTF-8 is ``\udcXX``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from codebatch.model.digest import canonical_json
from codebatch.model.errors import MissingExtraError, StoreDamagedError
from codebatch.model.records import Record
from codebatch.query.columns import ARRAY, BOOLEAN, INTEGER, NUMBER, STRING, Column
from codebatch.query.fields import flat, spelled
from codebatch.runtime.lazy import lazily

with lazily():
    import pyarrow as pa

_ALIASES = {STRING: "string", BOOLEAN: "bool", INTEGER: "int64", NUMBER: "double"}
_TYPES: Mapping[str, type] = {BOOLEAN: bool, INTEGER: int}


def require_arrow(what: str) -> None:
    """Raise `MissingExtraError` where pyarrow, which something needs, is not installed."""
    try:
        importlib.import_module("pyarrow")
    except ImportError as error:
        message = f"{what} needs pyarrow, which is not installed"
        raise MissingExtraError(message, hints=["pip install 'codebatch[parquet]'"]) from error


def arrow_type(column: Column) -> pa.DataType:
    """Return the type of a column: of a category a dictionary."""
    if column.is_category:
        return pa.dictionary(pa.int32(), pa.string())
    item = column.type.removeprefix(ARRAY)
    plain = pa.type_for_alias(_ALIASES[item])
    return plain if item == column.type else pa.list_(plain)


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the schema of a table: the same for any records, also for none."""
    return pa.schema([pa.field(one.name, arrow_type(one), not one.required) for one in columns])


def rows_to_batch(records: Iterable[Record], columns: Sequence[Column]) -> pa.RecordBatch:
    """Return checked records as columns; `StoreDamagedError` where a value is not of the type of
    its column.
    """
    rows = [*map(flat, records)]
    try:
        arrays = [_array(column, [row.get(column.name) for row in rows]) for column in columns]
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise StoreDamagedError(f"a record is not what the format says: {error}") from error
    return pa.record_batch(arrays, schema=arrow_schema(columns))


def _array(column: Column, values: list[Any]) -> pa.Array:
    item = column.type.removeprefix(ARRAY)
    convert = _CONVERT[item]
    if item != column.type:
        lists = [None if value is None else [convert(one) for one in value] for value in values]
        return pa.array(lists, arrow_type(column))
    found = [None if value is None else convert(value) for value in values]
    if column.is_category:
        return pa.array(found, pa.string()).dictionary_encode()
    return pa.array(found, arrow_type(column))


def _exactly(of_type: type) -> Callable[[Any], object]:
    def check(value: Any) -> object:
        if type(value) is not of_type:
            raise TypeError(f"a value is {type(value).__name__}, not {of_type.__name__}")
        return value

    return check


def text_of_value(value: object) -> str:
    """Return a value as text: what is no text is JSON."""
    return spelled(value) if isinstance(value, str) else canonical_json(value).decode()


_CONVERT: Mapping[str, Callable[[Any], object]] = {
    STRING: text_of_value,
    NUMBER: float,
    **{name: _exactly(of_type) for name, of_type in _TYPES.items()},
}
