"""Compute results of a finished batch again: the proof that they follow from the inputs alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from codebatch.batch.coordination import retrying
from codebatch.batch.dispatch import Executor, all_calls, choose_executor, open_executor, run_calls
from codebatch.batch.options import RunOptions
from codebatch.batch.reductions import run_tree
from codebatch.batch.report import RecheckReport, report_recheck
from codebatch.batch.run import run_batch
from codebatch.cluster.usage import UsageTally
from codebatch.model.errors import BatchUnfinishedError
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import DONE, FAILED, Plan
from codebatch.reduction.recheck import place_of_recheck
from codebatch.shard.recheck import WHOLE
from codebatch.status.batch_status import load_batch_status
from codebatch.store import StoreDirectory
from codebatch.store.indexes.memo import MemoStore
from codebatch.store.indexes.partials import PartialStore


def recheck_batch(
    store: StoreDirectory, batch_id: str, part: int, options: RunOptions
) -> RecheckReport:
    """Compute results of a finished batch again, store nothing, and compare.

    ``part`` is how many files of a million to take; which ones follows from their content.
    """
    began = time.monotonic()
    batch_status = load_batch_status(store, batch_id, verify=True)
    if batch_status.status != DONE:
        raise BatchUnfinishedError(
            f"batch {batch_id} is not done: there is nothing to compare with",
            hints=[f"finish it: codebatch resume --batch {batch_id}"],
        )
    receipts: list[Receipt] = []
    calls = [
        call._replace(recheck=part, limits=options.limits)
        for call in reversed(all_calls(store, batch_status, set()))
    ]
    work = sum(shard.bytes for shard in batch_status.plan.shards) * part // 1_000_000
    executor = choose_executor(options, batch_status.plan.tasks, UsageTally(), work)
    with open_executor(executor, store) as opened:
        run_calls(calls, opened, receipts.append)
        if part == WHOLE:  # the tree of a batch task is whole or none
            receipts += _recheck_trees(store, batch_status.plan, calls, opened)
    return report_recheck(batch_id, receipts, time.monotonic() - began)


def _recheck_trees(
    store: StoreDirectory, plan: Plan, calls: Sequence[ShardCall], executor: Executor
) -> Iterator[Receipt]:
    """Compute the trees of batch tasks again, and compare; their values are kept for that alone."""
    for task in plan.batch_tasks if calls else ():
        call = calls[0]._replace(shard_id="")
        try:
            last = run_tree(plan, task, call, executor)
        finally:
            PartialStore(store.layout, place_of_recheck(task, call.attempt)).forget()
        first = plan.shards[0].shard_id
        if last.status != DONE:
            error = last.error or {
                "message": f"the values of task {task.id} were removed meanwhile"
            }
            yield Receipt(first, call.attempt, FAILED, error)
            continue
        differ: dict[str, list[tuple[str, str]]] = {first: []}
        for shard_id, path in last.differ:
            differ.setdefault(shard_id, []).append((task.id, path))
        for shard_id, places in differ.items():
            checked = last.checked if shard_id == first else 0
            yield Receipt(shard_id, call.attempt, DONE, checked=checked, differ=tuple(places))


def replace_differing(
    store: StoreDirectory, report: RecheckReport, options: RunOptions
) -> RecheckReport:
    """Forget the shards in which a recheck found results that differ, and run these anew."""
    if not report.differ:
        return report
    _forget(store, report.batch_id, {place["shard_id"] for place in report.differ})
    run = run_batch(store, report.batch_id, replace(options, anew=True))
    seconds = round(report.seconds + run.seconds, 3)
    return replace(report, replaced=run.status == DONE, seconds=seconds)


def _forget(store: StoreDirectory, batch_id: str, shard_ids: set[str]) -> None:
    """Have shards count as pending, and remember nothing of their files."""
    memo = MemoStore(store.layout)
    with retrying(store, batch_id):
        store.batches.drop_result(batch_id)
        plan = store.batches.load_plan(batch_id)
        for task in plan.of_files.tasks:
            for shard_id in sorted(shard_ids):
                store.shards.drop_state(batch_id, task.id, shard_id)
        for task in plan.batch_tasks:  # they look at the records of all shards
            PartialStore(store.layout, task.fingerprint).forget()
            for shard in plan.shards:
                store.shards.drop_state(batch_id, task.id, shard.shard_id)
        for shard_id in sorted(shard_ids):
            memo.forget(shard_id)
