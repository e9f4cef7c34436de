"""Compile shard calls to a Dask graph: plain data, one node a shard, keyed by content.

All tasks of a pipeline look at one file at a time, so they form a single stage and share one
node per shard. A key is ``("codebatch-files-<64 hex>", "<shard>")``. The hex covers the batch
(and with it every input and fingerprint), the store and the attempt: a scheduler has one key
space for all its clients and answers an equal key with an old value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dask.task_spec import Task

from codebatch.digest import DIGEST_PREFIX, digest_document
from codebatch.messages import ShardCall
from codebatch.worker import run_shard

STAGE = "codebatch-files"

Key = tuple[str, str]
Graph = dict[Key, Any]


def shard_key(call: ShardCall) -> Key:
    """The Dask key of a shard call."""
    digest = digest_document("graph-key", [call.batch_id, call.store_id, call.attempt])
    return f"{STAGE}-{digest[len(DIGEST_PREFIX) :]}", call.shard_id


def compile_graph(calls: Sequence[ShardCall]) -> Graph:
    """The graph of the calls; its values are Dask tasks, its keys in the order of the calls."""
    return {key: Task(key, run_shard, call) for call in calls for key in [shard_key(call)]}
