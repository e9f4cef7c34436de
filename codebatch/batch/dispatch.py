"""The calls of a run, one for each shard that is to be done, and the executor that runs them.

Shards that run in this process are logged before they start: a task that crashes takes this
process along, and the next run finds in the events which shards had begun (`batch.journal`).
Suspects run in child processes, whatever the scheduler. The tasks, child processes and Dask are
imported where there is work for them: a run that finds nothing to do needs none.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from codebatch.batch.options import RunOptions
from codebatch.batch.scheduler import (
    AUTO,
    SchedulerChoice,
    check_report,
    choose_scheduler,
    current_client,
    usable_cpus,
)
from codebatch.cluster.settings import ClusterSettings
from codebatch.cluster.usage import UsageTally
from codebatch.graph.keys import Key
from codebatch.model.errors import WorkerLostError
from codebatch.model.limits import choose_limits
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import DONE, FAILED, PlannedTask
from codebatch.runtime.interrupts import allowed, check, deferred
from codebatch.status.batch_status import BatchStatus
from codebatch.store import StoreDirectory

if TYPE_CHECKING:
    from codebatch.cluster.session import Session
    from codebatch.graph.runners import Runners
    from codebatch.processes.pool import Children
    from codebatch.reduction.messages import NodeCall, NodeReceipt

CLUSTER = "cluster"

OnReceipt = Callable[[Any], None]  # a receipt of a shard, or of a node of a batch task
OnStart = Callable[[Any], None]


def pending_calls(store: StoreDirectory, batch_status: BatchStatus) -> list[ShardCall]:
    """Return a call for each shard that is not done.

    Where there are some, the batch has no result until they are done: it vouches for all states.
    """
    done = {s for s in batch_status.shard_ids if batch_status.shard_status(s) == DONE}
    calls = all_calls(store, batch_status, done)
    if calls:
        store.batches.drop_result(batch_status.batch_id)
    return calls


def all_calls(store: StoreDirectory, batch_status: BatchStatus, done: set[str]) -> list[ShardCall]:
    """Return a call for each shard not in ``done``, largest first, under a fresh attempt."""
    attempt = os.urandom(8).hex()
    shards = sorted(batch_status.plan.shards, key=lambda shard: (-shard.bytes, shard.shard_id))
    root = str(store.root.resolve())
    limits = choose_limits()
    return [
        ShardCall(
            root,
            store.store_id,
            batch_status.batch_id,
            shard.shard_id,
            attempt,
            limits=limits,
            pipeline=batch_status.plan.pipeline,
        )
        for shard in shards
        if shard.shard_id not in done
    ]


def is_final(receipt: Receipt) -> bool:
    """Return whether the shard itself failed; a lost worker is the scheduler's failure."""
    error = receipt.error or {}
    return receipt.status == FAILED and error.get("code") != WorkerLostError.code


class Executor(NamedTuple):
    """The executor of shards: a local scheduler, or a cluster by its address or a client.

    A cluster has to be able to run ``tasks``, those of the plan; ``session`` is the connection to
    it while it is open. ``carried`` is the code of users' tasks where it came with the call of a
    run that was left to a cluster; else it is found here.
    """

    choice: SchedulerChoice
    client: Any
    cluster: ClusterSettings
    usage: UsageTally
    tasks: tuple[PlannedTask, ...]
    session: Session | None = None
    carried: bytes | None = None

    @property
    def code(self) -> bytes:
        """The code of users' tasks among those of the plan, as processes that run them get it."""
        return code_of(self.tasks) if self.carried is None else self.carried

    @property
    def kind(self) -> str:
        """The kind of scheduler: a local one by its name, or ``cluster``."""
        return self.choice.name if self.client is None and self.choice.is_local else CLUSTER


def choose_executor(
    options: RunOptions, tasks: tuple[PlannedTask, ...], usage: UsageTally, work_bytes: int
) -> Executor:
    """Return the executor for ``work_bytes`` of source; raise where the options cannot be met."""
    client = options.client or current_client(options.scheduler)
    scheduler = options.scheduler if client is None else AUTO
    choice = choose_scheduler(scheduler, options.workers, work_bytes)
    check_report(options.cluster.performance_report, choice, client)
    return Executor(choice, client, options.cluster, usage, tasks)


class Pending(NamedTuple):
    """What is not done of a batch, and what it needs: the arguments of `compile_graph`."""

    calls: Sequence[ShardCall]
    code: bytes
    nodes: Sequence[NodeCall]
    done: Sequence[ShardCall]


