"""Run shard calls on this machine: in threads, or in child processes that threads wait for.

No Dask: importing it takes 0.4 s of processor time, and independent calls need no graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from queue import SimpleQueue

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
    with deferred():
        _run_all(run_shard, calls, workers, on_receipt, on_start)


def run_in_processes(calls: Sequence[ShardCall], workers: int, on_receipt: OnReceipt) -> None:
    """Run the calls in children; receipts arrive as they come.

    An interrupt lets the shards that are running finish as well, unless one has to be isolated;
    a second one ends them.
    """
    start_server()
    children = Children()
    run = partial(run_guarded, children=children)
    try:
        with deferred(children.stop, children.kill):
            _run_all(run, calls, workers, on_receipt, stop=children.stop)
    finally:
        children.close()


def _run_all(
    run: Callable[[ShardCall], Receipt],
    calls: Sequence[ShardCall],
    workers: int,
    on_receipt: OnReceipt,
    on_start: OnStart = lambda _: None,
    stop: Callable[[], None] = lambda: None,
) -> None:
    """Run the calls in so many threads; running ones finish, whatever happens here."""
    waiting = iter(calls)
    ended: SimpleQueue[Future[Receipt]] = SimpleQueue()
    pool = ThreadPoolExecutor(workers)

    def start(most: int) -> None:
        for call in islice(waiting, most):
            on_start(call)
            pool.submit(run, call).add_done_callback(ended.put)

    try:
        start(workers)
        for _ in calls:
            receipt = ended.get().result()
            check()  # no lock is held here
            on_receipt(receipt)
            start(1)
    finally:
        stop()
        pool.shutdown(cancel_futures=True)
