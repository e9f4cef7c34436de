"""Run what is pending of a batch, and record what happened.

What other batches have is linked first. Then a run trusts the store, not the scheduler: after
every round the states of the shards are read back, and what has no valid state is run again
under a new attempt, a few times. Nothing is held open and nothing is locked, so a run may be
killed at any instant and resumed anywhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from codebatch.batch.report import RecheckReport, RunReport, report_recheck, report_run
from codebatch.batch.reuse import Reuse
from codebatch.clock import now
from codebatch.commit import commit_failure
from codebatch.errors import BatchUnfinishedError, NotReusedError, ShardFailedError
from codebatch.messages import Receipt, ShardCall
from codebatch.overview import BatchOverview
from codebatch.plan import shard_of
from codebatch.records import DONE, FAILED, ShardState
from codebatch.schedulers import SchedulerChoice, choose_scheduler
from codebatch.store import StoreDirectory

MAX_ROUNDS = 3
_MAX_EARLIER = 10_000  # a call is a small message

Progress = Callable[[int, int], None]


def run_batch(
    store: StoreDirectory,
    batch_id: str,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: Progress | None = None,
    require_reused: bool = False,
) -> RunReport:
    """Run every shard of the batch that is not done, on a local scheduler or a cluster.

    ``client`` is a ``distributed.Client`` to use instead of ``scheduler``. An interrupt
    (Ctrl-C) lets running shards commit and gives a report with status ``interrupted``. With
    ``require_reused`` nothing is computed: `NotReusedError` where something would have to be.
    """
    began = time.monotonic()
    run = _Run(store, batch_id, progress, require_reused=require_reused)
    before = run.overview()
    choose_scheduler(scheduler, workers, 0)  # a wrong name is an error before anything is done
    run.log("run-started", pending=before.shards()["total"] - before.shards()["done"])
    interrupted = False
    try:
        _run_pending(run, before, scheduler, workers, client)
    except KeyboardInterrupt:
        interrupted = True
    return run.finish(began, interrupted=interrupted)


def finish_run(store: StoreDirectory, batch_id: str, receipts: Sequence[Receipt]) -> RunReport:
    """Report on shards that a scheduler of the caller's has run; what it lost runs here.

    ``seconds`` is the time of finishing alone: when the shards ran is not known here.
    """
    began = time.monotonic()
    run = _Run(store, batch_id, None)
    for receipt in receipts:
        run.note(receipt)
    _run_rounds(run, SchedulerChoice("sync", 1), None)
    return run.finish(began, interrupted=False)


def recheck_batch(
    store: StoreDirectory,
    batch_id: str,
    part: int,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Any = None,
) -> RecheckReport:
    """Compute results of a finished batch again, store nothing, and compare.

    ``part`` is how many files of a million to take; which ones follows from their content.
    """
    began = time.monotonic()
    overview = _Run(store, batch_id, None).overview()
    if overview.status != DONE:
        raise BatchUnfinishedError(
            f"batch {batch_id} is not done: there is nothing to compare with",
            hints=[f"finish it: codebatch resume --batch {batch_id}"],
        )
    receipts: list[Receipt] = []
    calls = [call._replace(recheck=part) for call in _calls(store, overview, set())]
    work = sum(shard.bytes for shard in overview.plan.shards) * part // 1_000_000
    _run_calls(calls, choose_scheduler(scheduler, workers, work), client, receipts.append)
    return report_recheck(batch_id, receipts, time.monotonic() - began)


def pending_calls(store: StoreDirectory, overview: BatchOverview) -> list[ShardCall]:
    """A call for each shard that is not done, largest first, under a fresh attempt."""
    done = {s for s in overview.shard_ids if overview.shard_status(s) == DONE}
    return _calls(store, overview, done)


def _calls(store: StoreDirectory, overview: BatchOverview, done: set[str]) -> list[ShardCall]:
    attempt = os.urandom(8).hex()
    shards = sorted(overview.plan.shards, key=lambda shard: (-shard.bytes, shard.shard_id))
    root = str(store.root.resolve())
    return [
        ShardCall(root, store.store_id, overview.batch_id, shard.shard_id, attempt)
        for shard in shards
        if shard.shard_id not in done
    ]


class _Run:
    """One run in progress.

    State: ``arrived`` has the receipt of each shard that answered, ``attempts`` the attempts
    whose states are this run's work, with or without a receipt, ``earlier`` what edited files of
    each shard were before, as (new, old) objects, ``near`` the batch that has most files as they
    are. ``_done`` holds the states
    whose outputs were found to match them; in one run that is looked at once.
    """

    def __init__(
        self,
        store: StoreDirectory,
        batch_id: str,
        progress: Progress | None,
        *,
        require_reused: bool = False,
    ) -> None:
        self.store = store
        self.batch_id = batch_id
        self.plan = store.load_plan(batch_id)
        self.require_reused = require_reused
        self.arrived: dict[str, Receipt] = {}
        self.attempts: set[str] = set()
        self.earlier: dict[str, list[tuple[str, str]]] = {}
        self.near: str | None = None
        self._progress = progress
        self._done: dict[tuple[str, str], ShardState] = {}
        self._done_before = 0

    def completed(self, call: ShardCall) -> ShardCall:
        """The call with what this run adds to it."""
        earlier = tuple(self.earlier.get(call.shard_id, ())[:_MAX_EARLIER])
        return call._replace(earlier=earlier, near=self.near, require_reused=self.require_reused)

    def begin(self, overview: BatchOverview) -> None:
        """Count from here what progress is told about."""
        self._done_before = overview.shards()["done"]

    def note(self, receipt: Receipt) -> None:
        """Take a receipt: keep it, log it, tell whoever watches."""
        self.arrived[receipt.shard_id] = receipt
        self.attempts.add(receipt.attempt)
        if receipt.status == DONE:
            for task in self.plan.tasks:  # now, while other shards are still at work
                self._state(task.id, receipt.shard_id)
        names = ("shard_id", "attempt", "status", "error", "warning")
        facts = {name: getattr(receipt, name) for name in names}
        self.log(f"shard-{receipt.status}", **facts)
        if self._progress is not None:
            self._progress(self._done_before + len(self.arrived), len(self.plan.shards))

    def log(self, event: str, **facts: object) -> None:
        """Add a line to the batch's events."""
        self.store.append_event(self.batch_id, {"event": event, "time": now(), **facts})

    def overview(self) -> BatchOverview:
        """The states as the store has them now, outputs verified."""
        states = {
            task.id: {s.shard_id: self._state(task.id, s.shard_id) for s in self.plan.shards}
            for task in self.plan.tasks
        }
        return BatchOverview(self.batch_id, self.plan, states)

    def know(self, states: Mapping[tuple[str, str], ShardState]) -> None:
        """Take over states that are known to be done and whole, by (task, shard)."""
        for place, state in states.items():
            self._done[place] = _without_files(state)

    def _state(self, task_id: str, shard_id: str) -> ShardState | None:
        state = self._done.get((task_id, shard_id))
        if state is None:
            state = self.store.load_verified_state(self.batch_id, task_id, shard_id)
            if state is not None and state.status == DONE:
                state = self._done[task_id, shard_id] = _without_files(state)
        return state

    def finish(self, began: float, *, interrupted: bool) -> RunReport:
        """Record the end, and report."""
        overview = self.overview()
        seconds = time.monotonic() - began
        report = report_run(overview, self.arrived, self.attempts, seconds, interrupted=interrupted)
        if report.status == DONE:
            self._save_result(overview)
        self.log("run-finished", status=report.status)
        return report

    def _save_result(self, overview: BatchOverview) -> None:
        """Make the finished batch durable and note its result, once."""
        document = self.store.load_batch(self.batch_id)
        if document.get("result") != overview.result:
            finished = {"result": overview.result, "finished": now()}
            self.store.save_batch_document(self.batch_id, {**document, **finished})


