"""Messages about nodes between processes: small, frozen and plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from codebatch.model.messages import ShardCall, call_from
from codebatch.reduction.tree import Node

BLOCKED = "blocked"


class NodeCall(NamedTuple):
    """Everything a worker that can open the store needs in order to run one node.

    ``call`` names the store, the batch, the attempt, the limits and the lease; its shard is none.
    """

    call: ShardCall
    node: Node

    @classmethod
    def from_wire(cls, wire: Sequence[Any]) -> NodeCall:
        """Return the call that another process has sent as plain lists."""
        return cls(call_from(wire[0]), _node(wire[1]))


class NodeReceipt(NamedTuple):
    """The report of a worker on a node, which counts only where the store says the same.

    The status is ``done``, ``failed``, ``claimed`` (another run has the task), or ``blocked``: what
    it needs is not there. ``computed`` is how many values of the tree the task was called for, of
    the ``nodes`` that this node stands for. A recheck says how many results of files it
    ``checked``, and the (shard, path) of those that ``differ``.
    """

    node: Node
    attempt: str
    status: str
    computed: int = 0
    nodes: int = 0
    error: Mapping[str, object] | None = None
    worker: str | None = None
    checked: int = 0
    differ: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_wire(cls, wire: Sequence[Any]) -> NodeReceipt:
        """Return the receipt that another process has sent as plain lists."""
        receipt = cls(*wire)
        differ = tuple((shard_id, path) for shard_id, path in receipt.differ)
        return receipt._replace(node=_node(wire[0]), differ=differ)


def _node(wire: Sequence[Any]) -> Node:
    task_id, prefix, step, needs = wire
    return Node(task_id, prefix, step, tuple(needs))
