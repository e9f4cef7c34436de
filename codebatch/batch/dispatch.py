"""Hand shard calls to a scheduler.

Shards that run in this process are announced before they start: a task that crashes takes this
process along, and the next run finds in the events which shards had begun (`codebatch.batch.
suspects`). Suspects run in child processes, whatever the scheduler.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from codebatch.cluster_settings import AUTO, SHIPPED, ClusterSettings
from codebatch.lazy import lazy
from codebatch.messages import Receipt, ShardCall
from codebatch.records import PlannedTask
from codebatch.schedulers import SchedulerChoice
from codebatch.store import StoreDirectory
from codebatch.usage import UsageTally

if TYPE_CHECKING:
    from codebatch import graph, isolation, pool, worker
    from codebatch.graph import Cluster
else:
    graph = lazy("codebatch.graph")  # imports dask, which only a larger run needs
    isolation = lazy("codebatch.isolation")
    pool = lazy("codebatch.pool")
    worker = lazy("codebatch.worker")  # the tasks, which only work needs

CLUSTER = "cluster"

Note = Callable[[Receipt], None]
Announce = Callable[[ShardCall], None]


class Crew(NamedTuple):
    """Who does the work: a local scheduler, an address, or a client to use instead of either.

    ``tasks`` are those of the plan, which a cluster has to be fit for; ``on`` is the cluster of a
    crew that is at work on one.
    """

    choice: SchedulerChoice
    client: Any
    cluster: ClusterSettings
    usage: UsageTally
    tasks: tuple[PlannedTask, ...]
    on: Cluster | None = None

    @property
    def works_here(self) -> bool:
        """Whether tasks run in this process."""
        return self.client is None and self.choice.name in ("sync", "threads")

    @property
    def kind(self) -> str:
        """The kind of scheduler: a local one by its name, or ``cluster``."""
        return self.choice.name if self.client is None and self.choice.is_local else CLUSTER


@contextlib.contextmanager
def at_work(crew: Crew, store: StoreDirectory) -> Iterator[Crew]:
    """The crew at work for a block: a cluster is connected for all of it, and found fit for the
    tasks before; Dask's report is on all of it.
    """
    if crew.kind != CLUSTER:
        yield crew
        return
    settings = graph.completed(crew.cluster)
    with contextlib.ExitStack() as stack:
        if crew.client is not None:
            on = graph.Cluster(crew.client, settings)
        else:
            on = stack.enter_context(graph.connected(crew.choice.name, settings))
        graph.check_reporting(on.client, settings)
        place = crew.tasks, str(store.root.resolve()), store.store_id
        fitness = graph.examine(
            on.client, *place, settings.transport or AUTO, settings.on_notice, settings.timeout
        )
        crew.usage.transport = fitness.transport
        on.settle(
            fitness, lambda some: graph.examine_workers(on.client, some, *place, fitness.transport)
        )
        stack.enter_context(graph.reporting(on, settings))
        yield crew._replace(on=on)


def run_calls(
    calls: Sequence[ShardCall],
    crew: Crew,
    note: Note,
    announce: Announce = lambda _: None,
    suspects: Container[str] = (),
) -> None:
    """Run the calls with a crew that is at work; receipts arrive at ``note`` as they come."""
    if crew.works_here:
        suspected = [call for call in calls if call.shard_id in suspects]
        run_suspects(suspected, note, announce)
        others = [call for call in calls if call.shard_id not in suspects]
        _run_here(others, crew.choice, note, announce)
    elif crew.on is not None:
        _run_on(crew.on, calls, crew, note)
    else:
        graph.run_in_processes(calls, min(crew.choice.workers, len(calls)), note)


def _run_on(cluster: Cluster, calls: Sequence[ShardCall], crew: Crew, note: Note) -> None:
    """Run the calls on a cluster, with the transport that fits it."""
    run = graph.run_shipped if crew.usage.transport == SHIPPED else graph.run_shared
    run(cluster, calls, note, crew.usage)


def run_suspects(calls: Sequence[ShardCall], note: Note, announce: Announce) -> None:
    """Run the calls one after the other in a child process."""
    children = pool.Children()
    try:
        for call in calls:
            announce(call)
            note(isolation.run_guarded(call, children))
    finally:
        children.close()


def _run_here(
    calls: Sequence[ShardCall], choice: SchedulerChoice, note: Note, announce: Announce
) -> None:
    if choice.name == "threads" and calls:
        workers = min(choice.workers, len(calls))
        graph.run_in_threads(calls, workers, note, announce)
        return
    # One after the other in this thread: no graph is needed, and importing Dask takes longer
    # than most runs of this kind.
    for call in calls:
        announce(call)
        note(worker.run_shard(call))
