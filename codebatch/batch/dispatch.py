"""Hand shard calls to a scheduler.

Shards that run in this process are announced before they start: a task that crashes takes this
process along, and the next run finds in the events which shards had begun (`codebatch.batch.
suspects`). Suspects run in child processes, whatever the scheduler.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from codebatch.batch.scheduler import SchedulerChoice
from codebatch.cluster.settings import ClusterSettings
from codebatch.cluster.usage import UsageTally
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import PlannedTask
from codebatch.runtime.interrupts import allowed
from codebatch.runtime.lazy import lazy
from codebatch.store import StoreDirectory

if TYPE_CHECKING:
    from codebatch.cluster import session
    from codebatch.cluster.session import Session
    from codebatch.graph import local
    from codebatch.processes import isolation, pool
    from codebatch.shard import run as worker
else:
    local = lazy("codebatch.graph.local")
    isolation = lazy("codebatch.processes.isolation")
    pool = lazy("codebatch.processes.pool")
    session = lazy("codebatch.cluster.session")  # imports distributed
    worker = lazy("codebatch.shard.run")  # the tasks, which only work needs

CLUSTER = "cluster"

Note = Callable[[Receipt], None]
Announce = Callable[[ShardCall], None]


class Crew(NamedTuple):
    """Who does the work: a local scheduler, an address, or a client to use instead of either.

    ``tasks`` are those of the plan, which a cluster has to be fit for; ``on`` is what a crew has of
    one that it is at work on.
    """

    choice: SchedulerChoice
    client: Any
    cluster: ClusterSettings
    usage: UsageTally
    tasks: tuple[PlannedTask, ...]
    on: Session | None = None

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
    work = session.Work(crew.tasks, str(store.root.resolve()), store.store_id)
    where = crew.choice.name if crew.client is None else crew.client
    with session.open_session(where, crew.cluster, work, crew.usage) as opened:
        yield crew._replace(on=opened)


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
        crew.on.run(calls, note)
    else:
        local.run_in_processes(calls, min(crew.choice.workers, len(calls)), note)


def run_suspects(calls: Sequence[ShardCall], note: Note, announce: Announce) -> None:
    """Run the calls one after the other in a child process; an interrupt ends it."""
    children = pool.Children()
    try:
        with allowed():  # the session of a cluster puts them off
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
        local.run_in_threads(calls, workers, note, announce)
        return
    for call in calls:
        announce(call)
        note(worker.run_shard(call))
