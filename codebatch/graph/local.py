"""Run a graph on this machine: in this thread, in threads, or in processes of our own pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import dask.local
import dask.multiprocessing
import dask.threaded

from codebatch.graph.compile import compile_graph
from codebatch.messages import Receipt, ShardCall
from codebatch.pool import make_pool
from codebatch.records import FAILED

OnReceipt = Callable[[Receipt], None]


def run_locally(
    scheduler: str, calls: Sequence[ShardCall], workers: int, on_receipt: OnReceipt
) -> None:
    """Run the calls with ``sync``, ``threads`` or ``processes``; receipts arrive as they come.

    An interrupt lets the shards that are running finish their commit, and drops the others.
    """
    if scheduler == "sync":
        _get(dask.local.get_sync, calls, on_receipt)
    elif scheduler == "threads":
        with _shut_down(ThreadPoolExecutor(workers)) as pool:
            _get(dask.threaded.get, calls, on_receipt, pool=pool, num_workers=workers)
    else:
        _run_in_processes(calls, workers, on_receipt)


def _run_in_processes(calls: Sequence[ShardCall], workers: int, on_receipt: OnReceipt) -> None:
    """Run in a pool; after a worker died, what has no receipt runs again, one shard a pool.

    A pool that breaks says nothing about which call broke it, and takes innocent calls along.
    """
    arrived: set[str] = set()

    def note(receipt: Receipt) -> None:
        arrived.add(receipt.shard_id)
        on_receipt(receipt)

    if not _survives(calls, workers, note):
        for call in calls:
            if call.shard_id in arrived:
                continue
            again = call._replace(attempt=f"{call.attempt}-alone")
            if not _survives([again], 1, note):
                note(_died(call))


def _survives(calls: Sequence[ShardCall], workers: int, on_receipt: OnReceipt) -> bool:
    pool = make_pool(workers)
    try:
        with _shut_down(pool):
            _get(
                dask.multiprocessing.get,
                calls,
                on_receipt,
                pool=pool,
                num_workers=workers,
                chunksize=1,
                optimize_graph=False,
            )
    except BrokenProcessPool:
        return False
    return True


def _get(
    get: Callable[..., Any], calls: Sequence[ShardCall], on_receipt: OnReceipt, **options: object
) -> None:
    def posttask(_key: object, receipt: Receipt, *_: object) -> None:
        on_receipt(receipt)

    graph = compile_graph(calls)
    get(graph, list(graph), callbacks=[(None, None, None, posttask, None)], **options)


class _shut_down:  # noqa: N801 - reads as the statement it is
    """Close a pool at the end of a block: running calls finish, waiting ones are dropped."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def __enter__(self) -> Executor:
        return self._pool

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _died(call: ShardCall) -> Receipt:
    error = {
        "code": "WORKER_DIED",
        "message": f"the worker process died while it computed shard {call.shard_id}",
    }
    return Receipt(call.shard_id, call.attempt, FAILED, error)
