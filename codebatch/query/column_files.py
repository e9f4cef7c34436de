"""The columns of the outputs of shards, kept as Parquet below ``indexes/columns``.

A file is named by the digest of the outputs, the kind and the layout of its columns, so that equal
shards of many batches share one; so it has no task, shard or batch. It is derived: made when it is
first needed, used where its checksum, its schema, its size and the number of its rows are as can be
expected, else made again. Where the store cannot be written, there are none.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from codebatch.model.errors import StoreDamagedError, StoreWriteError
from codebatch.model.records import Plan, ShardState
from codebatch.query.shard_columns import ShardColumns, forms_of
from codebatch.runtime.lazy import lazy
from codebatch.store import StoreDirectory, read_intact, replacing

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet
else:
    pa = lazy("pyarrow")
    parquet = lazy("pyarrow.parquet")

_LEAST_BYTES = 2**16  # of a file, however small the outputs are
_CODEC = "LZ4"


class ColumnFiles:
    """Reads and makes the column files of the kinds of one plan.

    State: ``forms`` are the columns by kind; ``_is_kept`` is false once a file could not be
    written.
    """

    def __init__(self, store: StoreDirectory, plan: Plan, kinds: list[str]) -> None:
        self._store = store
        self.forms = forms_of(kinds, plan)
        self._is_kept = True

    def load(self, kind: str, state: ShardState, read: Callable[[], bytes]) -> pa.RecordBatch:
        """Return the records of a kind in the outputs of a shard, which ``read`` gives."""
        form = self.forms[kind]
        found = _opened(self._store, self.path(kind, state), form, state)
        batch = None if found is None else _decoded(found, form, _most_bytes(state))
        return self._make(kind, state, read) if batch is None else batch

    def path(self, kind: str, state: ShardState) -> Path:
        """Return where the column file is, or would be."""
        return self._store.layout.column_file(state.digest, kind, self.forms[kind].form)

    def _make(self, kind: str, state: ShardState, read: Callable[[], bytes]) -> pa.RecordBatch:
        made = self.forms[kind].read(read())
        if self._is_kept:
            try:
                with replacing(self._store.layout, self.path(kind, state)) as index:
                    index.write(_encoded(made))
            except (StoreWriteError, StoreDamagedError):
                self._is_kept = False
        return made


def _most_bytes(state: ShardState) -> int:
    """Return how many bytes the columns of outputs can take: `1,` in a list is a number of 8."""
    return _LEAST_BYTES + 8 * state.size


def _opened(
    store: StoreDirectory, path: Path, form: ShardColumns, state: ShardState
) -> parquet.ParquetFile | None:
    """Return a column file if it is intact, has as many rows as it should, and says that it is not
    larger than it can be.
    """
    data = read_intact(store.layout, path, _LEAST_BYTES + state.size)
    if data is None:
        return None
    try:
        found = parquet.ParquetFile(pa.BufferReader(data))
        said = found.metadata
        groups = [said.row_group(number) for number in range(said.num_row_groups)]
        chunks = [group.column(n) for group in groups for n in range(group.num_columns)]
    except (pa.ArrowException, OSError, ValueError):
        return None
    # This codec gives at most 255 times of what there is, whatever is said.
    is_bounded = {one.compression for one in chunks} <= {_CODEC} and sum(
        one.total_uncompressed_size for one in chunks
    ) <= _most_bytes(state)
    is_whole = said.num_rows == state.counts.by_kind.get(form.kind, 0)
    return found if is_whole and is_bounded else None


def _decoded(found: parquet.ParquetFile, form: ShardColumns, most: int) -> pa.RecordBatch | None:
    """Return the records if they are such as Arrow writes, and not larger than they can be."""
    try:
        table = found.read()
        table.validate(full=True)
        if not table.schema.equals(form.schema) or table.nbytes > most:
            return None
        batches = table.to_batches()
        if len(batches) != 1:
            batches = table.combine_chunks().to_batches()
    except (pa.ArrowException, OSError, ValueError):
        return None
    return batches[0] if len(batches) == 1 else None


def _encoded(made: pa.RecordBatch) -> bytes:
    """Return the file: quick to read before small, as very many are read for one table."""
    repeated = [one.name for one in made.schema if pa.types.is_dictionary(one.type)]
    stream = io.BytesIO()
    parquet.write_table(
        pa.Table.from_batches([made]),
        stream,
        compression=_CODEC,
        use_dictionary=[*repeated, "message"],
        write_statistics=repeated,
    )
    return stream.getvalue()