def pending_work(store: StoreDirectory, batch_status: BatchStatus) -> Pending:
    """Return what a graph of all that is not done is compiled from."""
    from codebatch.batch.reductions import open_nodes

    calls = pending_calls(store, batch_status.of_files)
    every = all_calls(store, batch_status, set())
    nodes = open_nodes(batch_status, every[0]._replace(shard_id="")) if every else []
    others = {call.shard_id for call in calls}
    done = [call for call in every if call.shard_id not in others] if nodes else []
    code = code_of(batch_status.plan.tasks) if calls or nodes else b""  # reading needs none
    return Pending(calls, code, nodes, done)


def code_of(tasks: Sequence[PlannedTask]) -> bytes:
    """Return the code of users' tasks among those of a plan, as processes that run them get it."""
    from codebatch.tasks.registry import TOOL, task_of

    planned = [task for task in tasks if task.code is not None or task.task == TOOL]
    if not planned:
        return b""
    from codebatch.tasks.code.carry import carry

    return carry(list(map(task_of, planned)))


@contextlib.contextmanager
def open_executor(executor: Executor, store: StoreDirectory) -> Iterator[Executor]:
    """Connect to the cluster, if it is one, for a block, and check that it can run the tasks;
    Dask's report is on all of the block.
    """
    if executor.kind != CLUSTER:
        yield executor
        return
    from codebatch.cluster import session
    from codebatch.cluster.preflight import preflight

    root, code = str(store.root.resolve()), executor.code
    work = preflight.Work(executor.tasks, root, store.store_id, code)
    where = executor.choice.name if executor.client is None else executor.client
    with session.open_session(where, executor.cluster, work, executor.usage) as opened:
        yield executor._replace(session=opened)


def run_calls(
    calls: Sequence[ShardCall],
    executor: Executor,
    on_receipt: OnReceipt,
    on_start: OnStart = lambda _: None,
    suspects: Container[str] = (),
    nodes: Sequence[NodeCall] = (),
) -> None:
    """Run the calls on an executor that is open, and ``nodes`` of batch tasks where it is on this
    machine; receipts arrive as they come.
    """
    if executor.session is not None:
        executor.session.run(calls, on_receipt)
    else:
        code = executor.code
        run_locally(calls, executor.choice, on_receipt, on_start, suspects, code, nodes)


def run_nodes(
    calls: Sequence[NodeCall],
    executor: Executor,
    on_receipt: Callable[[NodeReceipt], None],
    on_start: Callable[[NodeCall], None],
    suspects: Container[str] = (),
) -> None:
    """Run the nodes of a batch task: on a cluster whose workers open the store, else on this
    machine, in processes where the executor is a cluster. The receipt is that of the last.
    """
    choice = executor.choice
    if executor.session is not None:
        receipt = executor.session.run_nodes(calls)
        if receipt is not None:
            on_receipt(receipt)
            return
        choice = SchedulerChoice("processes", usable_cpus())
    run_locally([], choice, on_receipt, on_start, suspects, executor.code, calls)


def run_suspects(
    calls: Sequence[ShardCall], on_receipt: OnReceipt, on_start: OnStart, code: bytes = b""
) -> None:
    """Run the calls one after the other in a child process; an interrupt ends it. ``code`` is that
    of users' tasks.
    """
    if not calls:
        return
    from codebatch.processes.isolation import run_guarded
    from codebatch.processes.pool import Children

    children = Children(code)
    try:
        with allowed():  # the session of a cluster puts them off
            for call in calls:
                check()
                on_start(call)
                on_receipt(run_guarded(call, children))
    finally:
        children.close()


def run_locally(
    calls: Sequence[ShardCall],
    choice: SchedulerChoice,
    on_receipt: Callable[[Any], None],
    on_start: Callable[[Any], None] = lambda _: None,
    suspects: Container[str] = (),
    code: bytes = b"",
    nodes: Sequence[NodeCall] = (),
) -> None:
    """Run the graph of the calls and of ``nodes`` of batch tasks on this machine; receipts arrive
    as they come. ``code`` is that of users' tasks.

    By ``sync`` and by ``processes``, shards without nodes run several as one call and without a
    graph (`shard.together`), unless callbacks of Dask are to see them.
    Except by ``sync``, an interrupt lets the shards that are running finish their commit, and drops
    the others; a second one ends children, and is taken where it comes in this process.
    """
    needs_graph = nodes or choice.pool is not None or _is_observed()
    if choice.name == "sync" and not needs_graph:
        _run_here(calls, on_receipt, on_start, suspects, code)
        return
    if choice.name == "processes" and not needs_graph:
        _run_in_children(calls, choice.workers, on_receipt, code)
        return
    _run_graph(calls, choice, on_receipt, on_start, suspects, code, nodes)


