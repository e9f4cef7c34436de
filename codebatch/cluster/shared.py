"""Shards on a cluster whose workers open the store: calls go out, receipts come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from dask.task_spec import List, Task, TaskRef

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.usage import UsageTally
from codebatch.cluster.window import Bounds, Job, Part, Window, drive, next_try, shared_code
from codebatch.graph.compile import compile_graph, shard_nodes
from codebatch.graph.keys import Key, code_key, end_key, output_keys, shard_key
from codebatch.graph.reductions import node_key, reduction_nodes
from codebatch.model.messages import Receipt, ShardCall
from codebatch.reduction.messages import NodeCall, NodeReceipt
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


def run_nodes_shared(
    cluster: Cluster, calls: Sequence[NodeCall], code: bytes = NOTHING
) -> NodeReceipt | None:
    """Run the nodes of a batch task as one graph, and return the receipt of the last; None where
    the cluster has lost it.
    """
    found: list[NodeReceipt] = []

    def nodes(*shared: TaskRef) -> dict[Key, Any]:
        return reduction_nodes(calls, {}, shared)

    def take(_: Job, result: object) -> Iterator[Job]:
        if isinstance(result, NodeReceipt):
            found.append(result)
        return iter(())

    window = Window(cluster, _BOUNDS, shared_code([calls[0].call], code))
    drive(window, iter([Job(node_key(calls[-1]), nodes, None, tasks=len(calls))]), take)
    return found[0] if found else None


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
    work: tuple[Sequence[ShardCall], Sequence[NodeCall]],
    finish: Callable[..., object],
    of_end: ShardCall,
    code: bytes = NOTHING,
) -> bool:
    """Submit shards and nodes of batch tasks, and ``finish`` of ``of_end``, all receipts and the
    code, for the cluster to run when the client has left; false where it is at that already.
    Shards are so few that all of them fit into one graph.
    """
    calls, nodes = work
    last = end_key(of_end)
    if cluster.knows(last):
        return False
    calls = cut(calls, cluster.threads)
    graph = compile_graph(calls, code, nodes)
    receipts = List(*map(TaskRef, output_keys(graph)))
    carried = TaskRef(code_key(of_end)) if code_key(of_end) in graph else code
    graph[last] = Task(last, finish, of_end, receipts, carried)
    cluster.leave(graph)
    return True
