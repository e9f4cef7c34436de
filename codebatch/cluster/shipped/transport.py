"""Shards on a cluster whose workers never see the store: parcels go out, answers come back.

The client opens a shard when there is room for more on the cluster, sends what is not known of it
in parcels, and commits it when all of them are answered.

State of `_ShippedRun`: ``_shipments`` are the shards that are on their way, by id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import distributed

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.shipped.parcel_worker import answer_parcel
from codebatch.cluster.shipped.shipment import ParcelLimits, Shipment
from codebatch.cluster.usage import UsageTally
from codebatch.cluster.window import Bounds, Job, Part, Window, drive, next_try
from codebatch.graph.keys import parcel_key
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import FAILED
from codebatch.runtime.interrupts import check
from codebatch.shard.open import answered
from codebatch.shard.parcel import Answer, ContentMissingError, parcel_bytes
from codebatch.shard.run import open_shard

PARCELS = ParcelLimits()
_BOUNDS = Bounds(calls=8, calls_per_thread=3, bytes=64 * 2**20)

OnReceipt = Callable[[Receipt], None]


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


class _ShippedRun:
    """The parcels of one run."""

    def __init__(self, cluster: Cluster, on_receipt: OnReceipt, usage: UsageTally) -> None:
        self._cluster = cluster
        self._on_receipt = on_receipt
        self._usage = usage
        self._shipments: dict[str, Shipment] = {}

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
                yield from self._job(Part(call, number))
            self._finish_if_complete(call)  # of which everything was known

    def take(self, job: Job, result: object) -> Iterator[Job]:
        """Take the result of a parcel; yield it anew where it has to be sent again."""
        part: Part = job.tag
        call, shipment = part.call, self._shipments.get(part.call.shard_id)
        if shipment is None:
            return  # its shard has failed over another parcel
        if isinstance(result, Answer):
            self._usage.count(result.worker, result.address, job.size, len(result.results))
            error, taken = result.error, None
            if error is None:
                taken = answered(call, partial(shipment.take, part.number, result))
                error = taken.error if isinstance(taken, Receipt) else None
            if error is None:
                self._finish_if_complete(call)
                return
            if error["code"] == ContentMissingError.code and not part.is_whole:
                yield from self._job(part._replace(sent=part.sent + 1, is_whole=True))
                return
            result = Receipt(call.shard_id, call.attempt, FAILED, error, worker=result.worker)
        following = next_try(self._cluster, part, result)
        if isinstance(following, Part):
            yield from self._job(following)
        else:
            self._fail(following)

    def _job(self, part: Part) -> Iterator[Job]:
        """Yield the task for a parcel; none where it cannot be read, or its shard failed."""
        call, shipment = part.call, self._shipments.get(part.call.shard_id)
        if shipment is None:
            return
        parcel = partial(shipment.parcel, part.number, is_whole=part.is_whole)
        message = answered(call, lambda: parcel_bytes(parcel()))
        if isinstance(message, Receipt):
            self._fail(message)
            return
        key = parcel_key(call, part.number, part.sent)
        yield Job(key, compute_on_worker, message, part, len(message))

    def _finish_if_complete(self, call: ShardCall) -> None:
        """Commit a shard once all its parcels are answered."""
        shipment = self._shipments.get(call.shard_id)
        if shipment is not None and shipment.is_complete:
            del self._shipments[call.shard_id]
            self._on_receipt(shipment.finish())

    def _fail(self, receipt: Receipt) -> None:
        del self._shipments[receipt.shard_id]
        self._on_receipt(receipt)