def _run_pending(
    run: _Run, before: BatchOverview, scheduler: str | None, workers: int | None, client: Any
) -> None:
    """Link what can be linked, then run the rest on a scheduler that suits it."""
    if before.status == DONE:
        return
    reuse = Reuse(run.store, run.batch_id, run.plan)
    run.know(reuse.link(before, "linked"))  # their outputs were checked where they are from
    overview = run.overview()
    run.begin(overview)
    pending = [s for s in run.plan.shards if overview.shard_status(s.shard_id) != DONE]
    if pending:
        run.near = reuse.near
        news = [file for shard in pending for file in reuse.news(shard)]
        for new, old in reuse.earlier_objects(news).items():
            run.earlier.setdefault(shard_of(new, len(pending[0].shard_id)), []).append((new, old))
        work = sum(file.size for file in news)
        _run_rounds(run, choose_scheduler(scheduler, workers, work), client)


def _run_rounds(run: _Run, choice: SchedulerChoice, client: Any) -> None:
    """Run what the store does not show as done; a shard that says it failed is not repeated."""
    from codebatch.worker import check_toolchain  # noqa: PLC0415 - the tasks, which only work needs

    for _ in range(MAX_ROUNDS):
        calls = [
            run.completed(call)
            for call in pending_calls(run.store, run.overview())
            if run.arrived.get(call.shard_id) is None or not _is_final(run.arrived[call.shard_id])
        ]
        if not calls:
            break
        check_toolchain(run.plan.tasks)
        run.attempts.update(call.attempt for call in calls)
        _run_calls(calls, choice, client, run.note)
    _record_failures(run)


def _without_files(state: ShardState) -> ShardState:
    """The state without what it says of each file: a run keeps the states of all shards."""
    return replace(state, per_file=(), origins="")


def _is_final(receipt: Receipt) -> bool:
    """Whether the shard itself failed; a lost worker is the scheduler's failure, not its."""
    error = receipt.error or {}
    return receipt.status == FAILED and error.get("code") != "WORKER_DIED"


def _run_calls(
    calls: Sequence[ShardCall],
    choice: SchedulerChoice,
    client: Any,
    note: Callable[[Receipt], None],
) -> None:
    if client is None and choice.name == "sync":
        from codebatch.worker import run_shard  # noqa: PLC0415 - as above

        # One after the other in this thread: no graph is needed, and importing Dask takes
        # longer than most runs of this kind.
        for call in calls:
            note(run_shard(call))
        return
    from codebatch import graph  # noqa: PLC0415 - imports dask, which only a larger run needs

    if client is not None:
        graph.run_on_cluster(client, calls, note)
    elif choice.is_local:
        graph.run_locally(choice.name, calls, min(choice.workers, len(calls)), note)
    else:
        with graph.connect(choice.name) as connected:
            graph.run_on_cluster(connected, calls, note)


def _record_failures(run: _Run) -> None:
    """Give a failed state to every shard that answered with failure but left none."""
    overview = run.overview()
    task_ids = [task.id for task in run.plan.tasks]
    for shard_id in overview.shard_ids:
        receipt = run.arrived.get(shard_id)
        if receipt is None or overview.shard_status(shard_id) in (DONE, FAILED):
            continue
        error = receipt.error or {}
        if error.get("code") == NotReusedError.code:
            continue
        said = error.get("message", "the shard left no valid result in the store")
        failure = ShardFailedError(str(said))
        commit_failure(run.store, run.batch_id, task_ids, shard_id, failure, "driver")
