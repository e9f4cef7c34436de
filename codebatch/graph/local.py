"""Run a graph on this machine: in threads, or in child processes that threads wait for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import dask.threaded

from codebatch.graph.compile import Graph, compile_graph
from codebatch.model.messages import Receipt, ShardCall
from codebatch.processes.isolation import run_guarded
from codebatch.processes.pool import Children, start_server
from codebatch.runtime.interrupts import check, deferred
from codebatch.shard.run import run_shard

OnReceipt = Callable[[Receipt], None]
OnStart = Callable[[ShardCall], None]


def run_in_threads(
    calls: Sequence[ShardCall], workers: int, on_receipt: OnReceipt, on_start: OnStart
) -> None:
    """Run the calls in this process; receipts arrive as they come.

    An interrupt lets the shards that are running finish their commit, and drops the others; a
    second one is taken where it comes.
    """
    graph = compile_graph(calls, run_shard)
    by_key = dict(zip(graph, calls, strict=True))
    with deferred(), _shut_down(ThreadPoolExecutor(workers)) as pool:
        _get(graph, pool, workers, on_receipt, lambda key, *_: on_start(by_key[key]))


def run_in_processes(calls: Sequence[ShardCall], workers: int, on_receipt: OnReceipt) -> None:
    """Run the calls in children; receipts arrive as they come.

    An interrupt lets the shards that are running finish as well, unless one has to be isolated;
    a second one ends them.
    """
    start_server()
    children = Children()
    graph = compile_graph(calls, partial(run_guarded, children=children))
    try:
        with (
            deferred(children.stop, children.kill),
            _shut_down(ThreadPoolExecutor(workers)) as pool,
        ):
            try:
                _get(graph, pool, workers, on_receipt)
            finally:
                children.stop()
    finally:
        children.close()


def _get(
    graph: Graph,
    pool: Executor,
    workers: int,
    on_receipt: OnReceipt,
    pretask: Callable[..., None] | None = None,
) -> None:
    def posttask(_key: object, receipt: Receipt, *_: object) -> None:
        check()  # no lock is held here
        on_receipt(receipt)

    callbacks = [(None, None, pretask, posttask, None)]
    dask.threaded.get(graph, list(graph), pool=pool, num_workers=workers, callbacks=callbacks)


class _shut_down:  # noqa: N801 - reads as the statement it is
    """Close a pool at the end of a block: running calls finish, waiting ones are dropped."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def __enter__(self) -> Executor:
        return self._pool

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
