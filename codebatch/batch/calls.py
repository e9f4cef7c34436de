"""What a run asks for: one call for each shard that is to be done."""

from __future__ import annotations

import os

from codebatch.model.errors import WorkerLostError
from codebatch.model.limits import choose_limits
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import DONE, FAILED
from codebatch.status.batch_status import BatchOverview
from codebatch.store import StoreDirectory
from codebatch.store.invalidate import drop_result


def pending_calls(store: StoreDirectory, overview: BatchOverview) -> list[ShardCall]:
    """A call for each shard that is not done.

    Where there are some, the batch has no result until they are done: it vouches for all states.
    """
    done = {s for s in overview.shard_ids if overview.shard_status(s) == DONE}
    calls = all_calls(store, overview, done)
    if calls:
        drop_result(store, overview.batch_id)
    return calls


def all_calls(store: StoreDirectory, overview: BatchOverview, done: set[str]) -> list[ShardCall]:
    """A call for each shard but those that are ``done``, largest first, under a fresh attempt."""
    attempt = os.urandom(8).hex()
    shards = sorted(overview.plan.shards, key=lambda shard: (-shard.bytes, shard.shard_id))
    root = str(store.root.resolve())
    limits = choose_limits()
    return [
        ShardCall(root, store.store_id, overview.batch_id, shard.shard_id, attempt, limits=limits)
        for shard in shards
        if shard.shard_id not in done
    ]


def is_final(receipt: Receipt) -> bool:
    """Whether the shard itself failed; a lost worker is the scheduler's failure, not its."""
    error = receipt.error or {}
    return receipt.status == FAILED and error.get("code") != WorkerLostError.code
