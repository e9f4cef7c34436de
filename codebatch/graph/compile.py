"""Compile shard calls to a Dask graph: plain data, one node a shard, keyed by content.

All tasks of a pipeline look at one file at a time, so they form a single stage and share one
node per shard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dask.task_spec import Task

from codebatch.graph.keys import Key, shard_key
from codebatch.model.messages import Receipt, ShardCall

Graph = dict[Key, Any]
Run = Callable[[ShardCall], Receipt]


def compile_graph(calls: Sequence[ShardCall], run: Run) -> Graph:
    """Return the graph of the calls: its values are Dask tasks that call ``run``, its keys in the
    order of the calls.
    """
    return {key: Task(key, run, call) for call in calls for key in [shard_key(call)]}
