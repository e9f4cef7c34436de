"""Parcels and parts of shards as tasks on the workers of a cluster.

Where workers open the store, a large shard is cut into parts that different workers compute: each
finds out on its own what is not known of its portion, and a last task, which depends on them all,
puts the shard together and commits it. Results travel between workers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codebatch.graph.effort import current_worker, noted
from codebatch.model.errors import (
    ENVIRONMENT_ERRORS,
    TRANSIENT_ERRORS,
    CodeBatchError,
    MemoryExhaustedError,
)
from codebatch.model.messages import Receipt, ShardCall, Used
from codebatch.model.records import FAILED
from codebatch.processes.isolation import ask_child, isolated
from codebatch.processes.pool import Children, children_of
from codebatch.shard.parcel import (
    Answer,
    ContentMissingError,
    compute_parcel,
    pack_results,
    parcel_bytes,
    parcel_from,
    reader_of,
    unpack_results,
)
from codebatch.shard.portion import finish_portions, portion_of, with_contents
from codebatch.shard.run import answered, log_receipt, open_shard, under_lease
from codebatch.tasks.code.carry import NOTHING, be_told

_PASSING = frozenset(error.code for error in (*ENVIRONMENT_ERRORS, *TRANSIENT_ERRORS))


def answer_parcel(message: bytes, code: bytes = NOTHING) -> Answer:
    """Return the answer of the worker of a cluster that this process is. ``code`` is that of users'
    tasks.
    """
    be_told(code)
    return _answer(_computed(message, children_of(code)), "parcel")


def compute_part(call: ShardCall, number: int, code: bytes = NOTHING) -> Answer:
    """Compute what is not known of one of the parts of a shard, and return it."""
    be_told(code)

    def compute() -> dict[str, Any]:
        with under_lease(call) as held:
            shard = open_shard(held)
            if isinstance(shard, Receipt):  # why there is nothing to do, the shard will find out
                return {} if shard.error is None else {"error": shard.error}
            parcel = portion_of(shard, number, call.parts)
            found: dict[str, Any] = {}
            for is_whole in (False, True) if parcel.files else ():
                whole = with_contents(shard, parcel, is_whole=is_whole)
                found = _computed(parcel_bytes(whole), children_of(code))
                if found.get("error", {}).get("code") != ContentMissingError.code:
                    break
            return found

    fields = answered(call, compute)
    if isinstance(fields, Receipt):
        fields = {"error": fields.error}
    return _answer(fields, f"part {call.shard_id}.{number}-{call.parts}")


def join_parts(call: ShardCall, parts: Sequence[Answer], code: bytes = NOTHING) -> Receipt:
    """Put a shard together and commit it; what a part has failed at is tried here again, in a
    child process, unless it failed for want of something that other workers may have.
    """
    be_told(code)
    worker = str(current_worker().name)
    for part in parts:
        if part.error is not None and part.error.get("code") in _PASSING:
            return Receipt(
                call.shard_id, call.attempt, FAILED, part.error, worker=part.effort.worker
            )
    receipt = answered(call, lambda: _joined(call, parts, children_of(code)))
    receipt = receipt._replace(worker=worker, efforts=tuple(part.effort for part in parts))
    if call.lease.left_to:
        log_receipt(call, receipt)
    return receipt


def _joined(call: ShardCall, parts: Sequence[Answer], children: Children) -> Receipt:
    results = [unpack_results(part.results) for part in parts if part.results]
    quarantined = [one for part in parts for one in part.quarantined]
    with under_lease(call) as held, isolated(call.limits, children) as change:
        shard = open_shard(held)
        if isinstance(shard, Receipt):
            return shard
        return finish_portions(shard, results, quarantined, change)


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


def _answer(fields: dict[str, Any], task: str) -> Answer:
    used = Used(*fields.pop("used", ()))
    return Answer(noted(current_worker(), used, task), **fields)
