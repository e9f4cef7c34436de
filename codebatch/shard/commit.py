"""Commit the outputs of a shard: for each task outputs, then the state that vouches for them.

What the outputs refer to is in the store before, the memo comes after: `shard.run` does both.

Committing the same bytes again changes nothing; other bytes for a key that is committed are
reported as non-determinism and never overwrite what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from codebatch.model.clock import now
from codebatch.model.digest import EMPTY
from codebatch.model.errors import CodeBatchError, NonDeterminismError
from codebatch.model.records import DONE, FAILED, Counts, ShardState
from codebatch.store import StoreDirectory


def commit_shard(
    store: StoreDirectory,
    batch_id: str,
    shard_id: str,
    outputs: Mapping[str, tuple[bytes, ShardState]],
    attempt: str,
    started: str,
) -> None:
    """Put the outputs of each task into place, then the state that vouches for them."""
    for task_id, (data, state) in outputs.items():
        present = store.shards.load_verified_state(batch_id, task_id, shard_id)
        if present is not None and present.status == DONE:
            if present.digest != state.digest:
                what = f"batch {batch_id}, task {task_id}, shard {shard_id}"
                raise NonDeterminismError(
                    f"non-deterministic: {what} gave other bytes than those committed",
                    details={"committed": present.digest, "computed": state.digest},
                )
            continue
        store.shards.save_outputs(batch_id, task_id, shard_id, data)
        done = replace(state, attempt=attempt, started=started, finished=now())
        store.shards.save_state(batch_id, task_id, shard_id, done)


def commit_failure(
    store: StoreDirectory,
    batch_id: str,
    task_ids: list[str],
    shard_id: str,
    error: CodeBatchError,
    attempt: str,
) -> None:
    """Record that a shard as a whole failed; what is committed of it stays."""
    at = now()
    for task_id in task_ids:
        present = store.shards.load_verified_state(batch_id, task_id, shard_id)
        if present is not None and present.status == DONE:
            continue
        state = ShardState(
            status=FAILED,
            digest=EMPTY,
            size=0,
            tree=EMPTY,
            files=0,
            computed=0,
            reused=0,
            counts=Counts(),
            attempt=attempt,
            error=error.in_short(),
            started=at,
            finished=at,
        )
        store.shards.save_state(batch_id, task_id, shard_id, state)


def commit_link(
    store: StoreDirectory,
    source: tuple[str, str, str],
    target: tuple[str, str, str],
    state: ShardState,
    attempt: str,
) -> ShardState:
    """Give one (batch, task, shard) the outputs and the finished state of another, equal one."""
    at = now()
    store.shards.link_outputs(source, target, state.size)
    linked = replace(
        state,
        computed=0,
        reused=state.files,
        linked=source[0] if state.linked in (None, target[0]) else state.linked,
        attempt=attempt,
        started=at,
        finished=at,
    )
    store.shards.save_state(*target, linked)
    return linked
