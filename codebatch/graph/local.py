"""Run a graph on this machine, by Dask's own local machinery (`dask.local.get_async`).

So callbacks of `dask.diagnostics` see a run, and a pool of the caller's may do it. What differs
from Dask's schedulers: an interrupt is taken between nodes, results are handed on as they come, and
when `run_graph` returns nothing that it started is still at work, whatever ended it.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.pool import Pool, ThreadPool
from typing import Any, NamedTuple

from dask.callbacks import Callback
from dask.local import MultiprocessingPoolExecutor, get_async, synchronous_executor

from codebatch.graph.keys import Key
from codebatch.graph.runners import Runners, running_by
from codebatch.runtime.interrupts import check

Observe = Callable[[Key], None]
OnResult = Callable[[Key, Any], None]


class Lane(NamedTuple):
    """What runs the nodes: so many ``workers``, in threads of their own or of a ``pool``, or the
    calling thread where there are none; or ``get``, a scheduler of the caller's. ``runners`` run
    them in this process, and ``stop`` keeps those at work from what takes long.
    """

    workers: int
    runners: Runners
    pool: Any = None
    get: Callable[..., Any] | None = None
    stop: Callable[[], None] = lambda: None


def run_graph(
    graph: Mapping[Key, Any],
    outputs: Sequence[Key],
    lane: Lane,
    on_result: OnResult,
    on_start: Observe = lambda _: None,
) -> None:
    """Run a graph; ``on_result`` is given each output as it comes, ``on_start`` the key of each
    node that is about to start. Of those that are ready, the first in the graph starts.

    An interrupt that was put off (`runtime.interrupts.deferred`) is taken between results: running
    nodes finish, no other starts.
    """
    wanted = set(outputs)

    def on_end(key: Key, result: Any, *_: object) -> None:
        check()  # no lock is held here
        if key in wanted:
            on_result(key, result)

    if lane.get is not None:
        for key, result in zip(outputs, lane.get(dict(graph), list(outputs)), strict=True):
            on_end(key, result)
        return
    places = {key: -place for place, key in enumerate(graph)}

    def sort_ready(_: object, state: Any) -> None:
        state["ready"].sort(key=places.__getitem__)  # taken from its end

    ours = (None, sort_ready, lambda key, *_: on_start(key), on_end, None)
    with running_by(lane.runners), _submitting(lane) as submit:
        get_async(  # type: ignore[no-untyped-call]
            submit,
            lane.workers or 1,
            dict(graph),
            list(outputs),
            get_id=threading.get_ident,
            callbacks=[ours, *Callback.active],
        )


@contextmanager
def _submitting(lane: Lane) -> Iterator[Callable[..., Future[Any]]]:
    """Yield the function that has a pool run something; none of it runs on when the block ends."""
    if not lane.workers:
        yield synchronous_executor.submit
        return
    own = ThreadPoolExecutor(lane.workers) if lane.pool is None else None
    pool = own or lane.pool
    is_threads = isinstance(pool, (ThreadPoolExecutor, ThreadPool))
    if isinstance(pool, Pool):
        pool = MultiprocessingPoolExecutor(pool)  # type: ignore[no-untyped-call]
    open_futures: set[Future[Any]] = set()

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        if is_threads:  # which run shards as the calling one is told to
            arguments = function, *arguments
            function = contextvars.copy_context().run
        future: Future[Any] = pool.submit(function, *arguments)
        open_futures.add(future)
        future.add_done_callback(open_futures.discard)
        return future

    try:
        yield submit
    finally:
        lane.stop()
        left = [future for future in tuple(open_futures) if not future.cancel()]
        wait(left)
        if own is not None:
            own.shutdown()
