"""Compile shard calls to a Dask graph: plain data, one node a shard, keyed by content (`keys`).

All tasks of a pipeline that look at one file at a time form a single stage and share one node per
shard. A graph is compiled from values alone: who asks for it has read the store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from dask.task_spec import DataNode, List, Task, TaskRef
from dask.threaded import get as get_in_threads

from codebatch.graph.effort import current_worker, noted
from codebatch.graph.keys import Key, code_key, part_key, shard_key
from codebatch.graph.parts import compute_part, join_parts
from codebatch.model.messages import Receipt, ShardCall
from codebatch.processes.isolation import run_guarded
from codebatch.processes.pool import children_of
from codebatch.shard.run import log_receipt
from codebatch.tasks.code.carry import NOTHING, be_told

__all__ = [
    "Key",
    "compile_graph",
    "current_worker",
    "get_in_threads",
    "run_anywhere",
    "shard_nodes",
]

RunShard = Callable[[ShardCall], Receipt]

_run_shard: ContextVar[RunShard | None] = ContextVar("_run_shard", default=None)


def compile_graph(calls: Sequence[ShardCall], code: bytes = NOTHING) -> dict[Key, Any]:
    """Return the graph of the calls: its values are Dask tasks, its keys in the order of the
    calls. The ``code`` of users' tasks is one node, the first, that the others refer to.
    """
    shared = {code_key(calls[0]): code} if calls and code else {}
    graph: dict[Key, Any] = {key: DataNode(key, value) for key, value in shared.items()}
    arguments = tuple(map(TaskRef, shared))
    for call in calls:
        graph |= shard_nodes(call, 0, *arguments)
    return graph


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


@contextlib.contextmanager
def running_shards_by(run: RunShard) -> Iterator[None]:
    """For a block, have nodes that run in this context run their shards by this function."""
    token = _run_shard.set(run)
    try:
        yield
    finally:
        _run_shard.reset(token)


def run_anywhere(call: ShardCall, code: bytes = NOTHING) -> Receipt:
    """Run a shard: by the function that a run of ours has chosen, else in a child process, as the
    worker of a cluster or the process of a caller must not die of a file. ``code`` is that of
    users' tasks among its tasks.
    """
    chosen = _run_shard.get()
    if chosen is not None:
        return chosen(call)
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
