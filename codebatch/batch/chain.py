"""Run many batches, of which each has most of its files from the one before.

A batch takes over from one before it what it can, so one process after the other would run them.
Where there are more processors, some batches far apart are run first, each by all workers; the
batches between two of these are then run by one child process, one after the other, and several
such spans side by side. A batch is run by `run_batch` wherever that is, so its results are those of
a run alone; what a child does not finish, this process runs.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

from codebatch.batch.dispatch import code_of
from codebatch.batch.options import RunOptions, States
from codebatch.batch.run import run_batch
from codebatch.batch.scheduler import AUTO, choose_scheduler, current_client
from codebatch.model.errors import CodeBatchError
from codebatch.model.limits import Limits
from codebatch.model.records import DONE
from codebatch.shard.run import opened_store
from codebatch.status.totals import Totals, totals_document, totals_from
from codebatch.store import StoreDirectory

_SPANS_PER_WORKER = 4
_LEAST_SPAN = 6  # shorter ones are over before another process has begun

_verified: dict[str, States] = {}  # of the batch that a child process has run last

OnDone = Callable[[str, "Totals | None"], None]
Link = tuple[str, str]  # a batch, and the one after it that is to be run
Done = tuple[str, Totals]


def run_chain(
    store: StoreDirectory, batch_ids: Sequence[str], options: RunOptions, on_done: OnDone
) -> None:
    """Run batches, each near to the one before; ``on_done`` is called with each that is done or has
    failed, in whatever order that is, and the totals of its states. An interrupt ends it; what is
    done stays.
    """
    ids = list(dict.fromkeys(batch_ids))
    options = replace(options, verified={})
    spans = _spans(ids, _workers(options))
    ends = [span[0] for span in spans]
    for before, batch_id in zip([None, *ends], ends, strict=False):
        _run(store, batch_id, before, options, on_done)
    left = {batch_id for span in spans for batch_id in span[1:]}
    if len(spans) > 1:
        for batch_id, totals in _run_spans(store, [list(pairwise(one)) for one in spans], options):
            left.discard(batch_id)
            on_done(batch_id, totals)
    for before, batch_id in pairwise(ids):
        if batch_id in left:
            _run(store, batch_id, before, options, on_done)


def run_link(
    root: str, store_id: str, link: Link, limits: Sequence[Any], memo: str | None
) -> Mapping[str, Any]:
    """Run a batch in a child process, and return its status and totals."""
    before, batch_id = link
    options = RunOptions(
        AUTO, 1, near=(before,), verified=_verified, limits=Limits(*limits), memo=memo
    )
    report = run_batch(opened_store(root, store_id), batch_id, options)
    return {"status": report.status, "totals": report.totals and totals_document(report.totals)}


def _run(
    store: StoreDirectory, batch_id: str, before: str | None, options: RunOptions, on_done: OnDone
) -> None:
    near = options.near if before is None else (before,)
    on_done(batch_id, run_batch(store, batch_id, replace(options, near=near)).totals)


def _workers(options: RunOptions) -> int:
    """Return how many processes may run batches side by side."""
    if options.client is not None or current_client(options.scheduler) is not None:
        return 1
    choice = choose_scheduler(options.scheduler, options.workers, sys.maxsize)
    is_plain = not (options.require_reused or options.retry_quarantined or options.anew)
    return choice.workers if choice.name == "processes" and is_plain else 1


def _spans(ids: Sequence[str], workers: int) -> list[Sequence[str]]:
    """Return the batches in spans of equal length; one where one process runs all."""
    count = min(workers * _SPANS_PER_WORKER, len(ids) // _LEAST_SPAN) if workers > 1 else 1
    count = max(count, 1)
    cuts = [len(ids) * number // count for number in range(count + 1)]
    return [ids[start:end] for start, end in pairwise(cuts) if start < end]


def _run_spans(
    store: StoreDirectory, spans: Iterable[Sequence[Link]], options: RunOptions
) -> Iterator[Done]:
    """Run spans in child processes; yield each batch that is done, and its totals. A span whose
    child ends, or cannot finish a batch, is left from there on.
    """
    from codebatch.processes.pool import ChildEndedError, Children  # noqa: PLC0415

    links = [span for span in spans if span]
    first = store.batches.load_plan(links[0][0][0])
    children = Children(code_of(first.tasks))
    ended: queue.SimpleQueue[Done | None] = queue.SimpleQueue()
    root = str(store.root.resolve())
    function = (__name__, run_link.__name__)

    def run(span: Sequence[Link]) -> None:
        try:
            with children.borrow() as child:
                for link in span:
                    arguments = [root, store.store_id, link, options.limits, options.memo]
                    child.send({"call": function, "with": arguments, "limits": options.limits})
                    answer = child.receive()
                    if answer.get("status") != DONE:
                        break
                    ended.put((link[1], totals_from(answer["totals"])))
        except (ChildEndedError, CodeBatchError, OSError):
            return  # this process runs the rest, and says what is wrong if that does not go
        finally:
            ended.put(None)

    pool = ThreadPoolExecutor(_workers(options))
    try:
        for span in links:
            pool.submit(run, span)
        at_work = len(links)
        while at_work:
            done = ended.get()
            if done is None:
                at_work -= 1
            else:
                yield done
    finally:
        children.close()
        pool.shutdown(cancel_futures=True)
