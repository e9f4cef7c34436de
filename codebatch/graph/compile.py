"""Compile shard calls to a Dask graph: plain data, one node a shard, keyed by content.

All tasks of a pipeline look at one file at a time, so they form a single stage and share one
node per shard.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from dask.task_spec import Task
from dask.threaded import get as get_in_threads

from codebatch.graph.keys import Key, shard_key
from codebatch.model.messages import Receipt, ShardCall
from codebatch.processes.isolation import run_guarded
from codebatch.shard.run import run_shard

__all__ = ["compile_graph", "get_in_threads", "run_anywhere"]


def compile_graph(calls: Sequence[ShardCall]) -> dict[Key, Any]:
    """Return the graph of the calls: its values are Dask tasks, its keys in the order of the
    calls.
    """
    return {key: Task(key, run_anywhere, call) for call in calls for key in [shard_key(call)]}


def run_anywhere(call: ShardCall) -> Receipt:
    """Run a shard: in a child process on a worker of a cluster, which must not die of a file,
    and otherwise in this process.
    """
    try:
        worker = sys.modules["distributed"].get_worker()
    except (KeyError, ValueError):  # not loaded, or no worker
        return run_shard(call)
    return run_guarded(call)._replace(worker=str(worker.name))
