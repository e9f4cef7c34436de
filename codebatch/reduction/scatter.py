"""The records that a batch task finishes with, as the outputs of its shards.

What a task finishes with is packed as ``[[path, records], …]`` in the order of paths, where
``records`` is MessagePack of those of one file, in the order in which the task gave them. Each
file has to be one of the snapshot. Findings get the fingerprints that those of other tasks have:
from the text of their lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import msgpack

from codebatch.model.record_lines import FileLines
from codebatch.model.records import (
    COMPUTED,
    MEMO_HIT,
    Counts,
    InputFile,
    Plan,
    PlannedShard,
    Record,
    ShardState,
    path_key,
)
from codebatch.shard.outputs import TaskOutputs
from codebatch.tasks.base import Task
from codebatch.tasks.levels import NO_LEVELS, Levels, with_levels
from codebatch.tasks.records import with_fingerprints
from codebatch.tasks.source import SourceFile

ReadObject = Callable[[str, int], bytes]
LoadInputs = Callable[[PlannedShard], list[InputFile]]


def pack_records(code: Task, finished: Iterable[object]) -> bytes:
    """Return what a task finishes with, checked and packed; `MisfitError` for what is no record."""
    found: dict[str, list[bytes]] = {}
    for record in _checked(code, finished):
        path = str(record.pop("path"))
        found.setdefault(path, []).append(_packb(record))
    ordered = sorted(found, key=path_key)
    return _packb([[path, _packb(found[path])] for path in ordered])


def is_packed(data: bytes) -> bool:
    """Return whether bytes have the form of what `pack_records` gives."""
    try:
        return all(
            type(path) is str and all("kind" in _unpackb(one) for one in _unpackb(records))
            for path, records in _unpackb(data)
        )
    except (ValueError, TypeError):
        return False


def _checked(code: Task, finished: Iterable[object]) -> Iterator[Record]:
    """The records one by one: all of them at once may be too much."""
    for item in finished:
        yield from code.forms.records([item])


def _packb(value: object) -> bytes:
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed


def _unpackb(data: bytes) -> Any:
    return msgpack.unpackb(data, unicode_errors="surrogatepass", strict_map_key=False)


class Scattered:
    """The records of a batch task by file, with the levels of its plan. State: ``_packed``, those
    of each file, by path.
    """

    def __init__(self, packed: bytes, levels: object = None) -> None:
        self._packed: dict[str, bytes] = dict(_unpackb(packed))
        self._said = levels
        self._levels = Levels.from_document(levels) if isinstance(levels, Mapping) else NO_LEVELS

    def strangers(self, plan: Plan, load_inputs: LoadInputs) -> list[str]:
        """Return the paths that are not in the snapshot, in order."""
        left = set(self._packed)
        for shard in plan.shards if left else ():
            left.difference_update(file.path for file in load_inputs(shard))
        return sorted(left, key=path_key)

    def outputs(
        self,
        shard: PlannedShard,
        inputs: Iterable[InputFile],
        code: Task,
        read: ReadObject,
        *,
        computed: bool,
    ) -> tuple[bytes, ShardState]:
        """Return the lines of a shard with their state, its attempt and times left open."""
        collected = TaskOutputs()
        origin = COMPUTED if computed else MEMO_HIT
        for file in inputs:
            collected.add([file], self._lines(file, code, read), origin)
        return collected.finish(len(shard.shard_id))

    def _lines(self, file: InputFile, code: Task, read: ReadObject) -> FileLines:
        packed = self._packed.get(file.path)
        if packed is None:
            return _NOTHING
        records = [_unpackb(one) for one in _unpackb(packed)]
        source = SourceFile.stored(
            partial(read, file.object, file.size), file.size, file.language, file.facets
        )
        records = with_fingerprints(records, lambda: source.lines)
        if self._levels:
            records = with_levels(records, self._said, self._levels.of_path(file.path))
        return FileLines(code.forms.lines(records), Counts.of(records))


_NOTHING = FileLines(b"", Counts())
