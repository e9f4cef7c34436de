"""Answer a parcel on a worker that has no store.

A child process computes all of it; where that ends, the file to blame is found one by one
(`processes.isolation`).
"""

from __future__ import annotations

from typing import Any

from codebatch.model.errors import CodeBatchError, MemoryExhaustedError
from codebatch.processes.isolation import CHILDREN, ask_child, isolated
from codebatch.processes.pool import Children
from codebatch.shard.parcel import (
    Answer,
    Parcel,
    compute_parcel,
    error_of,
    pack_results,
    parcel_from,
    reader_of,
)


def answer_parcel(
    message: bytes, worker: str, address: str, children: Children = CHILDREN
) -> Answer:
    """Return the answer to a parcel, by the worker of that name and address."""
    return Answer(worker, address, **_served(parcel_from(message), message, children))


def _served(parcel: Parcel, message: bytes, children: Children) -> dict[str, Any]:
    """Return the fields of an answer."""
    try:
        answer = ask_child(children, {"parcel": message, "limits": parcel.limits})
        if answer is not None and "failed" not in answer:
            fields: dict[str, Any] = answer
            return fields
        with isolated(parcel.limits, children) as change:
            results = compute_parcel(parcel, reader_of(parcel.contents), change)
        return {"results": pack_results(results), "quarantined": results.quarantined}
    except CodeBatchError as error:
        return {"error": error_of(error)}
    except MemoryError:
        return {"error": error_of(MemoryExhaustedError("the worker process is out of memory"))}
