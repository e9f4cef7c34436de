"""Compile shard calls to a Dask graph: plain data, one node a shard, keyed by content.

All tasks of a pipeline look at one file at a time, so they form a single stage and share one
node per shard.

A key is ``("codebatch-files-<64 hex>", "<shard>")``. The hex covers the batch (and with it every
input and fingerprint), the store, the attempt, and how often it was tried: a scheduler has one key
space for all its clients, and answers an equal key with an old value.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from dask.task_spec import Task
from dask.threaded import get as get_in_threads

from codebatch.model.digest import DIGEST_PREFIX, digest_document
from codebatch.model.messages import Receipt, ShardCall
from codebatch.processes.isolation import run_guarded
from codebatch.shard.run import run_shard

__all__ = ["Key", "compile_graph", "get_in_threads", "parcel_key", "run_anywhere", "shard_key"]

Key = tuple[str, str]


def compile_graph(calls: Sequence[ShardCall]) -> dict[Key, Any]:
    """Return the graph of the calls: its values are Dask tasks, its keys in the order of the
    calls.
    """
    return {key: Task(key, run_anywhere, call) for call in calls for key in [shard_key(call)]}


def shard_key(call: ShardCall, tries: int = 0) -> Key:
    """Return the key of a shard call."""
    what = [call.batch_id, call.store_id, call.attempt, *([tries] if tries else [])]
    return (
        f"codebatch-files-{digest_document('graph-key', what)[len(DIGEST_PREFIX) :]}",
        call.shard_id,
    )


def parcel_key(call: ShardCall, number: int, tries: int = 0) -> Key:
    """Return the key of the parcel of that number of a shard."""
    stage, shard_id = shard_key(call, tries)
    return stage, f"{shard_id}.{number}"


def run_anywhere(call: ShardCall) -> Receipt:
    """Run a shard: in a child process on a worker of a cluster, which must not die of a file,
    and otherwise in this process.
    """
    try:
        worker = sys.modules["distributed"].get_worker()
    except (KeyError, ValueError):  # not loaded, or no worker
        return run_shard(call)
    return run_guarded(call)._replace(worker=str(worker.name))
