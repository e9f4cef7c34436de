"""Create a batch, run what is pending of it, and record what happened.

A run trusts the store, not the scheduler: after every round the states of the shards are read
back, and what has no valid state is run again under a new attempt, a few times. Nothing is
held open and nothing is locked, so a run may be killed at any instant and resumed anywhere.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from codebatch.clock import now
from codebatch.commit import commit_failure
from codebatch.digest import Document
from codebatch.errors import NonDeterminismError, ShardFailedError
from codebatch.overview import BatchOverview, load_overview
from codebatch.pipeline import Pipeline
from codebatch.plan import make_plan, plan_document
from codebatch.records import DONE, FAILED, INTERRUPTED, Receipt, ShardCall
from codebatch.schedulers import SchedulerChoice, choose_scheduler
from codebatch.store import StoreDirectory
from codebatch.tasks.languages.detect import HEAD_BYTES
from codebatch.worker import check_toolchain

MAX_ROUNDS = 3

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BatchResult:
    """A batch as `init_batch` made or found it."""

    batch_id: str
    snapshot_id: str
    pipeline: str
    tasks: tuple[str, ...]
    shards: int
    created: bool


@dataclass(frozen=True)
class RunReport:
    """What a run came to. Files are counted per task and file; ``seconds`` is wall time."""

    batch_id: str
    snapshot_id: str
    status: str
    result: str | None
    shards: dict[str, int]
    files: dict[str, int]
    seconds: float
    errors: tuple[dict[str, object], ...] = ()


def init_batch(
    store: StoreDirectory, snapshot_id: str, pipeline: Pipeline, shards: int | None = None
) -> BatchResult:
    """Plan a pipeline over a snapshot and store the plan; a batch that exists stays as it is."""
    files = store.load_manifest(snapshot_id)
    resolved = make_plan(snapshot_id, files, pipeline, store_head(store), shards)
    batch_id = resolved.batch_id
    created = not store.has_batch(batch_id)
    plan = resolved.plan
    if created:
        document: Document = {
            "batch_id": batch_id,
            "snapshot_id": snapshot_id,
            "pipeline": plan.pipeline,
            "created": now(),
            "result": None,
        }
        tasks = [(task.id, asdict(task)) for task in plan.tasks]
        store.save_batch(batch_id, resolved.inputs, plan_document(resolved), tasks, document)
    else:
        plan = store.load_plan(batch_id)
    ids = tuple(task.id for task in plan.tasks)
    return BatchResult(batch_id, snapshot_id, plan.pipeline, ids, len(plan.shards), created)


def store_head(store: StoreDirectory) -> Callable[[str], bytes]:
    """A function that gives the first bytes of an object."""
    return lambda digest: store.objects.read(digest)[:HEAD_BYTES]


def pending_calls(store: StoreDirectory, overview: BatchOverview) -> list[ShardCall]:
    """A call for each shard that is not done, largest first, under a fresh attempt."""
    attempt = secrets.token_hex(8)
    shards = sorted(overview.plan.shards, key=lambda shard: (-shard.bytes, shard.shard_id))
    root = str(store.root.resolve())
    return [
        ShardCall(root, store.store_id, overview.batch_id, shard.shard_id, attempt)
        for shard in shards
        if overview.shard_status(shard.shard_id) != DONE
    ]


def run_batch(
    store: StoreDirectory,
    batch_id: str,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: Progress | None = None,
) -> RunReport:
    """Run every shard of the batch that is not done, on a local scheduler or a cluster.

    ``client`` is a ``distributed.Client`` to use instead of ``scheduler``. An interrupt
    (Ctrl-C) lets running shards commit and gives a report with status ``interrupted``.
    """
    began = time.monotonic()
    overview = load_overview(store, batch_id, verify=True)
    work = sum(shard.bytes for shard in overview.plan.shards)
    choice = choose_scheduler(scheduler, workers, work)
    check_toolchain(overview.plan.tasks)
    run = _Run(store, batch_id, progress, overview)
    store.append_event(batch_id, {"event": "run-started", "time": now(), "pending": run.pending})
    interrupted = False
    try:
        _run_rounds(run, choice, client)
    except KeyboardInterrupt:
        interrupted = True
    report = _report(run, time.monotonic() - began, interrupted=interrupted)
    store.append_event(batch_id, {"event": "run-finished", "time": now(), "status": report.status})
    return report


def finish_run(store: StoreDirectory, batch_id: str, receipts: Sequence[Receipt]) -> RunReport:
    """Report on shards that a scheduler of the caller's has run; what it lost runs here.

    ``seconds`` is the time of finishing alone: when the shards ran is not known here.
    """
    began = time.monotonic()
    run = _Run(store, batch_id, None, load_overview(store, batch_id))
    for receipt in receipts:
        run.note(receipt)
    _run_rounds(run, SchedulerChoice("sync", 1), None)
    return _report(run, time.monotonic() - began, interrupted=False)


class _Run:
    """One run in progress.

    State: ``arrived`` has the receipt of each shard that answered, ``attempts`` the attempts
    whose states are this run's work, with or without a receipt.
    """

    def __init__(
        self,
        store: StoreDirectory,
        batch_id: str,
        progress: Progress | None,
        overview: BatchOverview,
    ) -> None:
        self.store = store
        self.batch_id = batch_id
        self.arrived: dict[str, Receipt] = {}
        self.attempts: set[str] = set()
        self.total = len(overview.plan.shards)
        self.pending = self.total - overview.shards()["done"]
        self._progress = progress

    def note(self, receipt: Receipt) -> None:
        """Take a receipt: keep it, log it, tell whoever watches."""
        self.arrived[receipt.shard_id] = receipt
        self.attempts.add(receipt.attempt)
        event = {"event": f"shard-{receipt.status}", "time": now(), **asdict(receipt)}
        self.store.append_event(self.batch_id, event)
        if self._progress is not None:
            self._progress(self.total - self.pending + len(self.arrived), self.total)

    def disputed(self) -> list[Document]:
        """Shards that gave other bytes than those committed: the old ones stay, loudly."""
        return [
            {"shard_id": shard_id, **(receipt.error or {})}
            for shard_id, receipt in sorted(self.arrived.items())
            if (receipt.error or {}).get("code") == NonDeterminismError.code
        ]

    def overview(self) -> BatchOverview:
        """The states as the store has them now, outputs verified."""
        return load_overview(self.store, self.batch_id, verify=True)


def _run_rounds(run: _Run, choice: SchedulerChoice, client: Any) -> None:
    """Run what the store does not show as done; a shard that says it failed is not repeated."""
    for _ in range(MAX_ROUNDS):
        calls = [
            call
            for call in pending_calls(run.store, run.overview())
            if run.arrived.get(call.shard_id) is None or not _is_final(run.arrived[call.shard_id])
        ]
        if not calls:
            break
        run.attempts.update(call.attempt for call in calls)
        _run_calls(calls, choice, client, run.note)
    _record_failures(run)


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
    from codebatch import graph  # noqa: PLC0415 - imports dask, which only a run needs

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
    task_ids = [task.id for task in overview.plan.tasks]
    for shard_id in overview.shard_ids:
        receipt = run.arrived.get(shard_id)
        if receipt is None or overview.shard_status(shard_id) in (DONE, FAILED):
            continue
        said = (receipt.error or {}).get("message", "the shard left no valid result in the store")
        error = ShardFailedError(str(said))
        commit_failure(run.store, run.batch_id, task_ids, shard_id, error, "driver")


def _report(run: _Run, seconds: float, *, interrupted: bool) -> RunReport:
    overview = run.overview()
    disputed = run.disputed()
    status = FAILED if disputed else overview.status
    if status == DONE:
        _finish(run.store, overview)
    elif interrupted:
        status = INTERRUPTED
    elif status != FAILED:
        raise ShardFailedError(f"the run of {run.batch_id} ended with shards still pending")
    shards = overview.shards()
    errors = {str(error["shard_id"]): dict(error) for error in (*overview.errors(), *disputed)}
    return RunReport(
        batch_id=run.batch_id,
        snapshot_id=overview.plan.snapshot_id,
        status=status,
        result=None if disputed else overview.result,
        shards={name: shards[name] for name in ("total", "done", "failed")},
        files=_files(run, overview),
        seconds=round(seconds, 3),
        errors=tuple(errors[shard_id] for shard_id in sorted(errors)),
    )


def _files(run: _Run, overview: BatchOverview) -> dict[str, int]:
    """Computed by this run; reused from equal files of a shard or from an earlier run."""
    done = [state for state in overview.present() if state.status == DONE]
    total = sum(state.files for state in done)
    computed = sum(state.computed for state in done if state.attempt in run.attempts)
    return {"computed": computed, "reused": total - computed, "quarantined": 0}


def _finish(store: StoreDirectory, overview: BatchOverview) -> None:
    """Make the finished batch durable and note its result, once."""
    document = store.load_batch(overview.batch_id)
    if document.get("result") != overview.result:
        finished = {"result": overview.result, "finished": now()}
        store.save_batch_document(overview.batch_id, {**document, **finished})
