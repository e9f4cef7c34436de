"""Shards on a cluster whose workers open the store: calls go out, receipts come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.usage import UsageTally
from codebatch.cluster.window import (
    Bounds,
    Job,
    Lost,
    Window,
    drive,
    is_worth_after_loss,
    is_worth_another_try,
    odd,
)
from codebatch.graph.compile import run_anywhere
from codebatch.graph.keys import shard_key
from codebatch.model.errors import WorkerLostError
from codebatch.model.messages import Receipt, ShardCall
from codebatch.shard.open import refusal

# A call is a small message; that many let an adaptive cluster see how much there is to do.
_BOUNDS = Bounds(calls=1000, calls_per_thread=10)

OnReceipt = Callable[[Receipt], None]


class _Try(NamedTuple):
    """A call that was sent before so many times, and failed at so many of them."""

    call: ShardCall
    sent: int = 0
    failed: int = 0

    def job(self) -> Job:
        """Return the call as a task of its own key."""
        return Job(shard_key(self.call, self.sent), run_anywhere, self.call, self)


def run_shared(
    cluster: Cluster, calls: Sequence[ShardCall], on_receipt: OnReceipt, usage: UsageTally
) -> None:
    """Run the calls; receipts arrive as they come.

    What workers die over again and again has a failed receipt that says so.
    """

    def take(job: Job, result: object) -> Iterator[Job]:
        call, sent, failed = job.tag
        if isinstance(result, Receipt):
            name = str(result.worker)
            usage.count(name, cluster.address_of(name))
            again = is_worth_another_try(cluster, result.error, result.worker, failed)
            following = _Try(call, sent + 1, failed + 1)
        else:
            lost = result if isinstance(result, Lost) else odd(result)
            again = is_worth_after_loss(lost, failed)
            following = _Try(call, sent + 1, failed + lost.is_blamed)
            result = refusal(call, WorkerLostError(lost.message))
        if again:
            yield following.job()
        else:
            on_receipt(result)

    drive(Window(cluster, _BOUNDS), (_Try(call).job() for call in calls), take)
