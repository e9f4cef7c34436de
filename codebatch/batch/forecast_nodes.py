"""The forecast of a batch task: which values of its tree a run would compute. Reads only.

The tree is gone through as a run does it, with keys alone. Where records that a value follows from
are to be computed, the value and all above it count as computed, though a run may find that they
come out as they were: so ``compute`` is what a run computes at most, and where all records are
known, what it computes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from codebatch.display.displayed import Displayed
from codebatch.model.digest import DIGEST_PREFIX, digest_bytes
from codebatch.model.records import DONE, InputFile, PlannedShard, PlannedTask, ShardState, path_key
from codebatch.model.result_tree import LEAF_DIGITS, leaf_nodes
from codebatch.reduction.tree import children_of, combine_key, finish_key, value_key
from codebatch.shard.outputs import lines_by_file
from codebatch.store import StoreDirectory
from codebatch.store.indexes.partials import Partial, PartialStore

UPSTREAM = "upstream"
FORGOTTEN = "forgotten"
FILES, NODES = "files", "nodes"

Where = tuple[str, str, str]


@dataclass(repr=False)
class TaskForecast(Displayed):
    """The number of files that a task would be computed for, and of results taken over; of a batch
    task, whose ``unit`` is ``nodes``, the number of values in its tree.

    ``reasons`` counts the files to compute by what is different from the nearest earlier batch:
    a component of the fingerprint (of the code of a user's task the module, value or distribution,
    as ``code pkg.helper``), ``content`` (the file is not in that batch as it is),
    ``upstream``, ``forgotten`` (nothing differs, but the result is not in the memo), or
    ``first`` (there is no earlier batch). A file may have several reasons.
    """

    task_id: str
    compute: int = 0
    reuse: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unit: str = FILES


class ShardRecords(NamedTuple):
    """What is known of the records on a shard: for tasks that are done where the outputs are, and
    for others the digest of the lines of each file, by task and path, as far as it is known.
    """

    shard: PlannedShard
    inputs: Callable[[], Sequence[InputFile]]
    there: Mapping[str, tuple[Where, ShardState]]
    digests: Mapping[str, Mapping[str, str]]


def forecast_nodes(
    store: StoreDirectory,
    task: PlannedTask,
    shards: Sequence[ShardRecords],
    changed: Sequence[str],
) -> TaskForecast:
    """Return the forecast of a batch task; ``changed`` is what differs of it from before."""
    forecaster = _NodeForecaster(store, task, changed)
    return forecaster.forecast(shards)


class _NodeForecaster:
    """Goes through the tree of a task.

    State: ``_found`` adds up; of the shard at hand, ``_packs`` are the values below it that are
    kept, and ``_reason`` says why one that follows from known records is not.
    """

    def __init__(self, store: StoreDirectory, task: PlannedTask, changed: Sequence[str]) -> None:
        self._store = store
        self._task = task
        self._changed = changed
        self._partials = PartialStore(store.layout, task.fingerprint)
        self._is_first = self._partials.is_empty()
        self._packs: Mapping[str, Partial] = {}
        self._reason = UPSTREAM
        self._found = TaskForecast(task.id, unit=NODES)

    def forecast(self, shards: Sequence[ShardRecords]) -> TaskForecast:
        """Return the forecast over all shards; their values are digests, None where unknown."""
        level = {one.shard.shard_id: self._shard(one) for one in shards}
        self._packs, self._reason = {}, UPSTREAM
        if not level:
            return self._found
        while list(level) != [""]:
            level = self._combined(level, with_packs=True)
        self._packs = {}
        self._take(lambda task, total: finish_key(task, *total), [level[""]])
        return self._found

    def _shard(self, records: ShardRecords) -> str | None:
        """Return the digest of the value of a shard, None where it is to be computed."""
        prefix, needs = records.shard.shard_id, self._task.needs
        self._reason = UPSTREAM
        if all(need in records.there for need in needs):
            self._reason = FORGOTTEN
            trees = {need: records.there[need][1].tree for need in needs}
            found = self._load(value_key(self._task, prefix, trees))
            if found is not None:
                self._found.reuse += found.nodes
                return digest_bytes(found.value)
        self._packs = {} if self._is_first else self._partials.load_packs(prefix)
        level = {
            leaf: self._leaf(leaf, trees) for leaf, trees in _leaves(self._store, needs, records)
        }
        while len(next(iter(level))) > len(prefix):
            level = self._combined(level)
        return level[prefix]

    def _leaf(self, leaf: str, trees: Mapping[str, str | None]) -> str | None:
        known = {need: tree for need, tree in trees.items() if tree is not None}
        if len(known) < len(trees):
            self._compute(UPSTREAM)
            return None
        found = self._load(value_key(self._task, leaf, known))
        if found is None:
            self._compute(self._reason)
            return None
        self._found.reuse += 1
        return digest_bytes(found.value)

    def _combined(
        self, level: Mapping[str, str | None], *, with_packs: bool = False
    ) -> dict[str, str | None]:
        """Return what values are combined to; ``with_packs``, each may be in those of its shard."""
        found: dict[str, str | None] = {}
        for prefix, below in children_of(level).items():
            if with_packs:
                is_none = self._is_first or not prefix
                self._packs = {} if is_none else self._partials.load_packs(prefix, below=False)
            children = [level[child] for child in below]
            found[prefix] = children[0] if len(children) == 1 else self._take(combine_key, children)
        return found

    def _take(
        self, key_of: Callable[[PlannedTask, Sequence[str]], str], values: Sequence[str | None]
    ) -> str | None:
        """Return the digest of what follows from known values, if that is kept."""
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            self._compute(UPSTREAM)
            return None
        found = self._load(key_of(self._task, known))
        if found is None:
            self._compute(self._reason)
            return None
        self._found.reuse += 1
        return digest_bytes(found.value)

    def _load(self, key: str) -> Partial | None:
        if self._is_first:
            return None
        return self._partials.find(key, self._packs)

    def _compute(self, reason: str) -> None:
        self._found.compute += 1
        self._found.reasons.update(self._changed or [reason])


def _leaves(
    store: StoreDirectory, needs: Sequence[str], records: ShardRecords
) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yield each leaf of a shard with the nodes of the result tree there, by needed task; None for
    one of which some records are to be computed.
    """
    inputs = records.inputs()
    objects = {file.path: file.object for file in inputs}
    trees = {need: _nodes(store, need, records, inputs, objects) for need in needs}
    for leaf in sorted({_leaf_of(digest) for digest in objects.values()}):
        yield leaf, {need: trees[need].get(leaf) for need in needs}


def _nodes(
    store: StoreDirectory,
    need: str,
    records: ShardRecords,
    inputs: Sequence[InputFile],
    objects: Mapping[str, str],
) -> dict[str, str]:
    """Return the leaves of a needed task all of whose records are known."""
    if need in records.there:
        where, _ = records.there[need]
        state, outputs = store.shards.load_verified_outputs(*where)
        if state is None or state.status != DONE:
            return {}
        found = (
            (path, digest_bytes(own)) for path, own, _ in lines_by_file(outputs, state, inputs)
        )
        digests: Mapping[str, str] = dict(found)
    else:
        digests = records.digests.get(need, {})
    unknown = {_leaf_of(digest) for path, digest in objects.items() if path not in digests}
    ordered = sorted(digests, key=path_key)
    nodes = leaf_nodes((path, objects[path], digests[path]) for path in ordered)
    return {leaf: node for leaf, node in nodes.items() if leaf not in unknown}


def _leaf_of(digest: str) -> str:
    return digest[len(DIGEST_PREFIX) :][:LEAF_DIGITS]
