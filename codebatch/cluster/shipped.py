"""Shards on a cluster whose workers never see the store: parcels go out, answers come back.

The client opens a shard when there is room for more on the cluster, sends what is not known of it
in parcels, and when all of them are answered commits it as if it had been computed in place: the
same keys, the same order, the same bytes.

State of `_ShippedRun`: ``_shipments`` are the shards that are on their way, by id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import starmap
from typing import Any

import distributed

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.usage import UsageTally
from codebatch.cluster.window import Bounds, Job, Part, Window, drive, next_try, shared_code
from codebatch.graph.keys import part_key
from codebatch.model.digest import digest_bytes
from codebatch.model.errors import CodeBatchError, MemoryExhaustedError
from codebatch.model.messages import Receipt, ShardCall
from codebatch.model.record_lines import FileLines, to_entry
from codebatch.model.records import FAILED, InputFile
from codebatch.processes.isolation import ask_child, isolated
from codebatch.processes.pool import Children, children_of
from codebatch.runtime.interrupts import check
from codebatch.shard.compute import Computation, ShardContext, groups_of_equals, memo_hits
from codebatch.shard.parcel import (
    Answer,
    ContentMissingError,
    Parcel,
    Results,
    compute_parcel,
    merged,
    pack_results,
    parcel_bytes,
    parcel_file,
    parcel_from,
    reader_of,
    received,
    task_bytes,
    unpack_results,
)
from codebatch.shard.run import OpenShard, answered, finish_shard, open_shard
from codebatch.tasks.code.carry import NOTHING, be_told

_BOUNDS = Bounds(calls=8, calls_per_thread=3, bytes=64 * 2**20)
_SOURCE_BYTES = 4 * 2**20  # of a parcel, unless it is a single file
_FILES = 1000  # of a parcel
_NEVER_READ = frozenset({"symlink", "binary"})

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


def answer_parcel(message: bytes, code: bytes = NOTHING) -> Answer:
    """Return the answer of the worker of a cluster that this process is."""
    worker = distributed.get_worker()
    be_told(code)
    found = _computed(message, children_of(code))
    return Answer(str(worker.name), str(worker.address), **found)


def _computed(message: bytes, children: Children) -> dict[str, Any]:
    """Return the fields of an answer. A child process computes all of it; where that ends, the file
    to blame is found one by one (`processes.isolation`).
    """
    try:
        parcel = parcel_from(message)
        answer = ask_child(children, {"parcel": message, "limits": parcel.limits})
        if answer is not None and "failed" not in answer:
            fields: dict[str, Any] = answer
            return fields
        with isolated(parcel.limits, children) as change:
            results = compute_parcel(parcel, reader_of(parcel.contents), change)
        return {"results": pack_results(results), "quarantined": results.quarantined}
    except CodeBatchError as error:
        return {"error": error.in_short()}
    except MemoryError:
        return {"error": MemoryExhaustedError("the worker process is out of memory").in_short()}


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
        content = digest_bytes(message)
        key = part_key(call, part.number, len(shipment.portions), content, part.sent)
        yield Job(key, answer_parcel, message, part, len(message))

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
        self.portions = [] if shard.call.reuse.required else list(_portions(shard))
        self._results: dict[int, Results] = {}
        self._quarantined: dict[str, str] = {}
        self._workers: set[str] = set()

    @property
    def is_complete(self) -> bool:
        """True if every portion was answered."""
        return len(self._results) == len(self.portions)

    def parcel(self, index: int, *, is_whole: bool) -> Parcel:
        """Return a portion with the contents of the files that tasks may read, or of all."""
        limits = [task.config.get("max_bytes") for task in self.shard.tasks]
        largest = max((limit for limit in limits if isinstance(limit, int)), default=0)
        sizes = {
            digest: size
            for digest, size, language, _ in self.portions[index].files
            if is_whole or not (language in _NEVER_READ or size > largest)
        }
        contents = tuple(starmap(self.shard.store.objects.read_stored, sizes.items()))
        return self.portions[index]._replace(contents=contents)

    def take(self, index: int, answer: Answer) -> None:
        """Take the answer to a parcel; `WorkerLostError` where it cannot be read."""
        self._results[index] = unpack_results(answer.results)
        self._quarantined.update(answer.quarantined)
        self._workers.add(answer.worker)

    def finish(self) -> Receipt:
        """Commit the shard with what came back."""
        results = merged([self._results[index] for index in sorted(self._results)])
        self._results.clear()

        def compute(context: ShardContext, work: Computation) -> FileLines:
            code = self._quarantined.get(work.key)
            if code is not None:
                return context.quarantine(work, code)
            return received(context, results, work.key)

        receipt = finish_shard(
            self.shard, lambda context: replace(context, compute=partial(compute, context))
        )
        return receipt._replace(worker=", ".join(sorted(self._workers)) or None)


def _portions(shard: OpenShard) -> Iterator[Parcel]:
    tasks = tuple(map(task_bytes, shard.tasks))
    files: list[InputFile] = []
    known: dict[str, FileLines] = {}

    def portion() -> Parcel:
        entries = tuple(to_entry(key, lines) for key, lines in known.items())
        return Parcel(tasks, tuple(map(parcel_file, files)), entries, shard.call.limits, ())

    size = 0
    for file, *_ in groups_of_equals(shard.files):
        found = _known(shard, file)
        if found is None:
            continue
        if files and (size + file.size > _SOURCE_BYTES or len(files) >= _FILES):
            yield portion()
            files, known, size = [], {}, 0
        files.append(file)
        known.update(found)
        size += file.size
    if files:
        yield portion()


def _known(shard: OpenShard, file: InputFile) -> dict[str, FileLines] | None:
    """Return the known results of a file, by key; None where that is all of them."""
    memo = shard.memo
    if memo is None:
        return {}
    found: dict[str, FileLines] = {}

    def lookup(key: str) -> FileLines | None:
        lines = memo.lookup(key)
        if lines is not None:
            found[key] = lines
        return lines

    return found if None in memo_hits(shard.tasks, file, lookup).values() else None
