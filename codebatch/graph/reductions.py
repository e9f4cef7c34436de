"""Nodes of batch tasks in a graph: maps depend on their shard, combines on the values below them,
and the last one on the total. Values are in the store; what nodes return says so, and adds up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dask.task_spec import List, Task, TaskRef

from codebatch.graph.effort import current_worker
from codebatch.graph.keys import Key, digest_keys, task_key
from codebatch.graph.runners import runners
from codebatch.model.messages import Receipt
from codebatch.model.records import DONE
from codebatch.processes.nodes import run_node_guarded
from codebatch.processes.pool import children_of
from codebatch.reduction.messages import NodeCall, NodeReceipt
from codebatch.reduction.tree import FINISH, MAP
from codebatch.tasks.code.carry import NOTHING, be_told


def node_key(call: NodeCall, waits: str = "") -> Key:
    """Return the key of a node; ``waits`` is the digest of the shards that its graph waits for."""
    return task_key(call.node.step, call.node.task_id, call.call, call.node.prefix, waits)


def reduction_nodes(
    calls: Sequence[NodeCall], shards: Mapping[str, Key], code: Sequence[TaskRef]
) -> dict[Key, Any]:
    """Return the tasks of nodes, each of which comes after those it needs; ``shards`` has the keys
    of the shards that are to be waited for, by id. ``code`` refers to that of users' tasks.
    """
    graph: dict[Key, Any] = {}
    waits = digest_keys(shards.values())
    values: dict[tuple[str, str], Key] = {}
    for call in calls:
        key, node = node_key(call, waits), call.node
        if node.step == MAP:
            needs = [shards[node.prefix]] if node.prefix in shards else []
        else:
            needs = [values[node.task_id, prefix] for prefix in node.needs]
        graph[key] = Task(key, run_node_anywhere, call, List(*map(TaskRef, needs)), *code)
        if node.step != FINISH:
            values[node.task_id, node.prefix] = key
    return graph


def run_node_anywhere(
    call: NodeCall, needs: Sequence[Receipt | NodeReceipt], code: bytes = NOTHING
) -> NodeReceipt:
    """Run a node, as `graph.compile.run_anywhere` runs a shard; where one that it needs has no
    value, the receipt of that one is passed on. What the nodes below have computed is counted in.
    """
    below = [receipt for receipt in needs if isinstance(receipt, NodeReceipt)]
    without = next((receipt for receipt in below if receipt.status != DONE), None)
    receipt = _run(call, code) if without is None else without._replace(computed=0, nodes=0)
    return receipt._replace(
        computed=receipt.computed + sum(one.computed for one in below),
        nodes=receipt.nodes + sum(one.nodes for one in below),
    )


def _run(call: NodeCall, code: bytes) -> NodeReceipt:
    chosen = runners()
    if chosen is not None:
        return chosen.run_node(call)
    be_told(code)
    receipt = run_node_guarded(call, children_of(code))
    worker = current_worker()
    return receipt if worker is None else receipt._replace(worker=str(worker.name))
