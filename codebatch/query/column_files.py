"""The columns of the outputs of shards, kept below ``indexes/columns``.

A file is a stream of Arrow, packed as a whole by LZ4: very many are read for one table, and this
takes a quarter of the time of Parquet.

A file is named by the digest of the outputs, the kind and the layout of its columns, so that equal
shards of many batches share one; so it has no task, shard or batch. It is derived: made when it is
first needed, used where its checksum, its schema, its size and the number of its rows are as can be
expected, else made again. Where the store cannot be written, there are none.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from codebatch.model.errors import StoreDamagedError, StoreWriteError
from codebatch.model.records import Plan, ShardState
from codebatch.query.shard_columns import ShardColumns, forms_of
from codebatch.runtime.lazy import lazily
from codebatch.store import StoreDirectory, read_intact, replacing

with lazily():
    import pyarrow as pa

_LEAST_BYTES = 2**16  # of a file, however small the outputs are
_CODEC = "lz4"
# Places of fields in the tables of Arrow's Message.fbs, from which a message is read.
_HEADER, _DATA, _COMPRESSION = 2, 1, 3


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
        most = _LEAST_BYTES + state.size
        data = read_intact(self._store.layout, self.path(kind, state), most)
        batch = None if data is None else _decoded(data, self.forms[kind], state)
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


def _decoded(data: bytes, form: ShardColumns, state: ShardState) -> pa.RecordBatch | None:
    """Return the records in a file if they are such as Arrow writes, as many as there should be,
    and not larger than they can be: whatever the file says, no more memory than that is taken.
    """
    most = _most_bytes(state)
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), _CODEC) as packed:
            stream = packed.read_buffer(most + 1)
        if len(stream) > most or not _is_unpacked(stream):
            return None
        reader = pa.ipc.open_stream(stream)
        if not reader.schema.equals(form.schema):
            return None
        batch = reader.read_next_batch()
        batch.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, StopIteration, struct.error):
        return None
    return batch if batch.num_rows == state.counts.by_kind.get(form.kind, 0) else None


def _is_unpacked(stream: pa.Buffer) -> bool:
    """Return True if no message has a body that is packed in itself: it could become any size."""
    for message in pa.ipc.MessageReader.open_stream(stream):
        if message.type == "schema":
            continue
        data = message.metadata
        header = _pointed(data, _place(data, _pointed(data, 0), _HEADER))
        if message.type == "dictionary":
            header = _pointed(data, _place(data, header, _DATA))
        elif message.type != "record batch":
            return False
        if _place(data, header, _COMPRESSION):
            return False
    return True


def _pointed(data: pa.Buffer, place: int) -> int:
    """Return the place to which one in a flatbuffer points."""
    return place + int(struct.unpack_from("<I", data, place)[0])


def _place(data: pa.Buffer, table: int, field: int) -> int:
    """Return where a field of a table is in a flatbuffer, 0 where the table has none."""
    offsets = table - int(struct.unpack_from("<i", data, table)[0])
    entry = 4 + 2 * field
    if entry >= struct.unpack_from("<H", data, offsets)[0]:
        return 0
    offset = int(struct.unpack_from("<H", data, offsets + entry)[0])
    return table + offset if offset else 0


def _encoded(made: pa.RecordBatch) -> pa.Buffer:
    stream = pa.BufferOutputStream()
    with (
        pa.CompressedOutputStream(stream, _CODEC) as packed,
        pa.ipc.new_stream(packed, made.schema) as writer,
    ):
        writer.write_batch(made)
    return stream.getvalue()
