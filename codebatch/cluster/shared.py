"""Shards on a cluster whose workers open the store: calls go out, receipts come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dask.task_spec import List, Task, TaskRef

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.usage import UsageTally
from codebatch.cluster.window import Bounds, Job, Part, Window, drive, next_try, shared_code
from codebatch.graph.compile import compile_graph, run_anywhere
from codebatch.graph.keys import end_key, shard_key
from codebatch.model.messages import Receipt, ShardCall
from codebatch.tasks.code.carry import NOTHING

# A call is a small message; that many let an adaptive cluster see how much there is to do.
_BOUNDS = Bounds(calls=1000, calls_per_thread=10)


def run_shared(
    cluster: Cluster,
    calls: Sequence[ShardCall],
    on_receipt: Callable[[Receipt], None],
    usage: UsageTally,
    code: bytes = NOTHING,
) -> None:
    """Run the calls; receipts arrive as they come. ``code`` is that of users' tasks among theirs.

    What workers die over again and again has a failed receipt that says so.
    """

    def job(part: Part) -> Job:
        return Job(shard_key(part.call, part.sent), run_anywhere, part.call, part)

    def take(done: Job, result: object) -> Iterator[Job]:
        if isinstance(result, Receipt):
            name = str(result.worker)
            usage.count(name, cluster.address_of(name))
        following = next_try(cluster, done.tag, result)
        if isinstance(following, Part):
            yield job(following)
        else:
            on_receipt(following)

    window = Window(cluster, _BOUNDS, shared_code(calls, code))
    drive(window, (job(Part(call)) for call in calls), take)


def leave_shared(
    cluster: Cluster,
    calls: Sequence[ShardCall],
    finish: Callable[[ShardCall, Sequence[Receipt]], object],
    code: bytes = NOTHING,
) -> bool:
    """Submit the calls, and ``finish`` of the first of them and all receipts, for the cluster to
    run when the client has left; false where it is at that already. Shards are so few that all of
    them fit into one graph.
    """
    last = end_key(calls[0])
    if cluster.knows(last):
        return False
    graph = compile_graph(calls, code)
    graph[last] = Task(last, finish, calls[0], List(*(TaskRef(shard_key(call)) for call in calls)))
    cluster.leave(graph)
    return True
