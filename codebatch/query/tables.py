"""Matching records as batches of columns, shard by shard: what `iter_records` gives, in its order.

A shard gives one batch, of its column files (`query.column_files`). Where columns cannot tell which
records match, or the kinds that are asked for have columns of one name and several types, the
records of the shard are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial

from codebatch.model.errors import StoreDamagedError
from codebatch.model.records import Record, ShardState
from codebatch.query.arrow import arrow_schema, rows_to_batch
from codebatch.query.column_files import ColumnFiles
from codebatch.query.column_filters import UndecidedError, matching_rows
from codebatch.query.columns import Column
from codebatch.query.fields import fields_of
from codebatch.query.filters import RecordFilter
from codebatch.query.records import FileLanguages, finished_shards, iter_records
from codebatch.query.shard_columns import LINE
from codebatch.runtime.lazy import lazily
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

with lazily():
    import pyarrow as pa
    import pyarrow.compute as pc


class Tables:
    """Matching records of a batch with the given columns."""

    def __init__(
        self,
        store: StoreDirectory,
        batch_status: BatchStatus,
        filters: RecordFilter,
        task_id: str | None,
        columns: Sequence[Column],
    ) -> None:
        self._store = store
        self._batch_status = batch_status
        self._filters = filters
        self._task_id = task_id
        self._columns = columns
        kinds = filters.kinds_in(fields_of(batch_status.plan))
        self._files = ColumnFiles(store, batch_status.plan, kinds)
        self._languages = FileLanguages(store, batch_status)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the records of each shard that has some: by task, shard, path."""
        shards = finished_shards(self._batch_status, self._filters, self._task_id)
        for task, shard_id, state in shards:
            batch = self._of_shard(task, shard_id, state)
            if batch.num_rows:
                yield batch

    def _of_shard(self, task: str, shard_id: str, state: ShardState) -> pa.RecordBatch:
        wanted = self._filters.kinds
        kinds = [one for one in state.counts.by_kind if wanted is None or one in wanted]
        if self._is_plain and all(kind in self._files.forms for kind in kinds):
            try:
                found = {kind: self._of_kind(kind, task, shard_id, state) for kind in kinds}
                return self._joined(found, {"task_id": task, "shard_id": shard_id})
            except (UndecidedError, StoreDamagedError):
                pass  # the records say which of them match, or what is wrong with one that does
        return rows_to_batch(self._rows(task, shard_id, state), self._columns)

    @cached_property
    def _schema(self) -> pa.Schema:
        return arrow_schema(self._columns)

    @cached_property
    def _is_plain(self) -> bool:
        """Whether each kind has its columns with the types that these have here."""
        types = {column.name: column.type for column in self._columns}
        every = (one for form in self._files.forms.values() for one in form.columns)
        return all(types.get(column.name, column.type) == column.type for column in every)

    def _of_kind(self, kind: str, task: str, shard_id: str, state: ShardState) -> pa.RecordBatch:
        batch_id = self._batch_status.batch_id
        read = partial(self._store.shards.read_outputs, batch_id, task, shard_id, state)
        batch = self._files.load(kind, state, read)
        languages = partial(self._languages.in_shard, shard_id)
        return matching_rows(batch, self._files.forms[kind], self._filters, languages)

    def _joined(
        self, found: Mapping[str, pa.RecordBatch], added: Mapping[str, str]
    ) -> pa.RecordBatch:
        """Return the records of several kinds in the order in which they are in the outputs."""
        schema = self._schema
        parts = [_with(batch, {**added, "kind": kind}, schema) for kind, batch in found.items()]
        if len(parts) == 1:
            return parts[0]
        lines = [number for batch in found.values() for number in batch[LINE.name].to_pylist()]
        order = pc.sort_indices(pa.array(lines, pa.int64()))
        whole = pa.Table.from_batches(parts, schema).unify_dictionaries().combine_chunks()
        (batch,) = whole.take(order).combine_chunks().to_batches() or [_empty(schema)]
        return batch

    def _rows(self, task: str, shard_id: str, state: ShardState) -> Iterator[Record]:
        """Yield the matching records of a shard; of a kind that is not known, what all have."""
        plan, batch_id = self._batch_status.plan, self._batch_status.batch_id
        only = BatchStatus(batch_id, plan, {task: {shard_id: state}})
        for record in iter_records(self._store, only, self._filters, task):
            if record["kind"] in self._files.forms:
                yield record
            else:
                yield {name: record[name] for name in ("kind", "path", "task_id", "shard_id")}


def _with(batch: pa.RecordBatch, added: Mapping[str, str], schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with all columns: what is added is the same in all rows, what is lacking is
    null.
    """
    zeros = pa.repeat(pa.scalar(0, pa.int32()), batch.num_rows)
    there = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name, value in added.items():
        there[name] = pa.DictionaryArray.from_arrays(
            zeros, pa.array([value], pa.string()), safe=False
        )
    arrays = [
        there[one.name] if one.name in there else pa.nulls(batch.num_rows, one.type)
        for one in schema
    ]
    return pa.record_batch(arrays, schema=schema)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.array([], one.type) for one in schema], schema=schema)
