"""Shards on a cluster whose workers never see the store: parcels go out, answers come back.

The client opens a shard when there is room for more on the cluster, sends what is not known of it
in parcels, and when all of them are answered commits it as if it had been computed in place: the
same keys, the same order, the same bytes.

State of `_ShippedRun`: ``_shipments`` are the shards that are on their way, by id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.usage import UsageTally
from codebatch.cluster.window import Bounds, Job, Part, Window, drive, next_try, shared_code
from codebatch.graph.keys import part_key
from codebatch.graph.parts import answer_parcel
from codebatch.model.digest import digest_bytes
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.records import FAILED
from codebatch.runtime.interrupts import check
from codebatch.shard.parcel import (
    Answer,
    ContentMissingError,
    Parcel,
    Results,
    parcel_bytes,
    unpack_results,
)
from codebatch.shard.portion import finish_portions, portions_of, with_contents
from codebatch.shard.run import OpenShard, answered, open_shard
from codebatch.tasks.code.carry import NOTHING

# So many that a cluster which adapts to its work sees how much there is.
_BOUNDS = Bounds(calls=1000, calls_per_thread=10, bytes=64 * 2**20)
_SOURCE_BYTES = 2**20  # of a parcel, unless it is a single file: half a second of work

OnReceipt = Callable[[Receipt], None]


def run_shipped(
    cluster: Cluster,
    calls: Sequence[ShardCall],
    on_receipt: OnReceipt,
    usage: UsageTally,
    code: bytes = NOTHING,
) -> None:
    """Run the calls; receipts arrive as they come. ``code`` is that of users' tasks."""
    shipping = _ShippedRun(cluster, on_receipt, usage)
    window = Window(cluster, _BOUNDS, shared_code(calls, code))
    drive(window, shipping.jobs(calls), shipping.take)


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
                shard if isinstance(shard, Receipt) else answered(call, partial(Shipment, shard))
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
            self._usage.count(result.effort, job.size, len(result.results))
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
            result = Receipt(
                call.shard_id, call.attempt, FAILED, error, worker=result.effort.worker
            )
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
        content = digest_bytes(message)
        key = part_key(call, part.number, len(shipment.portions), content, part.sent)
        yield Job.of(key, answer_parcel, message, part, len(message))

    def _finish_if_complete(self, call: ShardCall) -> None:
        """Commit a shard once all its parcels are answered."""
        shipment = self._shipments.get(call.shard_id)
        if shipment is not None and shipment.is_complete:
            del self._shipments[call.shard_id]
            self._on_receipt(shipment.finish())

    def _fail(self, receipt: Receipt) -> None:
        del self._shipments[receipt.shard_id]
        self._on_receipt(receipt)


class Shipment:
    """One shard on its way: what is not known of it is packed here, and finished here.

    State: ``portions`` are parcels without contents, none where everything is known; ``_results``
    and ``_quarantined`` what came back, by the portion's index, ``_workers`` the names of who sent
    it.
    """

    def __init__(self, shard: OpenShard) -> None:
        self.shard = shard
        self.portions = [] if shard.call.reuse.required else list(portions_of(shard, _SOURCE_BYTES))
        self._results: dict[int, Results] = {}
        self._quarantined: dict[str, str] = {}
        self._workers: set[str] = set()

    @property
    def is_complete(self) -> bool:
        """True if every portion was answered."""
        return len(self._results) == len(self.portions)

    def parcel(self, index: int, *, is_whole: bool) -> Parcel:
        """Return a portion with the contents of the files that tasks may read, or of all."""
        return with_contents(self.shard, self.portions[index], is_whole=is_whole)

    def take(self, index: int, answer: Answer) -> None:
        """Take the answer to a parcel; `WorkerLostError` where it cannot be read."""
        self._results[index] = unpack_results(answer.results)
        self._quarantined.update(answer.quarantined)
        self._workers.add(answer.effort.worker)

    def finish(self) -> Receipt:
        """Commit the shard with what came back."""
        results = [self._results[index] for index in sorted(self._results)]
        self._results.clear()
        receipt = finish_portions(self.shard, results, self._quarantined.items())
        return receipt._replace(worker=", ".join(sorted(self._workers)) or None)
