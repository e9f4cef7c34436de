"""Compute results of a finished batch again: the proof that they follow from the inputs alone."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from codebatch.batch.calls import all_calls
from codebatch.batch.dispatch import Crew, at_work, run_calls
from codebatch.batch.report import RecheckReport, report_recheck
from codebatch.batch.run import run_batch
from codebatch.batch.scheduler import AUTO, check_report, choose_scheduler, current_client
from codebatch.batch.settings import RunSettings
from codebatch.batch.sharing import retrying
from codebatch.cluster.usage import UsageTally
from codebatch.model.errors import BatchUnfinishedError
from codebatch.model.messages import Receipt
from codebatch.model.records import DONE
from codebatch.status.batch_status import load_overview
from codebatch.store import StoreDirectory
from codebatch.store.indexes.memo import MemoStore
from codebatch.store.invalidate import drop_result


def recheck_batch(
    store: StoreDirectory,
    batch_id: str,
    part: int,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Any = None,
    settings: RunSettings | None = None,
) -> RecheckReport:
    """Compute results of a finished batch again, store nothing, and compare.

    ``part`` is how many files of a million to take; which ones follows from their content.
    """
    began = time.monotonic()
    settings = settings or RunSettings()
    overview = load_overview(store, batch_id, verify=True)
    if overview.status != DONE:
        raise BatchUnfinishedError(
            f"batch {batch_id} is not done: there is nothing to compare with",
            hints=[f"finish it: codebatch resume --batch {batch_id}"],
        )
    receipts: list[Receipt] = []
    calls = [
        call._replace(recheck=part, limits=settings.limits)
        for call in all_calls(store, overview, set())
    ]
    work = sum(shard.bytes for shard in overview.plan.shards) * part // 1_000_000
    client = client or current_client(scheduler)
    choice = choose_scheduler(scheduler if client is None else AUTO, workers, work)
    check_report(settings.cluster.performance_report, choice, client)
    crew = Crew(choice, client, settings.cluster, UsageTally(), overview.plan.tasks)
    with at_work(crew, store) as ready:
        run_calls(calls, ready, receipts.append)
    return report_recheck(batch_id, receipts, time.monotonic() - began)


def replace_differing(
    store: StoreDirectory,
    report: RecheckReport,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Any = None,
    settings: RunSettings | None = None,
) -> RecheckReport:
    """Forget the shards in which a recheck found results that differ, and run these anew."""
    if not report.differ:
        return report
    _forget(store, report.batch_id, {place["shard_id"] for place in report.differ})
    run = run_batch(
        store,
        report.batch_id,
        scheduler=scheduler,
        workers=workers,
        client=client,
        settings=replace(settings or RunSettings(), anew=True),
    )
    seconds = round(report.seconds + run.seconds, 3)
    return replace(report, replaced=run.status == DONE, seconds=seconds)


def _forget(store: StoreDirectory, batch_id: str, shard_ids: set[str]) -> None:
    """Have shards count as pending, and remember nothing of their files."""
    memo = MemoStore(store.layout)
    with retrying(store, batch_id):
        drop_result(store, batch_id)
        for task in store.load_plan(batch_id).tasks:
            for shard_id in sorted(shard_ids):
                store.drop_state(batch_id, task.id, shard_id)
        for shard_id in sorted(shard_ids):
            memo.forget(shard_id)
