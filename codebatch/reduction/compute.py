"""Compute the value of one node: map, combine, finish. No store, no clock.

What a task raises is a `ReductionError`, which names the step and the prefix,
unless it says that this process ran short of something: for that, the node fails elsewhere too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from codebatch.model.digest import digest_bytes
from codebatch.model.errors import ShardFailedError, TaskFailedError
from codebatch.model.records import PlannedTask, Record
from codebatch.model.shortage import shortage_of
from codebatch.reduction import values
from codebatch.reduction.scatter import pack_records
from codebatch.reduction.tree import COMBINE, FINISH, MAP, children_of, combine_key, finish_key
from codebatch.shard.parcel import reader_of, task_from
from codebatch.store import StoredBytes
from codebatch.store.indexes.partials import Partial
from codebatch.tasks.base import Task
from codebatch.tasks.records import MisfitError
from codebatch.tasks.registry import task_of
from codebatch.tasks.rules import TASK_FAILED

T = TypeVar("T")

Lookup = Callable[[str], "Partial | None"]
Watch = Callable[[int], None]


class ReductionError(ShardFailedError):
    """A batch task failed: ``place`` is its id, the step and the prefix; ``code`` says how."""

    def __init__(self, place: tuple[str, str, str], what: str, code: str = TASK_FAILED) -> None:
        self.place = place
        task_id, step, prefix = place
        where = f" at prefix {prefix}" if prefix else ""
        super().__init__(f"task {task_id} failed in {step}{where}: {what}", code=code)

    def in_short(self) -> dict[str, object]:
        """The code and the message, and the place where it failed."""
        task_id, step, prefix = self.place
        return {**super().in_short(), "task_id": task_id, "step": step, "prefix": prefix}


class Part(NamedTuple):
    """What a node is made of: below a shard a leaf, else a value that other nodes gave.

    ``value`` is packed, None where it is to be computed: of a leaf, from ``lines``, those of its
    files in the order of paths, of each file those of the needed tasks in their order.
    """

    prefix: str
    key: str
    value: bytes | None
    nodes: int = 1
    lines: bytes = b""


class Work(NamedTuple):
    """All that the value of a node follows from.

    ``task`` is a planned task as canonical JSON, ``keys`` has the keys of the values to make, by
    prefix: of `MAP`, those between its leaves and its shard. ``contents`` are those that a task
    reads which is given the files themselves.
    """

    task: bytes
    step: str
    prefix: str
    parts: tuple[Part, ...]
    keys: tuple[tuple[str, str], ...]
    contents: tuple[StoredBytes, ...] = ()


class Answer(NamedTuple):
    """What a node gave: its own value, all ``partials`` that are new, by key, and how many calls
    of the task's functions gave a value.
    """

    value: Partial
    partials: Mapping[str, Partial]
    computed: int


def compute_node(
    work: Work,
    lookup: Lookup = lambda _: None,
    watch: Watch = lambda _: None,
    *,
    memory_is_limited: bool = False,
) -> Answer:
    """Return the value of a node. ``lookup`` gives values that were combined before, by key;
    ``watch`` is told that a step of the task begins.
    """
    task = task_from(work.task)
    computing = _Computing(task, task_of(task), work, lookup, watch, memory_is_limited)
    try:
        return _STEPS[work.step](computing)
    finally:
        watch(0)


class _Computing:
    """The computation of one node. State: ``partials`` that are new, by key, and ``calls``."""

    def __init__(
        self,
        task: PlannedTask,
        code: Task,
        work: Work,
        lookup: Lookup,
        watch: Watch,
        memory_is_limited: bool,  # noqa: FBT001
    ) -> None:
        self.work = work
        self.partials: dict[str, Partial] = {}
        self.calls = 0
        self._task = task
        self._code = code
        self._lookup = lookup
        self._watch = watch
        self._memory_is_limited = memory_is_limited
        self._keys = dict(work.keys)
        self._reducer = self._call(work.step, work.prefix, code)

    def map_shard(self) -> Answer:
        """Map each leaf, and combine down to the shard."""
        level = {part.prefix: self._leaf(part) for part in self.work.parts}
        while len(next(iter(level))) > len(self.work.prefix):
            level = {
                prefix: self._inner(prefix, [level[child] for child in below])
                for prefix, below in children_of(level).items()
            }
        return Answer(level[self.work.prefix], self.partials, self.calls)

    def combine_parts(self) -> Answer:
        """Combine the values of other nodes."""
        children = [Partial(part.nodes, part.value or b"") for part in self.work.parts]
        return Answer(self._inner(self.work.prefix, children), self.partials, self.calls)

    def finish_total(self) -> Answer:
        """Finish the total: the value is that of the records, in the order they were given."""
        (total,) = self.work.parts
        packed = total.value or b""

        def records() -> bytes:
            given = values.unpack(packed), self._config()
            if self._code.inputs:
                finished = self._reducer.finish(*given, reader_of(self.work.contents))
            else:
                finished = self._reducer.finish(*given)
            return pack_records(self._code, finished or ())

        found = Partial(1, self._call(FINISH, "", records))
        self.calls += 1
        self.partials[finish_key(self._task, digest_bytes(packed))] = found
        return Answer(found, self.partials, self.calls)

    def _leaf(self, part: Part) -> Partial:
        if part.value is not None:
            return Partial(part.nodes, part.value)

        def mapped() -> bytes:
            records: list[Record] = [json.loads(line) for line in part.lines.splitlines()]
            return values.pack(self._reducer.map(records, self._config()))

        found = Partial(1, self._call(MAP, part.prefix, mapped))
        self.calls += 1
        self.partials[part.key] = found
        return found

    def _inner(self, prefix: str, children: Sequence[Partial]) -> Partial:
        """Combine values, unless the very same were combined before."""
        if len(children) == 1:
            self.partials[self._keys[prefix]] = children[0]
            return children[0]
        nodes = 1 + sum(child.nodes for child in children)
        key = combine_key(self._task, [digest_bytes(child.value) for child in children])
        before = self._lookup(key)
        if before is None:
            before = Partial(nodes, self._combined(prefix, [child.value for child in children]))
            self.calls += 1
            self.partials[key] = before
        self.partials[self._keys[prefix]] = Partial(nodes, target=key)
        return Partial(nodes, before.value)

    def _combined(self, prefix: str, packed: Sequence[bytes]) -> bytes:
        """Combine neighbours, and what that gives, until one value is left."""
        while len(packed) > 1:
            packed = [self._of_two(prefix, *packed[i : i + 2]) for i in range(0, len(packed), 2)]
        return packed[0]

    def _of_two(self, prefix: str, first: bytes, second: bytes | None = None) -> bytes:
        if second is None:
            return first
        pair = values.unpack(first), values.unpack(second)
        return self._call(COMBINE, prefix, lambda: values.pack(self._reducer.combine(*pair)))

    def _call(self, step: str, prefix: str, act: Callable[[], T]) -> T:
        self._watch(0 if self._code.keeps_time else 1)
        try:
            return act()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            shortage = shortage_of(error, memory_is_limited=self._memory_is_limited)
            if shortage is not None:
                raise shortage from error
            raise ReductionError((self._task.id, step, prefix), _words(error)) from error

    def _config(self) -> Any:
        """The config, as a copy for one call."""
        return values.unpack(values.pack(dict(self._task.config)))


def _words(error: BaseException) -> str:
    if isinstance(error, values.NotPlainError):
        return f"it gave {error}"
    return (
        str(error)
        if isinstance(error, MisfitError | TaskFailedError)
        else f"{type(error).__name__}: {error}"
    )


_STEPS: Mapping[str, Callable[[_Computing], Answer]] = {
    MAP: _Computing.map_shard,
    COMBINE: _Computing.combine_parts,
    FINISH: _Computing.finish_total,
}
