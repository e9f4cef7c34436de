"""Compile a batch to a Dask graph: plain data, keyed by content (`keys`).

All tasks of a pipeline that look at one file at a time form a single stage and share one node per
shard; nodes of batch tasks follow (`reductions`). A graph is compiled from values alone: who asks
for it has read the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dask.task_spec import DataNode, List, Task, TaskRef
from dask.threaded import get as get_in_threads

from codebatch.graph.effort import current_worker, noted
from codebatch.graph.keys import Key, code_key, part_key, shard_key
from codebatch.graph.parts import compute_part, join_parts
from codebatch.graph.reductions import reduction_nodes
from codebatch.graph.runners import runners
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import DONE
from codebatch.processes.isolation import run_guarded
from codebatch.processes.pool import children_of
from codebatch.reduction.messages import NodeCall
from codebatch.shard.run import log_receipt
from codebatch.tasks.code.carry import NOTHING, be_told

__all__ = ["Key", "compile_graph", "get_in_threads", "run_anywhere", "shard_nodes"]


def compile_graph(
    calls: Sequence[ShardCall],
    code: bytes = NOTHING,
    nodes: Sequence[NodeCall] = (),
    done: Sequence[ShardCall] = (),
) -> dict[Key, Any]:
    """Return the graph of the calls and of the nodes of batch tasks: its values are Dask tasks, its
    keys in their order. The ``code`` of users' tasks is one node, the first, that the others refer
    to. Shards that are ``done`` are there as receipts: a scheduler wants each node to have the
    dependencies that it has in other graphs.
    """
    every = [*calls, *done, *(node.call for node in nodes[:1])]
    shared = {code_key(every[0]): code} if every and code else {}
    graph: dict[Key, Any] = {key: DataNode(key, value) for key, value in shared.items()}
    arguments = tuple(map(TaskRef, shared))
    for call in calls:
        graph |= shard_nodes(call, 0, *arguments)
    for call in done:
        key = shard_key(call)
        graph[key] = Task(key, _known, Receipt(call.shard_id, call.attempt, DONE), *arguments)
    shards = {call.shard_id: shard_key(call) for call in (*calls, *done)}
    return graph | reduction_nodes(nodes, shards, arguments)


def shard_nodes(call: ShardCall, sent: int, *code: TaskRef) -> dict[Key, Any]:
    """Return the nodes of a shard that was sent before so many times, its own the last: it depends
    on its parts, where it has several. ``code`` refers to that of users' tasks.
    """
    key, count = shard_key(call, sent), call.parts
    if count == 1:
        return {key: Task(key, run_anywhere, call, *code)}
    keys = [part_key(call, number, count, sent=sent) for number in range(count)]
    nodes: dict[Key, Any] = {
        part: Task(part, compute_part, call, number, *code) for number, part in enumerate(keys)
    }
    return {**nodes, key: Task(key, join_parts, call, List(*map(TaskRef, keys)), *code)}


def run_anywhere(call: ShardCall, code: bytes = NOTHING) -> Receipt:
    """Run a shard: by the function that a run of ours has chosen, else in a child process, as the
    worker of a cluster or the process of a caller must not die of a file. ``code`` is that of
    users' tasks among its tasks.
    """
    chosen = runners()
    if chosen is not None:
        return chosen.run_shard(call)
    be_told(code)
    receipt = run_guarded(call, children_of(code))
    worker = current_worker()
    if worker is None:
        return receipt
    effort = noted(worker, receipt.used, f"shard {call.shard_id}")
    receipt = receipt._replace(worker=effort.worker, efforts=(effort,))
    if call.lease.left_to:
        log_receipt(call, receipt)
    return receipt


def _known(receipt: Receipt, *_: object) -> Receipt:
    return receipt
