"""The tree of a batch task: which nodes it has, and the keys of their values. Pure.

The tree is that of the result digest (`model.result_tree`): prefixes of object digests, of three
digits at the leaves. A leaf maps the records of its files; above, the values of at most sixteen
children are combined in the order of their digits; at the root, the total is finished. So the
value at a prefix does not depend on how a batch is sharded.

One node of a graph computes the value of a shard, which is a prefix, with all that is below;
further nodes combine the shards, and the last one finishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from codebatch.model.digest import canonical_json, digest_bytes, digest_document
from codebatch.model.records import Plan, PlannedTask

MAP, COMBINE, FINISH = "map", "combine", "finish"


class Node(NamedTuple):
    """A node of a graph: it gives the value of a task at a prefix, or finishes the total.

    ``needs`` are the prefixes whose values it combines: nodes of `MAP` need their shard instead.
    """

    task_id: str
    prefix: str
    step: str
    needs: tuple[str, ...] = ()


def nodes_of(plan: Plan, task_id: str) -> list[Node]:
    """Return the nodes of a batch task, each after those it needs."""
    level = sorted(shard.shard_id for shard in plan.shards)
    if not level:
        return []
    nodes = [Node(task_id, prefix, MAP) for prefix in level]
    while level != [""]:
        children = children_of(level)
        nodes += [Node(task_id, prefix, COMBINE, below) for prefix, below in children.items()]
        level = list(children)
    return [*nodes, Node(task_id, "", FINISH, ("",))]


def children_of(prefixes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the prefixes that are one digit shorter, each with those it is made of, in order."""
    found: dict[str, list[str]] = {}
    for prefix in sorted(prefixes):
        found.setdefault(prefix[:-1], []).append(prefix)
    return {prefix: tuple(below) for prefix, below in found.items()}


def count_values(prefixes: Iterable[str], down_to: int = 0) -> int:
    """Return how many values are combined from those at prefixes of one length, up to prefixes of
    ``down_to`` digits: where there is one child, its value is passed on.
    """
    total, level = 0, set(prefixes)
    while level and len(next(iter(level))) > down_to:
        children = children_of(level)
        total += sum(len(below) > 1 for below in children.values())
        level = set(children)
    return total


def value_key(task: PlannedTask, prefix: str, trees: Mapping[str, str]) -> str:
    """Return the key of the value at a prefix; ``trees`` has the node there of the result tree of
    each task that the task needs, which covers all records that it sees.
    """
    return digest_bytes(value_preimage(task, prefix, trees))


def value_preimage(task: PlannedTask, prefix: str, trees: Mapping[str, str]) -> bytes:
    """Return the text whose digest `value_key` is, a tagged digest."""
    return b"reduction-value\n" + canonical_json([task.fingerprint, prefix, dict(trees)])


def combine_key(task: PlannedTask, children: Sequence[str]) -> str:
    """Return the key of values combined, by their digests: where those are what they were, the
    result is, whatever changed below them.
    """
    return digest_document("reduction-combine", [task.fingerprint, list(children)])


def finish_key(task: PlannedTask, total: str) -> str:
    """Return the key of the records that follow from a total, by its digest."""
    return digest_document("reduction-finish", [task.fingerprint, total])


def claim_of(task_id: str) -> str:
    """Return the name of the claim on the nodes of a batch task: one run works on all of them."""
    return f"nodes-{task_id}"
