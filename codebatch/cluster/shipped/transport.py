"""Shards on a cluster whose workers never see the store: parcels go out, answers come back.

The client opens a shard when there is room for more on the cluster, sends what is not known of it
in parcels, and commits it when all of them are answered. A worker keeps what it was sent for a
while; what it is known to have is not sent to it again, and it says what it lacks.

State of `_ShippedRun`: ``_shipments`` are the shards that are on their way, by id; ``_locality``
the objects that each worker is believed to have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import distributed

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.preflight.facts import ask_briefly
from codebatch.cluster.shipped.locality import Locality
from codebatch.cluster.shipped.parcel_worker import CACHE, answer_parcel
from codebatch.cluster.shipped.shipment import ParcelLimits, Shipment
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
from codebatch.graph.keys import parcel_key
from codebatch.model.errors import WorkerLostError
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import FAILED
from codebatch.runtime.interrupts import check
from codebatch.shard.open import answered, refusal
from codebatch.shard.parcel import Answer, error_of, parcel_bytes
from codebatch.shard.run import open_shard

PARCELS = ParcelLimits()
_BOUNDS = Bounds(calls=8, calls_per_thread=3, bytes=64 * 2**20)

OnReceipt = Callable[[Receipt], None]


class _Parcel(NamedTuple):
    """A parcel that was sent before so many times, and failed at so many of them; ``asked`` are
    contents that a worker has asked for.
    """

    call: ShardCall
    number: int
    sent: int = 0
    failed: int = 0
    asked: frozenset[str] = frozenset()

    def again(self, *, failed: bool) -> _Parcel:
        """Return the parcel as it is sent the next time."""
        return self._replace(sent=self.sent + 1, failed=self.failed + failed)


def run_shipped(
    cluster: Cluster, calls: Sequence[ShardCall], on_receipt: OnReceipt, usage: UsageTally
) -> None:
    """Run the calls; receipts arrive as they come."""
    shipping = _ShippedRun(cluster, on_receipt, usage)
    drive(Window(cluster, _BOUNDS), shipping.jobs(calls), shipping.take)


def compute_on_worker(message: bytes) -> Answer:
    """Answer a parcel on the worker of a cluster that this process is."""
    worker = distributed.get_worker()
    return answer_parcel(message, str(worker.name), str(worker.address))


def cached_shorts() -> bytes:
    """Return the short digests of the objects that the worker of this process keeps."""
    return CACHE.shorts()


class _ShippedRun:
    """The parcels of one run."""

    def __init__(self, cluster: Cluster, on_receipt: OnReceipt, usage: UsageTally) -> None:
        self._cluster = cluster
        self._on_receipt = on_receipt
        self._usage = usage
        self._shipments: dict[str, Shipment] = {}
        self._locality = Locality(ask_briefly(cluster.client, cached_shorts))

    def jobs(self, calls: Iterable[ShardCall]) -> Iterator[Job]:
        """Yield the parcels of all shards; each shard is opened when its first is asked for."""
        for call in calls:
            check()  # there may be nothing to send of all that follow
            shard = open_shard(call)
            packed = (
                shard
                if isinstance(shard, Receipt)
                else answered(call, partial(Shipment, shard, PARCELS))
            )
            if isinstance(packed, Receipt):
                self._on_receipt(packed)
                continue
            self._shipments[call.shard_id] = packed
            for number in range(len(packed.portions)):
                yield from self._job(_Parcel(call, number))
            self._finish_if_complete(call)  # of which everything was known

    def take(self, job: Job, result: object) -> Iterator[Job]:
        """Take the result of a parcel; yield it anew where it has to be sent again."""
        parcel: _Parcel = job.tag
        self._locality.ended(job.prefer)
        if parcel.call.shard_id not in self._shipments:
            return  # its shard has failed over another parcel
        if isinstance(result, Answer):
            self._usage.count(result.worker, result.address, job.size, len(result.results))
            yield from self._take_answer(parcel, result)
            return
        lost = result if isinstance(result, Lost) else odd(result)
        if is_worth_after_loss(lost, parcel.failed):
            yield from self._job(parcel.again(failed=lost.is_blamed))
        else:
            self._fail(refusal(parcel.call, WorkerLostError(lost.message)))

    def _take_answer(self, parcel: _Parcel, answer: Answer) -> Iterator[Job]:
        call, shipment = parcel.call, self._shipments[parcel.call.shard_id]
        objects = [file.object for file in shipment.portions[parcel.number].files]
        if answer.missing and parcel.asked != frozenset(objects):
            self._locality.drop(answer.address, objects)
            # What was asked for; and all, if that was not all.
            asked = frozenset(objects if parcel.asked else answer.missing)
            yield from self._job(parcel.again(failed=False)._replace(asked=asked))
            return
        self._locality.put(answer.address, objects)
        error = _error_in(answer, parcel, shipment)
        if error is None:
            self._finish_if_complete(call)
        elif is_worth_another_try(self._cluster, error, answer.worker, parcel.failed):
            yield from self._job(parcel.again(failed=True))
        else:
            self._fail(Receipt(call.shard_id, call.attempt, FAILED, error, worker=answer.worker))

    def _job(self, parcel: _Parcel) -> Iterator[Job]:
        """Yield the task for a parcel; none where it cannot be read, or its shard failed."""
        call, shipment = parcel.call, self._shipments.get(parcel.call.shard_id)
        if shipment is None:
            return
        objects = [file.object for file in shipment.portions[parcel.number].files]
        home = self._locality.best(objects, self._cluster.addresses)

        def make() -> bytes:
            has = partial(self._locality.has, home)
            return parcel_bytes(shipment.parcel(parcel.number, has, parcel.asked))

        message = answered(call, make)
        if isinstance(message, Receipt):
            self._fail(message)
            return
        self._locality.expect(home)
        key = parcel_key(call, parcel.number, parcel.sent)
        yield Job(key, compute_on_worker, message, parcel, home, len(message))

    def _finish_if_complete(self, call: ShardCall) -> None:
        """Commit a shard once all its parcels are answered."""
        shipment = self._shipments.get(call.shard_id)
        if shipment is not None and shipment.is_complete:
            del self._shipments[call.shard_id]
            self._on_receipt(shipment.finish())

    def _fail(self, receipt: Receipt) -> None:
        del self._shipments[receipt.shard_id]
        self._on_receipt(receipt)


def _error_in(answer: Answer, parcel: _Parcel, shipment: Shipment) -> Mapping[str, object] | None:
    """Have a shipment take an answer; return the error in it, if any."""
    if answer.missing:
        return error_of(WorkerLostError("a worker lacks what it was sent"))
    if answer.error is not None:
        return answer.error
    taken = answered(parcel.call, lambda: shipment.take(parcel.number, answer))
    return taken.error if isinstance(taken, Receipt) else None
