"""Run shards in child processes, several in a child as one call (`shard.together`), without Dask.

A child says of each shard that it is done before it goes on to the next, so that an interrupt lets
it finish what it is at and no more. What a child leaves undone, since it ended say, is run shard by
shard (`processes.isolation`), which finds the file to blame.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from codebatch.model.errors import CodeBatchError
from codebatch.model.messages import Receipt, ShardCall, Used
from codebatch.processes.child import receipt_from
from codebatch.processes.isolation import run_guarded
from codebatch.processes.pool import ChildEndedError, Children
from codebatch.runtime.interrupts import check
from codebatch.shard.together import groups_of


def run_groups(
    calls: Sequence[ShardCall],
    workers: int,
    children: Children,
    on_receipt: Callable[[Receipt], None],
) -> None:
    """Run shards in so many children; ``on_receipt`` is given the receipt of each as it comes. An
    interrupt that was put off is taken between receipts; what is at work then ends its shard.
    """
    groups = list(groups_of(calls, workers))
    arrived: SimpleQueue[Receipt | None] = SimpleQueue()  # None where a group has ended

    def work(group: Sequence[ShardCall]) -> None:
        try:
            for receipt in _run_guarded(group, children):
                arrived.put(receipt)
        finally:
            arrived.put(None)

    with ThreadPoolExecutor(max(1, min(workers, len(groups)))) as pool:
        futures = [pool.submit(work, group) for group in groups]
        try:
            at_work = len(groups)
            while at_work:
                receipt = arrived.get()
                check()
                if receipt is None:
                    at_work -= 1
                else:
                    on_receipt(receipt)
        except BaseException:
            children.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for future in futures:
        future.result()


def _run_guarded(group: Sequence[ShardCall], children: Children) -> Iterator[Receipt]:
    left = list(group)
    if len(left) > 1:
        # Whatever goes wrong with the child goes wrong again, or not, with those left one by one.
        with contextlib.suppress(ChildEndedError, CodeBatchError, OSError):
            yield from _run_in_child(left, children)
    while left and not children.stopped:
        yield run_guarded(left.pop(0), children)


def _run_in_child(left: list[ShardCall], children: Children) -> Iterator[Receipt]:
    """Run shards in a child, as far as it comes; those that it has done are taken from ``left``."""
    with children.borrow() as child:
        child.send({"run": left, "limits": left[0].limits})
        while left:
            answer = child.receive()
            if "receipt" not in answer:
                raise ChildEndedError(0)
            del left[0]
            yield receipt_from(answer["receipt"])._replace(used=Used(*answer["used"]))
            if left:
                goes_on = not children.stopped
                child.send(goes_on)
                if not goes_on:
                    return
