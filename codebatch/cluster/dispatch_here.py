"""Run a shard of a graph that a program gives to Dask itself, wherever it finds itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from codebatch.model.messages import Receipt, ShardCall
from codebatch.runtime.lazy import lazy
from codebatch.shard.run import run_shard

if TYPE_CHECKING:
    from codebatch.cluster import shared
else:
    shared = lazy("codebatch.cluster.shared")  # imports distributed


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
