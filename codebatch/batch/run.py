"""Run what is pending of a batch, and record what happened.

What other batches have is linked first, then what a remote has is fetched. After that, a run trusts
the store, not the scheduler: after every round the states of the shards are read back, and what has
no valid state is run again under a new attempt, a few times. A run holds a lease and claims shards,
which end with it; nothing is locked, so a run may be killed at any instant and resumed anywhere.
Runs of the same batch share its shards (`batch.coordination`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from codebatch.batch.coordination import (
    Coordination,
    coordinated,
    drop_quarantined,
    record_failures,
    retrying,
)
from codebatch.batch.create import ask_again
from codebatch.batch.dispatch import (
    Executor,
    all_calls,
    choose_executor,
    is_final,
    open_executor,
    pending_calls,
    run_calls,
    run_suspects,
)
from codebatch.batch.journal import Journal, begun_and_lost
from codebatch.batch.options import RunOptions
from codebatch.batch.reductions import Reductions
from codebatch.batch.report import (
    RunInterrupted,
    RunReport,
    check_written,
    quarantined_files,
    report_run,
)
from codebatch.batch.reuse import Reuse
from codebatch.batch.sharing import SharedResults
from codebatch.cluster.usage import UsageTally
from codebatch.model.clock import now, seconds_at
from codebatch.model.errors import UsageError
from codebatch.model.messages import Receipt, ReusePolicy, ShardCall
from codebatch.model.records import BATCH_SCOPE, CLAIMED, DONE, FAILED, ShardState
from codebatch.plan.plan import check_toolchain
from codebatch.reduction.messages import NodeCall, NodeReceipt
from codebatch.runtime.interrupts import allowed, check, deferred, is_interrupted
from codebatch.status.batch_status import BatchStatus, load_batch_status, without_files
from codebatch.store import StoreDirectory, check_there

MAX_ROUNDS = 3
_PATIENCE = 3  # interrupts that are put off; one more is taken wherever it comes


def run_batch(store: StoreDirectory, batch_id: str, options: RunOptions) -> RunReport:
    """Run every shard of the batch that is not done, on a local scheduler or a cluster; where none
    is named, on Dask's current client, if there is one. An interrupt (Ctrl-C) lets running shards
    commit and raises `RunInterrupted` with the report: ``interrupted``, unless all was done.
    """
    with deferred(*[lambda: None] * _PATIENCE):  # a lease that is not given up would last
        began = time.monotonic()
        run = Run(store, batch_id, options)
        # What cannot be is an error before anything is done.
        choose_executor(options, run.plan.tasks, run.usage, 0)
        run.prepare()
        ask_again(store, batch_id)
        interrupted = False
        try:
            if not run.is_settled():
                with coordinated(store, batch_id, run.batch_status) as run.coordination:
                    run.run_pending(run.coordination.before)
        except KeyboardInterrupt:
            interrupted = True
        report = run.finish(began, interrupted=interrupted)
        if is_interrupted() or interrupted:  # it may have come twice
            raise RunInterrupted(report)
        with allowed():
            return run.shared.publish(report)


def finish_run(
    store: StoreDirectory, batch_id: str, receipts: Sequence[Receipt], began_at: float
) -> RunReport:
    """Report on shards that a scheduler of the caller's has run since ``began_at``, in seconds
    since 1970; what it lost runs here. What passes between the last of them and this call is no
    time of the run: it may have been persisted long ago.
    """
    began = time.monotonic()
    run = Run(store, batch_id, RunOptions("sync"))
    ask_again(store, batch_id)
    with coordinated(store, batch_id, run.batch_status) as run.coordination:
        if receipts:
            store.batches.drop_result(batch_id)  # a graph may be older than the result
        for receipt in receipts:
            run.attempts.add(receipt.attempt)
            run.on_receipt(receipt)
        began -= run.seconds_from(began_at)
        run.run_rounds(choose_executor(run.options, run.plan.tasks, run.usage, 0))
    return run.finish(began, interrupted=False)


class Run:
    """One run in progress.

    State: ``arrived`` has the receipt of each shard that answered, ``attempts`` the attempts
    whose states are this run's work, ``base`` the batch that has most files as they are,
    ``suspects`` the shards that may end the process they run in, ``usage`` what is used of a
    cluster, ``coordination`` what is left to other runs, ``journal`` the events and the progress,
    ``shared`` the remote. ``_asked`` counts how often each shard was asked for, ``_new_bytes`` how
    much of it the base batch does not have, ``_done`` has the states that match their outputs,
    which a run checks once; ``_inherited`` says that those of earlier runs are read whole, with
    the objects behind them: the batch was left unfinished.
    """

    coordination: Coordination

    def __init__(self, store: StoreDirectory, batch_id: str, options: RunOptions) -> None:
        self.store = store
        self.batch_id = batch_id
        self.plan = store.batches.load_plan(batch_id)
        self.journal = Journal(store, batch_id, options.progress)
        cluster = replace(options.cluster, on_stall=self.journal.on_stall)
        self.options = replace(options, cluster=cluster)
        self.suspects: set[str] = set()
        self.usage = UsageTally()
        self.arrived: dict[str, Receipt] = {}
        self.attempts: set[str] = set()
        self.base: str | None = None
        self.reductions = Reductions(
            store, self.plan, self.journal, options.on_wait, self.batch_status
        )
        self.shared = SharedResults(store, batch_id, self.plan, self.options)
        self._asked: Counter[str] = Counter()
        self._new_bytes: dict[str, int] = {}
        self._done: dict[tuple[str, str], ShardState] = {}
        self._kept = without_files if options.verified is None else lambda state: state
        self._inherited = store.batches.is_unfinished(batch_id)

    def prepare(self) -> None:
        """Find out what may end the process that runs it, and drop what is to be tried again."""
        options, store, batch_id = self.options, self.store, self.batch_id
        if options.require_reused and options.retry_quarantined:
            raise UsageError(
                "to retry what is quarantined is to compute, which --require-reused forbids"
            )
        self.suspects = begun_and_lost(store, batch_id)
        self.reductions.suspects |= self.suspects
        if options.retry_quarantined:
            with retrying(store, batch_id):
                found = load_batch_status(store, batch_id, verify=True)
                self.suspects |= drop_quarantined(store, found)

    def is_settled(self) -> bool:
        """Return whether the states give the result that the batch has: nothing is to be done.

        Then nothing is written either: no lease says that this run relies on the states.
        """
        if self._inherited:
            return False
        found = self.batch_status()
        result = self.store.batches.load(self.batch_id).get("result")
        if found.status == DONE and found.result == result:
            self._start_idle(0)
            return True
        self._done.clear()  # to be looked at again when the lease is held
        return False

    def run_pending(self, before: BatchStatus) -> None:
        """Link what can be linked, then run the rest on a scheduler that suits it."""
        check()
        executor = self.link(before)
        check()
        if executor is not None:
            with open_executor(executor, self.store) as opened:
                self.run_rounds(opened)

    def link(self, before: BatchStatus) -> Executor | None:
        """Link what other batches have, and return what suits the rest; None where none is left."""
        if before.status == DONE:
            self._start_idle(0)
            return None
        self.store.batches.drop_result(self.batch_id)
        reuse = Reuse(self.store, self.batch_id, self.plan, self.options)
        if not self.options.anew:  # the outputs of what is linked were checked where they are from
            for place, state in reuse.link(before, "linked").items():
                self._done[place] = self._kept(state)
        found = self.batch_status()
        of_files = found.of_files
        pending = [s for s in self.plan.shards if of_files.shard_status(s.shard_id) != DONE]
        not_done = before.shards()["total"] - before.shards()["done"]
        if found.status == DONE:
            self._start_idle(not_done)
            self.journal.watch(self.plan, found.states)
            return None
        with allowed():
            self.shared.fetch(pending, reuse)
        self._new_bytes = reuse.new_bytes(pending)
        work = sum(self._new_bytes.values())
        executor = choose_executor(self.options, self.plan.tasks, self.usage, work)
        self.base = None if self.options.anew else reuse.base
        self.journal.log("run-started", pending=not_done, scheduler=executor.kind)
        self.journal.watch(self.plan, found.states)
        return executor

    def run_rounds(self, executor: Executor) -> None:
        """Run what is left to do, and then what other runs leave."""
        waiting = True
        while waiting:
            self._run_free(executor)
            self.coordination.settled.update(self.arrived)
            with allowed():  # the session of a cluster puts interrupts off
                waiting = self.coordination.await_others(self._settle_files, self.options.on_wait)
        self._run_reductions(executor)

    def _run_reductions(self, executor: Executor) -> None:
        """Run the batch tasks on the records of the others, as far as these are done."""
        found = self.batch_status()
        if not self.plan.batch_tasks or (found.status == DONE and not self.reductions.have_run):
            return
        call = self._node_call
        for task_id in self.reductions.run(call, executor):
            failed = self.batch_status().task_status(task_id) != DONE
            for shard in self.plan.shards:
                self._settle(shard.shard_id, failed=failed)
        for refused in self.reductions.refusals:
            shard_id = self.plan.shards[0].shard_id
            self.arrived[shard_id] = Receipt(shard_id, call.attempt, FAILED, refused.error)

    @cached_property
    def _node_call(self) -> ShardCall:
        """The call of the nodes of batch tasks, which names no shard."""
        (call,) = all_calls(self.store, self.batch_status(), set())[:1]
        reuse = ReusePolicy(None, self.options.require_reused)
        self.attempts.add(call.attempt)
        return call._replace(
            shard_id="", lease=self.coordination.lease, limits=self.options.limits, reuse=reuse
        )

    def nodes_beside(self, calls: Sequence[ShardCall]) -> list[NodeCall]:
        """Return the nodes of batch tasks that can run in one graph with these shards, since all
        others are done.
        """
        found = self.batch_status().of_files
        others = set(found.shard_ids) - {call.shard_id for call in calls}
        if not self.plan.batch_tasks or any(found.shard_status(s) != DONE for s in others):
            return []
        return self.reductions.calls(self._node_call)

    def _run_free(self, executor: Executor) -> None:
        """Run what the store does not show as done; a shard that says it failed is not repeated.

        What workers leave undone again and again is run by this process and a child of its own.
        """
        for _ in range(MAX_ROUNDS):
            calls = self.next_calls()
            if not calls:
                break
            check()
            check_toolchain(self.plan.tasks)
            nodes = self.nodes_beside(calls)
            run_calls(calls, executor, self.on_receipt, self.on_start, self.suspects, nodes)
        else:
            run_suspects(self.next_calls(), self.on_receipt, self.journal.on_start, executor.code)
        record_failures(self.store, self.batch_status().of_files, self.arrived)

    def next_calls(self) -> list[ShardCall]:
        """A call for each shard that is neither done nor failed, nor at work in another run."""
        options = self.options
        reuse = ReusePolicy(self.base, options.require_reused, options.retry_quarantined)
        calls = [
            call._replace(
                lease=self.coordination.lease,
                limits=options.limits,
                reuse=reuse,
                tries=self._asked[call.shard_id],
                new_bytes=self._new_bytes.get(call.shard_id, 0),
            )
            for call in pending_calls(self.store, self.batch_status().of_files)
            if self.coordination.is_free(call.shard_id)
            if call.shard_id not in self.arrived or not is_final(self.arrived[call.shard_id])
        ]
        self.attempts.update(call.attempt for call in calls)
        self._asked.update(call.shard_id for call in calls)
        return calls

    def on_start(self, call: ShardCall | NodeCall) -> None:
        """Log that a shard or a node starts in this process."""
        if isinstance(call, NodeCall):
            self.reductions.on_start(call)
        else:
            self.journal.on_start(call)

    def on_receipt(self, receipt: Receipt | NodeReceipt) -> None:
        """Keep a receipt, log it and report progress."""
        if isinstance(receipt, NodeReceipt):
            self.reductions.take(receipt)
            return
        self.keep(receipt)
        if receipt.status == CLAIMED:
            self.journal.on_claimed(receipt)
            return
        check_written(self.batch_id, receipt)
        self.journal.on_end(receipt)
        self._settle(receipt.shard_id, failed=is_final(receipt))  # while other shards are at work

    def keep(self, receipt: Receipt) -> None:
        """Keep a receipt, of a shard that this run has done or leaves to another."""
        if receipt.status == CLAIMED:
            self.coordination.claimed.add(receipt.shard_id)
        else:
            self.arrived[receipt.shard_id] = receipt

    def seconds_from(self, moment: float) -> float:
        """Return how long after ``moment`` the last of the shards was done that others have run for
        this.
        """
        states = self.batch_status().present()
        ends = (seconds_at(one.finished) for one in states if one.attempt in self.attempts)
        return max([0.0, *(end - moment for end in ends if end is not None)])

    def _settle(self, shard_id: str, *, failed: bool = False) -> list[ShardState | None]:
        """Return the states of a shard, which are counted in the progress."""
        states = [self._state(task.id, shard_id) for task in self.plan.tasks]
        self.journal.settle(shard_id, states, failed=failed)
        return states

    def _settle_files(self, shard_id: str) -> list[ShardState | None]:
        """Return the states of a shard of the tasks that run in one."""
        states = zip(self.plan.tasks, self._settle(shard_id), strict=True)
        return [state for task, state in states if task.scope != BATCH_SCOPE]

    def _start_idle(self, pending: int) -> None:
        """Log that there is nothing to run, though so many shards were not done at first."""
        self.journal.log("run-started", pending=pending, scheduler=None)
        cluster = self.options.cluster
        if cluster.performance_report is not None:
            cluster.on_notice("there was nothing to run, and so nothing for a performance report")

    def batch_status(self) -> BatchStatus:
        """The states as the store has them now, outputs verified."""
        states = {
            task.id: {s.shard_id: self._state(task.id, s.shard_id) for s in self.plan.shards}
            for task in self.plan.tasks
        }
        return BatchStatus(self.batch_id, self.plan, states)

    def _state(self, task_id: str, shard_id: str) -> ShardState | None:
        state = self._done.get((task_id, shard_id))
        if state is None:
            state = self.store.shards.load_verified_state(
                self.batch_id,
                task_id,
                shard_id,
                whole=self._inherited and shard_id not in self.arrived,
            )
            if state is not None and state.status == DONE:
                state = self._done[task_id, shard_id] = self._kept(state)
        return state

    def finish(self, began: float, *, interrupted: bool) -> RunReport:
        """Record the end, and report; a finished batch is made durable with its result, once."""
        found = self.batch_status()
        check_there(self.store.layout, self.batch_id)
        seconds = time.monotonic() - began
        report = report_run(
            found,
            self.arrived,
            self.attempts,
            seconds,
            interrupted=interrupted,
            quarantined=quarantined_files(self.store, found),
            cluster=self.usage.usage(),
            nodes=self.reductions.report(self.batch_id),
        )
        self.options.keep_verified(self.batch_id, self._done)
        if report.status == DONE:
            document = self.store.batches.load(self.batch_id)
            if document.get("result") != found.result:
                document |= {"result": found.result, "finished": now()}
                self.store.batches.save_document(self.batch_id, document)
        self.journal.log("run-finished", status=report.status)
        return report
