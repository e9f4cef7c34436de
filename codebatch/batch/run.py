"""Run what is pending of a batch, and record what happened.

What other batches have is linked first. Then a run trusts the store, not the scheduler: after
every round the states of the shards are read back, and what has no valid state is run again
under a new attempt, a few times. A run holds a lease and claims shards, which end with it; nothing
is locked, so a run may be killed at any instant and resumed anywhere. Runs of the same batch share
its shards (`batch.coordination`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from codebatch.batch.coordination import Coordination, coordinated, drop_quarantined, retrying
from codebatch.batch.dispatch import (
    Executor,
    choose_executor,
    is_final,
    open_executor,
    pending_calls,
    run_calls,
    run_suspects,
)
from codebatch.batch.journal import Journal, begun_and_lost
from codebatch.batch.options import RunOptions
from codebatch.batch.report import (
    RunReport,
    check_written,
    quarantined_files,
    report_run,
)
from codebatch.batch.reuse import Reuse
from codebatch.cluster.settings import UsageTally
from codebatch.model.clock import now
from codebatch.model.errors import BatchNotFoundError, NotReusedError, ShardFailedError, UsageError
from codebatch.model.messages import Receipt, ReusePolicy, ShardCall
from codebatch.model.records import CLAIMED, DONE, ShardState
from codebatch.plan.plan import check_toolchain
from codebatch.runtime.interrupts import allowed
from codebatch.shard.commit import commit_failure
from codebatch.status.batch_status import BatchStatus, States, without_files
from codebatch.store import StoreDirectory, check_there

MAX_ROUNDS = 3


def run_batch(store: StoreDirectory, batch_id: str, options: RunOptions) -> RunReport:
    """Run every shard of the batch that is not done, on a local scheduler or a cluster.

    Where neither a scheduler nor a client is given, Dask's current client is taken, if there is
    one. An interrupt (Ctrl-C) lets running shards commit and gives a report with status
    ``interrupted``.
    """
    began = time.monotonic()
    run = _Run(store, batch_id, options)
    # What cannot be is an error before anything is done.
    choose_executor(options, run.plan.tasks, run.usage, 0)
    if options.require_reused and options.retry_quarantined:
        raise UsageError(
            "to retry what is quarantined is to compute, which --require-reused forbids"
        )
    run.suspects = begun_and_lost(store, batch_id)
    if options.retry_quarantined:
        with retrying(store, batch_id):
            run.suspects |= drop_quarantined(
                store, _Run(store, batch_id, RunOptions()).batch_status()
            )
    interrupted = False
    try:
        if not run.is_settled():
            with coordinated(store, batch_id, run.batch_status) as run.coordination:
                if run.coordination.before.status == DONE:
                    run.report_idle(0)
                else:
                    _run_pending(run, run.coordination.before)
    except KeyboardInterrupt:
        interrupted = True
    return run.finish(began, interrupted=interrupted)


def finish_run(store: StoreDirectory, batch_id: str, receipts: Sequence[Receipt]) -> RunReport:
    """Report on shards that a scheduler of the caller's has run; what it lost runs here.

    ``seconds`` is the time of finishing alone: when the shards ran is not known here.
    """
    began = time.monotonic()
    run = _Run(store, batch_id, RunOptions("sync"))
    with coordinated(store, batch_id, run.batch_status) as run.coordination:
        if receipts:
            store.batches.drop_result(batch_id)  # a graph may be older than the result
        for receipt in receipts:
            run.on_receipt(receipt)
        _run_rounds(run, choose_executor(run.options, run.plan.tasks, run.usage, 0))
    return run.finish(began, interrupted=False)


class _Run:
    """One run in progress.

    State: ``arrived`` has the receipt of each shard that answered, ``attempts`` the attempts
    whose states are this run's work, with or without a receipt, ``base`` the batch that has most
    files as they are, ``suspects`` the shards that may end the process they run in, ``usage`` what
    is used of a cluster, ``coordination`` what is left to other runs, ``journal`` the events and
    the progress.
    ``_done`` holds the states whose outputs were found to match them, which a run checks once.
    ``_inherited`` is true until the states were read that earlier runs left of an unfinished batch;
    ``_wanting`` are the shards of which objects were damaged then. ``_is_settled`` says that there
    was nothing to do.
    """

    coordination: Coordination

    def __init__(self, store: StoreDirectory, batch_id: str, options: RunOptions) -> None:
        self.store = store
        self.batch_id = batch_id
        self.plan = store.batches.load_plan(batch_id)
        self.options = options
        self.suspects: set[str] = set()
        self.usage = UsageTally()
        self.arrived: dict[str, Receipt] = {}
        self.attempts: set[str] = set()
        self.base: str | None = None
        self.journal = Journal(store, batch_id, options.progress)
        self._done: dict[tuple[str, str], ShardState] = {}
        self._inherited = store.batches.is_unfinished(batch_id)
        self._wanting: set[str] = set()
        self._is_settled = False

    def completed(self, call: ShardCall) -> ShardCall:
        """Return the call with what this run adds to it."""
        reuse = ReusePolicy(self.base, self.options.require_reused, self.options.retry_quarantined)
        return self.coordination.completed(call)._replace(limits=self.options.limits, reuse=reuse)

    def await_others(self) -> bool:
        """Wait for other runs, and return whether there is something to do for this one then."""
        self.coordination.settled.update(self.arrived)
        with allowed():  # the session of a cluster puts interrupts off
            return self.coordination.await_others(self._states_of_others, self.options.on_wait)

    def _states_of_others(self, shard_id: str) -> list[ShardState | None]:
        states = self._states_of(shard_id)
        self.journal.settle(shard_id, states)
        return states

    def _states_of(self, shard_id: str) -> list[ShardState | None]:
        return [self._state(task.id, shard_id) for task in self.plan.tasks]

    def is_settled(self) -> bool:
        """Return whether the states give the result that the batch has: nothing is to be done.

        Then nothing is written either: no lease says that this run relies on the states.
        """
        if self._inherited:
            return False
        batch_status = self.batch_status()
        result = self.store.batches.load(self.batch_id).get("result")
        self._is_settled = batch_status.status == DONE and batch_status.result == result
        if self._is_settled:
            self.report_idle(0)
        else:
            self._done.clear()  # to be looked at again when the lease is held
        return self._is_settled

    def report_idle(self, pending: int) -> None:
        """Log that there is nothing to run, though so many shards were not done at first."""
        self.journal.start(pending)
        cluster = self.options.cluster
        if cluster.performance_report is not None:
            cluster.on_notice("there was nothing to run, and so nothing for a performance report")

    def on_receipt(self, receipt: Receipt) -> None:
        """Keep a receipt, log it and report progress."""
        if receipt.status == CLAIMED:
            self.coordination.claimed.add(receipt.shard_id)
            self.journal.claimed(receipt)
            return
        self.arrived[receipt.shard_id] = receipt
        self.attempts.add(receipt.attempt)
        check_written(self.batch_id, receipt)
        states = self._states_of(receipt.shard_id)  # now, while other shards are still at work
        self.journal.end(receipt)
        self.journal.settle(receipt.shard_id, states, failed=is_final(receipt))

    def batch_status(self) -> BatchStatus:
        """The states as the store has them now, outputs verified."""
        states = {
            task.id: {s.shard_id: self._state(task.id, s.shard_id) for s in self.plan.shards}
            for task in self.plan.tasks
        }
        if self._inherited:
            self._wanting = {s for t in states for s in states[t] if self._is_wanting(states, t, s)}
        self._inherited = False
        return BatchStatus(self.batch_id, self.plan, states)

    def _is_wanting(self, states: States, task_id: str, shard_id: str) -> bool:
        """Return whether there is a state that, read whole, does not count."""
        read = states[task_id][shard_id]
        return (
            read is None
            and self.store.shards.load_state(self.batch_id, task_id, shard_id) is not None
        )

    def adopt(self, states: Mapping[tuple[str, str], ShardState]) -> None:
        """Take over states that are known to be done and whole, by (task, shard)."""
        for place, state in states.items():
            self._done[place] = without_files(state)

    def _state(self, task_id: str, shard_id: str) -> ShardState | None:
        state = self._done.get((task_id, shard_id))
        if state is None:
            whole = self._inherited or shard_id in self._wanting.difference(self.arrived)
            state = self.store.shards.load_verified_state(
                self.batch_id, task_id, shard_id, whole=whole
            )
            if state is not None and state.status == DONE:
                state = self._done[task_id, shard_id] = without_files(state)
        return state

    def finish(self, began: float, *, interrupted: bool) -> RunReport:
        """Record the end, and report."""
        batch_status = self.batch_status()
        check_there(self.store.layout, self.batch_id)
        seconds = time.monotonic() - began
        report = report_run(
            batch_status,
            self.arrived,
            self.attempts,
            seconds,
            interrupted=interrupted,
            quarantined=quarantined_files(self.store, batch_status),
            cluster=self.usage.usage(),
        )
        if report.status == DONE and not self._is_settled:
            self._save_result(batch_status)
        self.journal.finish(report.status)
        return report

    def _save_result(self, batch_status: BatchStatus) -> None:
        """Make the finished batch durable and note its result, once."""
        document = self.store.batches.load(self.batch_id)
        if document.get("result") != batch_status.result:
            finished = {"result": batch_status.result, "finished": now()}
            self.store.batches.save_document(self.batch_id, {**document, **finished})


def _run_pending(run: _Run, before: BatchStatus) -> None:
    """Link what can be linked, then run the rest on a scheduler that suits it."""
    run.store.batches.drop_result(run.batch_id)
    reuse = Reuse(run.store, run.batch_id, run.plan)
    if not run.options.anew:
        run.adopt(reuse.link(before, "linked"))  # their outputs were checked where they are from
    batch_status = run.batch_status()
    pending = [s for s in run.plan.shards if batch_status.shard_status(s.shard_id) != DONE]
    work = reuse.new_bytes(pending)
    executor = choose_executor(run.options, run.plan.tasks, run.usage, work)
    not_done = before.shards()["total"] - before.shards()["done"]
    if not pending:
        run.report_idle(not_done)
    else:
        run.journal.start(not_done, executor.kind)
    run.journal.watch(run.plan, batch_status.states)
    if pending and not run.options.anew:
        run.base = reuse.base
    if pending:
        with open_executor(executor, run.store) as opened:
            _run_rounds(run, opened)


def _run_rounds(run: _Run, executor: Executor) -> None:
    """Run what is left to do, and what other runs leave."""
    _run_free(run, executor)
    while run.await_others():
        _run_free(run, executor)


def _run_free(run: _Run, executor: Executor) -> None:
    """Run what the store does not show as done; a shard that says it failed is not repeated.

    What workers leave undone again and again is run by this process and a child of its own.
    """
    for _ in range(MAX_ROUNDS):
        calls = _next_calls(run)
        if not calls:
            break
        check_toolchain(run.plan.tasks)
        run_calls(calls, executor, run.on_receipt, run.journal.on_start, run.suspects)
    else:
        run_suspects(_next_calls(run), run.on_receipt, run.journal.on_start)
    _record_failures(run)


def _next_calls(run: _Run) -> list[ShardCall]:
    """A call for each shard that is neither done nor failed, nor at work in another run."""
    calls = [
        run.completed(call)
        for call in run.coordination.ordered(pending_calls(run.store, run.batch_status()))
        if run.coordination.is_free(call.shard_id)
        if run.arrived.get(call.shard_id) is None or not is_final(run.arrived[call.shard_id])
    ]
    run.attempts.update(call.attempt for call in calls)
    return calls


def _record_failures(run: _Run) -> None:
    """Give a failed state to every shard that answered with failure but left none.

    One that an earlier run has left says why it failed then, and other runs of the batch do not
    take it for an outcome of this one.
    """
    batch_status = run.batch_status()
    task_ids = [task.id for task in run.plan.tasks]
    for shard_id in batch_status.shard_ids:
        receipt = run.arrived.get(shard_id)
        if receipt is None or batch_status.shard_status(shard_id) == DONE:
            continue
        if batch_status.has_failed(shard_id, receipt.attempt):
            continue
        error = receipt.error or {}
        if error.get("code") == NotReusedError.code:
            continue
        if error.get("code") == BatchNotFoundError.code:
            raise BatchNotFoundError(str(error.get("message")))
        said = error.get("message", "the shard left no valid result in the store")
        failure = ShardFailedError(str(said), code=error.get("code"))
        commit_failure(run.store, run.batch_id, task_ids, shard_id, failure, receipt.attempt)
