"""Run the batch tasks of a batch: their nodes, once the shards of the tasks they need are done.

Nodes run in one graph with the shards that they need, or after them; and the store is trusted, not
their receipts: where a value that a node needs is gone by then, all nodes are looked at once more,
which costs little where they are done.
One run works on the nodes of a task; another run of the batch waits for it, and takes over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

from codebatch.batch.dispatch import Executor, run_nodes
from codebatch.batch.journal import Journal
from codebatch.batch.options import OnWait
from codebatch.batch.report import check_written
from codebatch.model.errors import BatchNotFoundError, NotReusedError, ShardFailedError
from codebatch.model.messages import Receipt, ShardCall, Waiting
from codebatch.model.records import CLAIMED, DONE, FAILED, Plan, PlannedTask
from codebatch.reduction.messages import NodeCall, NodeReceipt
from codebatch.reduction.tree import claim_of, nodes_of
from codebatch.runtime.interrupts import check
from codebatch.runtime.lazy import lazily
from codebatch.shard.commit import commit_failure
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory
from codebatch.store.leases.claims import Claims

with lazily():
    from codebatch.reduction import sources

_MAX_ROUNDS = 3
_FIRST_POLL_SECONDS = 0.05
_LAST_POLL_SECONDS = 1.0


def open_nodes(found: BatchStatus, call: ShardCall) -> list[NodeCall]:
    """Return the nodes of all batch tasks that are not done, under a call that names no shard."""
    plan = found.plan
    tasks = [task.id for task in plan.batch_tasks if found.task_status(task.id) != DONE]
    return [NodeCall(call, node) for task_id in tasks for node in nodes_of(plan, task_id)]


@dataclass
class Reductions:
    """The batch tasks of one run.

    ``look`` gives the states as they are. State: ``computed`` counts the values that a task was
    called for, by task; ``refusals`` are receipts of nodes that failed for a reason which is not
    in the states; ``suspects`` the claims of tasks that may end the process they run in; ``_taken``
    has the receipt of the last node of each task that was run.
    """

    store: StoreDirectory
    plan: Plan
    journal: Journal
    on_wait: OnWait | None
    look: Callable[[], BatchStatus]
    computed: Counter[str] = field(default_factory=Counter)
    refusals: list[NodeReceipt] = field(default_factory=list)
    suspects: set[str] = field(default_factory=set)
    _taken: dict[str, NodeReceipt] = field(default_factory=dict)

    def calls(self, call: ShardCall) -> list[NodeCall]:
        """Return the nodes of all tasks that are not done, under a call that names no shard."""
        self._taken.clear()
        return open_nodes(self.look(), call)

    @property
    def have_run(self) -> bool:
        """True where there are receipts that are not counted yet."""
        return bool(self._taken)

    def take(self, receipt: NodeReceipt) -> None:
        """Keep the receipt of the last node of a task."""
        self._taken[receipt.node.task_id] = receipt

    def run(self, call: ShardCall, executor: Executor) -> Iterator[str]:
        """Run what can be run, under a call that names no shard; yield each task that has ended."""
        for task in self.plan.batch_tasks:
            while not self._run_rounds(task, call, executor):
                if not self._await_other(task, call):
                    break
            yield task.id

    def report(self, batch_id: str) -> dict[str, int]:
        """Return how many values of the tasks that are done were computed here, and how many not:
        of each tree a value was mapped, combined or finished, or was there.
        """
        found = self.look()
        done = [task.id for task in self.plan.batch_tasks if found.task_status(task.id) == DONE]
        each = sources.count_nodes(self.store, batch_id, self.plan) if done else 0
        computed = sum(self.computed[task_id] for task_id in done)
        return {"computed": computed, "reused": max(0, each * len(done) - computed)}

    def _is_open(self, task: PlannedTask, call: ShardCall) -> bool:
        """Return whether a task is to be run, and can be."""
        found = self.look()
        if any(found.task_status(need) != DONE for need in task.needs):
            return False
        states = found.states[task.id].values()
        failed = any(
            s is not None and s.status == FAILED and s.attempt == call.attempt for s in states
        )
        return found.task_status(task.id) != DONE and not failed

    def _run_rounds(self, task: PlannedTask, call: ShardCall, executor: Executor) -> bool:
        """Run the nodes of a task; False where another run does."""
        for tries in range(_MAX_ROUNDS):
            if task.id not in self._taken:
                if not self._is_open(task, call):
                    return True
                at = call._replace(tries=tries)
                self.take(run_tree(self.plan, task, at, executor, self.on_start, self.suspects))
            receipt = self._taken.pop(task.id)
            self.computed[task.id] += receipt.computed  # kept, whatever became of the last node
            if receipt.status == CLAIMED:
                return False
            if receipt.status == FAILED:
                self._record(task, call, receipt)
                return True
            if receipt.status == DONE and self.look().task_status(task.id) == DONE:
                return True
        self._fail(task, call, ShardFailedError("the nodes left no valid result in the store"))
        return True

    def on_start(self, call: NodeCall) -> None:
        """Log that a node starts in this process."""
        node = call.node
        facts = {"task_id": node.task_id, "step": node.step, "prefix": node.prefix}
        self.journal.log("node-started", attempt=call.call.attempt, **facts)

    def _record(self, task: PlannedTask, call: ShardCall, failed: NodeReceipt) -> None:
        """Take note of a failure: what the states do not say yet, they say then."""
        error = failed.error or {}
        code, said = error.get("code"), str(error.get("message"))
        self.journal.log("node-failed", task_id=task.id, attempt=call.attempt, error=dict(error))
        receipt = Receipt(self.plan.shards[0].shard_id, call.attempt, FAILED, error)
        check_written(call.batch_id, receipt)
        if code == NotReusedError.code:
            hints = [f"compute it: codebatch run --batch {call.batch_id}"]
            raise NotReusedError(f"task {task.id} needs computing: {said}", hints=hints)
        if code == BatchNotFoundError.code:
            raise BatchNotFoundError(said)
        self.refusals.append(failed)
        self._fail(task, call, ShardFailedError(said, code=code))

    def _fail(self, task: PlannedTask, call: ShardCall, error: ShardFailedError) -> None:
        """Give every shard that is not done a failed state, unless this attempt gave it one."""
        states = self.look().states[task.id]
        for shard_id, state in states.items():
            if state is None or (state.status == FAILED and state.attempt != call.attempt):
                place = [task.id], shard_id
                commit_failure(self.store, call.batch_id, *place, error, call.attempt)

    def _await_other(self, task: PlannedTask, call: ShardCall) -> bool:
        """Wait until the run that has claimed a task has finished it, or has ended; False where it
        has failed at it: that is not tried again here.
        """
        claims = Claims(self.store.layout, call.batch_id, call.lease.lease_id)
        pause, told = _FIRST_POLL_SECONDS, False
        before = {s.attempt for s in self.look().states[task.id].values() if s is not None}
        while (holder := claims.holder(claim_of(task.id))) is not None:
            states = self.look().states[task.id].values()
            if all(s is not None and s.status == DONE for s in states):
                return True
            if any(
                s is not None and s.status == FAILED and s.attempt not in before for s in states
            ):
                return False
            if not told and self.on_wait is not None:
                self.on_wait(Waiting(len(self.plan.shards), (str(holder.process or "another"),)))
                told = True
            check()
            time.sleep(pause)
            pause = min(2 * pause, _LAST_POLL_SECONDS)
        return True


def run_tree(
    plan: Plan,
    task: PlannedTask,
    call: ShardCall,
    executor: Executor,
    on_start: Callable[[NodeCall], None] = lambda _: None,
    suspects: Container[str] = (),
) -> NodeReceipt:
    """Run the nodes of a task, and return the receipt of the last: that of the first node which did
    not end well, where there is one.
    """
    receipts: list[NodeReceipt] = []
    nodes = [NodeCall(call, node) for node in nodes_of(plan, task.id)]
    run_nodes(nodes, executor, receipts.append, on_start, suspects)
    return receipts[-1]
