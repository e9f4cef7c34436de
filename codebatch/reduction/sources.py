"""What the values of a batch task follow from, as the store has it: trees, records, other values.

Nodes of the result tree stand for records that are not read: the key of a value covers those of
the needed tasks at its prefix, which follow from the states of the shards alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from codebatch.model.digest import DIGEST_PREFIX, canonical_json, digest_bytes
from codebatch.model.records import DONE, InputFile, Plan, PlannedShard, PlannedTask
from codebatch.model.result_tree import LEAF_DIGITS, fold_nodes, leaf_nodes
from codebatch.reduction.compute import Part
from codebatch.reduction.tree import count_values, value_key
from codebatch.shard.outputs import lines_by_file
from codebatch.store import StoreDirectory
from codebatch.store.indexes.partials import Partial, PartialStore

INPUTS = "inputs"  # in place of a task, for one that is given the files themselves
_LEAF = re.compile(rb'"object":"sha256:([0-9a-f]{3})')


class NotReadyError(Exception):
    """What a node needs is not in the store, or not any more."""


@dataclass(frozen=True)
class Sources:
    """The sources of one batch task.

    ``apart`` names the place of values that are kept for a recheck alone, "" for where they belong.
    State: ``_trees`` has the nodes of the result tree that were asked for, by need and prefix.
    """

    store: StoreDirectory
    batch_id: str
    plan: Plan
    task: PlannedTask
    apart: str = ""
    _trees: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def partials(self) -> PartialStore:
        """The values that were kept."""
        return PartialStore(self.store.layout, self.apart or self.task.fingerprint)

    def key(self, prefix: str) -> str:
        """Return the key of the value at a prefix; `NotReadyError` where records are pending."""
        return value_key(self.task, prefix, self.trees(prefix))

    def trees(self, prefix: str) -> dict[str, str]:
        """Return the node of the result tree at a prefix of each needed task; `NotReadyError` where
        records are pending.
        """
        return {need: self._tree(need, prefix) for need in self._needs}

    @property
    def _needs(self) -> tuple[str, ...]:
        return self.task.needs or (INPUTS,)

    def value(self, prefix: str) -> tuple[str, Partial]:
        """Return the value at a prefix with its key; `NotReadyError` where it is not kept."""
        key = self.key(prefix)
        found = self.partials.load(key)
        if found is None:
            raise NotReadyError(
                f"the value of {self.task.id} at {prefix or 'the root'} is not there"
            )
        return key, found

    def shard_parts(self, shard_id: str) -> tuple[list[Part], dict[str, str]]:
        """Return the leaves of a shard in order, with the lines that they are mapped from, and the
        keys of all values from there up to the shard, by prefix.
        """
        shard = self.plan.shard(shard_id)
        inputs = self.store.batches.load_inputs(self.batch_id, shard)
        objects = {file.path: file.object for file in inputs}
        by_need = {need: self._lines(need, shard, inputs) for need in self._needs}
        trees = {
            need: leaf_nodes((path, objects[path], digest_bytes(own)) for path, own in lines)
            for need, lines in by_need.items()
        }
        joined: dict[str, list[bytes]] = {}
        for of_file in zip(*by_need.values(), strict=True):
            leaf = objects[of_file[0][0]][len(DIGEST_PREFIX) :][:LEAF_DIGITS]
            joined.setdefault(leaf, []).extend(own for _, own in of_file)
        keys = self._keys(trees, len(shard_id))
        parts = [
            Part(leaf, keys[leaf], None, lines=b"".join(lines))
            for leaf, lines in sorted(joined.items())
        ]
        return parts, keys

    def _keys(self, trees: Mapping[str, Mapping[str, str]], width: int) -> dict[str, str]:
        """Return the keys of the values from leaves up to prefixes of ``width`` digits."""
        keys: dict[str, str] = {}
        for digits in range(LEAF_DIGITS, width - 1, -1):
            folded = {need: fold_nodes(nodes, digits) for need, nodes in trees.items()}
            for prefix in folded[self._needs[0]]:
                nodes = {need: folded[need][prefix] for need in self._needs}
                keys[prefix] = value_key(self.task, prefix, nodes)
        return keys

    def _tree(self, need: str, prefix: str) -> str:
        """Return a node of the result tree of a needed task, at a shard or above."""
        if (need, prefix) not in self._trees:
            self._trees[need, prefix] = self._folded(need, prefix)
        return self._trees[need, prefix]

    def _folded(self, need: str, prefix: str) -> str:
        is_shard = len(prefix) == len(self.plan.shards[0].shard_id)
        if is_shard and need == INPUTS:
            inputs = self.store.batches.load_inputs(self.batch_id, self.plan.shard(prefix))
            rows = ((file.path, file.object, digest_bytes(_input_line(file))) for file in inputs)
            return fold_nodes(leaf_nodes(rows), len(prefix))[prefix]
        if is_shard:
            state = self.store.shards.load_state(self.batch_id, need, prefix)
            if state is None or state.status != DONE:
                raise NotReadyError(f"task {need} is not done on shard {prefix}")
            return state.tree
        below = {child: self._tree(need, child) for child in self.plan.prefixes_below(prefix)}
        return fold_nodes(below, len(prefix))[prefix]

    def _lines(
        self, need: str, shard: PlannedShard, inputs: list[InputFile]
    ) -> list[tuple[str, bytes]]:
        if need == INPUTS:
            return [(file.path, _input_line(file)) for file in inputs]
        state, outputs = self.store.shards.load_verified_outputs(
            self.batch_id, need, shard.shard_id
        )
        if state is None or state.status != DONE:
            raise NotReadyError(f"task {need} is not done on shard {shard.shard_id}")
        return [(path, lines) for path, lines, _ in lines_by_file(outputs, state, inputs)]


def _input_line(file: InputFile) -> bytes:
    """Return the record of a file for a task that is given the files themselves."""
    row = {"path": file.path, "object": file.object, "size": file.size, "language": file.language}
    return canonical_json(row) + b"\n"


def count_nodes(store: StoreDirectory, batch_id: str, plan: Plan) -> int:
    """Return how many values a batch task has over a batch: mapped, combined, and finished."""
    total = 0
    for shard in plan.shards:
        lines = store.batches.read_shard_inputs(batch_id, shard)
        leaves = {leaf.decode() for leaf in _LEAF.findall(lines)}
        total += len(leaves) + count_values(leaves, len(shard.shard_id))
    above = count_values(shard.shard_id for shard in plan.shards)
    return total + above + 1 if plan.shards else 0
