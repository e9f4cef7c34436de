"""The conditions of `RecordFilter` over columns, with the same answers as over records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce

from codebatch.query.filters import RecordFilter
from codebatch.query.shard_columns import ShardColumns
from codebatch.runtime.lazy import lazily

with lazily():
    import pyarrow as pa
    import pyarrow.compute as pc

_SPELLED = "\\ud"  # how the text of a lone surrogate begins in a column
_EXACT = 2.0**53  # integers below are what they were as doubles
_LEAST, _MOST = -(2**63), 2**63 - 1


class UndecidedError(Exception):
    """Columns do not say which records match: these have to be asked."""


def matching_rows(
    batch: pa.RecordBatch,
    form: ShardColumns,
    filters: RecordFilter,
    languages: Callable[[], Mapping[str, str]],
) -> pa.RecordBatch:
    """Return the rows that fulfil every condition; `UndecidedError` where that is not known of one.
    ``languages`` gives those of the files by path.
    """
    masks = []
    for name, test in filters.text_tests.items():
        column = next((one for one in form.columns if one.name == name), None)
        if column is None or (form.own is not None and name in form.own):
            raise UndecidedError
        masks.append(_mask(batch.column(name), test))
    if filters.language is not None:
        masks.append(_mask(batch.column("path"), _language_test(filters, languages())))
    if filters.min is not None or filters.max is not None:
        masks.append(_within(batch.column("value"), filters.min, filters.max))
    whole = reduce(pc.and_, masks) if masks else None
    if whole is None or whole.true_count == len(whole):
        return batch
    return _without_unused(batch.filter(whole))


def _mask(column: pa.Array, test: Callable[[str], bool]) -> pa.Array:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    if any(_SPELLED in value for value in values):
        raise UndecidedError
    kept = pa.array([test(value) for value in values], pa.bool_())
    return pc.fill_null(kept.take(encoded.indices), fill_value=False)


def _language_test(filters: RecordFilter, known: Mapping[str, str]) -> Callable[[str], bool]:
    def test(path: str) -> bool:
        if path not in known:
            raise UndecidedError
        return filters.matches_language(known[path])

    return test


def _within(column: pa.Array, least: float | None, most: float | None) -> pa.Array:
    """Return which numbers are in bounds, as Python compares them."""
    if pa.types.is_integer(column.type):
        least = _LEAST if least is None or least <= _LEAST else least
        most = _MOST if most is None or most >= _MOST else most
        if least > _MOST or most < _LEAST:
            return pa.array([False] * len(column), pa.bool_())
        low, high = pa.scalar(math.ceil(least), pa.int64()), pa.scalar(math.floor(most), pa.int64())
    else:
        if not pc.all(pc.less(pc.abs(column), _EXACT), min_count=0).as_py():
            raise UndecidedError
        low = pa.scalar(-math.inf if least is None else float(least))
        high = pa.scalar(math.inf if most is None else float(most))
    fits = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
    return pc.fill_null(fits, fill_value=False)


def _without_unused(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows with dictionaries of what is in them."""
    arrays = [
        one.dictionary_decode().dictionary_encode() if pa.types.is_dictionary(one.type) else one
        for one in batch.columns
    ]
    return pa.record_batch(arrays, schema=batch.schema)