def _run_graph(
    calls: Sequence[ShardCall],
    choice: SchedulerChoice,
    on_receipt: Callable[[Any], None],
    on_start: Callable[[Any], None],
    suspects: Container[str],
    code: bytes,
    nodes: Sequence[NodeCall],
) -> None:
    """Run the calls and the nodes as a graph of Dask."""
    from codebatch.processes.pool import Children, start_server

    if not choice.is_this_process:
        start_server()  # it loads its modules while this process loads Dask
    from codebatch.graph.compile import compile_graph
    from codebatch.graph.keys import digest_keys, output_keys, shard_key
    from codebatch.graph.local import Lane, run_graph
    from codebatch.graph.reductions import node_key

    children = Children(code)
    by_key: dict[Key, ShardCall | NodeCall] = {shard_key(call): call for call in calls}
    waits = digest_keys(map(shard_key, calls))
    by_key.update((node_key(call, waits), call) for call in nodes)

    def start(key: Key) -> None:
        if choice.is_this_process and key in by_key:
            on_start(by_key[key])

    runners = _runners(choice, children, suspects)
    workers = 0 if choice.name == "sync" else min(choice.workers, len(by_key))
    lane = Lane(workers, runners, choice.pool, choice.get, children.stop)
    actions = [children.stop] if choice.is_this_process else [children.stop, children.kill]
    try:
        with contextlib.nullcontext() if choice.name == "sync" else deferred(*actions):
            graph = compile_graph(calls, code, nodes)
            outputs = output_keys(graph)
            run_graph(graph, outputs, lane, lambda _, receipt: on_receipt(receipt), start)
    finally:
        children.close()


def _is_observed() -> bool:
    """Return whether callbacks of Dask are to see a run."""
    loaded = sys.modules.get("dask.callbacks")
    return loaded is not None and bool(loaded.Callback.active)


def _run_here(
    calls: Sequence[ShardCall],
    on_receipt: OnReceipt,
    on_start: OnStart,
    suspects: Container[str],
    code: bytes,
) -> None:
    """Run the calls in this process as one, without Dask: to import it takes as long as a small run
    does. An interrupt is taken wherever it comes.
    """
    from codebatch.shard.together import run_together

    run_suspects([call for call in calls if call.shard_id in suspects], on_receipt, on_start, code)
    others = [call for call in calls if call.shard_id not in suspects]
    with contextlib.closing(run_together(others, on_start)) as receipts:
        while True:
            with allowed():
                receipt = next(receipts, None)
            if receipt is None:
                break
            check()
            on_receipt(receipt)


def _run_in_children(
    calls: Sequence[ShardCall], workers: int, on_receipt: OnReceipt, code: bytes
) -> None:
    """Run the calls in child processes, several in each as one call, without Dask."""
    from codebatch.processes.pool import Children, start_server

    start_server()  # it loads its modules while this process loads those it needs
    from codebatch.processes.groups import run_groups

    children = Children(code)
    try:
        with deferred(children.stop, children.kill):
            run_groups(calls, workers, children, on_receipt)
    finally:
        children.close()


def _runners(choice: SchedulerChoice, children: Children, suspects: Container[str]) -> Runners:
    """Return what runs nodes in this process: it, or children that its threads wait for."""
    from codebatch.graph.runners import Runners
    from codebatch.processes.isolation import run_guarded
    from codebatch.processes.nodes import run_node_guarded
    from codebatch.reduction.run import run_node
    from codebatch.reduction.tree import claim_of
    from codebatch.shard.run import run_shard

    # The thread that waits for all is interrupted in a node: nothing else ends one.
    interruptible = allowed if choice.name == "sync" else contextlib.nullcontext

    def run(call: ShardCall) -> Receipt:
        is_here = choice.is_this_process and call.shard_id not in suspects
        with interruptible():
            return run_shard(call) if is_here else run_guarded(call, children)

    def run_one(call: NodeCall) -> NodeReceipt:
        is_here = choice.is_this_process and claim_of(call.node.task_id) not in suspects
        with interruptible():
            return run_node(call) if is_here else run_node_guarded(call, children)

    return Runners(run, run_one)
