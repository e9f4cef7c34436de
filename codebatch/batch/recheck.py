"""Compute results of a finished batch again: the proof that they follow from the inputs alone."""

from __future__ import annotations

import time
from typing import Any

from codebatch.batch.calls import all_calls
from codebatch.batch.dispatch import Crew, at_work, run_calls
from codebatch.batch.report import RecheckReport, report_recheck
from codebatch.batch.settings import RunSettings
from codebatch.errors import BatchUnfinishedError
from codebatch.messages import Receipt
from codebatch.overview import load_overview
from codebatch.records import DONE
from codebatch.schedulers import AUTO, check_report, choose_scheduler, current_client
from codebatch.store import StoreDirectory
from codebatch.usage import UsageTally


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
