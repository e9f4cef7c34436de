"""Compile shard calls to a Dask graph: plain data, one node a shard, keyed by content.

All tasks of a pipeline look at one file at a time, so they form a single stage and share one
node per shard.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dask.task_spec import Task

from codebatch.graph.keys import Key, shard_key
from codebatch.lazy import lazy
from codebatch.messages import Receipt, ShardCall
from codebatch.worker import run_shard

if TYPE_CHECKING:
    from codebatch.graph import shared
else:
    shared = lazy("codebatch.graph.shared")  # imports distributed

Graph = dict[Key, Any]
Run = Callable[[ShardCall], Receipt]


def compile_graph(calls: Sequence[ShardCall], run: Run | None = None) -> Graph:
    """The graph of the calls; its values are Dask tasks, its keys in the order of the calls.

    ``run`` is what runs one; by default that depends on where it finds itself.
    """
    run = run or run_anywhere
    return {key: Task(key, run, call) for call in calls for key in [shard_key(call)]}


def run_anywhere(call: ShardCall) -> Receipt:
    """Run a shard: in a child process on a worker of a cluster, which must not die of a file,
    and otherwise in this process.
    """
    return shared.run_on_worker(call) if _is_on_cluster() else run_shard(call)


def _is_on_cluster() -> bool:
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True
