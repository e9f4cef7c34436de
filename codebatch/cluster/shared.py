"""Shards on a cluster whose workers open the store: calls go out, receipts come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from dask.task_spec import List, Task, TaskRef

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.usage import UsageTally
from codebatch.cluster.window import Bounds, Job, Part, Window, drive, next_try, shared_code
from codebatch.graph.compile import compile_graph, shard_nodes
from codebatch.graph.keys import code_key, end_key, shard_key
from codebatch.model.messages import Receipt, ShardCall
from codebatch.tasks.code.carry import NOTHING

# A call is a small message; that many let an adaptive cluster see how much there is to do.
_BOUNDS = Bounds(calls=1000, calls_per_thread=10)
_CALLS_PER_THREAD = 4
LEAST_BYTES = 2**20  # of source in a part: half a second of work
_MOST_BYTES = 8 * 2**20  # so that a cluster that has few workers yet can get more at work


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
        call, sent = part.call, part.sent
        nodes = partial(shard_nodes, call, sent)
        return Job(shard_key(call, sent), nodes, part, tasks=call.parts)

    def take(done: Job, result: object) -> Iterator[Job]:
        if isinstance(result, Receipt):
            for effort in result.efforts:
                usage.count(effort)
        following = next_try(cluster, done.tag, result)
        if isinstance(following, Part):
            yield job(following)
        else:
            on_receipt(following)

    window = Window(cluster, _BOUNDS, shared_code(calls, code))
    drive(window, (job(Part(call)) for call in cut(calls, cluster.threads)), take)


def cut(calls: Sequence[ShardCall], threads: int) -> list[ShardCall]:
    """Return the calls with the number of parts in which each is computed: so many that there are
    some for each thread, but none of them of less than half a second of work. Results do not
    depend on it.
    """
    total = sum(call.new_bytes for call in calls)
    shares = _CALLS_PER_THREAD * max(threads, 1)  # of a cluster that may have no worker yet
    size = min(max(total / shares, LEAST_BYTES), _MOST_BYTES)
    return [
        call
        if call.reuse.required or call.recheck is not None
        else call._replace(parts=max(1, round(call.new_bytes / size)))
        for call in calls
    ]


def leave_shared(
    cluster: Cluster,
    calls: Sequence[ShardCall],
    finish: Callable[..., object],
    of_end: ShardCall,
    code: bytes = NOTHING,
) -> bool:
    """Submit the calls, and ``finish`` of ``of_end``, all receipts and the code, for the cluster to
    run when the client has left; false where it is at that already. Shards are so few that all of
    them fit into one graph.
    """
    last = end_key(of_end)
    if cluster.knows(last):
        return False
    calls = cut(calls, cluster.threads)
    graph = compile_graph(calls, code)
    receipts = List(*(TaskRef(shard_key(call)) for call in calls))
    carried = TaskRef(code_key(of_end)) if code_key(of_end) in graph else code
    graph[last] = Task(last, finish, of_end, receipts, carried)
    cluster.leave(graph)
    return True
