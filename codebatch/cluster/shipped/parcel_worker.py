"""Answer a parcel on a worker that has no store.

A child process computes all of it; where that ends, the file to blame is found one by one
(`processes.isolation`).
"""

from __future__ import annotations

from typing import Any

from codebatch.cluster.shipped.object_cache import ObjectCache
from codebatch.model.errors import CodeBatchError, MemoryExhaustedError
from codebatch.processes.isolation import CHILDREN, ask_child, isolated
from codebatch.processes.pool import Children
from codebatch.shard.parcel import (
    Answer,
    ContentMissingError,
    Parcel,
    compute_parcel,
    error_of,
    pack_results,
    parcel_bytes,
    parcel_from,
    reader_of,
)

CACHE = ObjectCache()


def answer_parcel(
    message: bytes, worker: str, address: str, children: Children = CHILDREN
) -> Answer:
    """Return the answer to a parcel, by the worker of that name and address."""
    parcel = parcel_from(message)
    wanted = [digest for digest, *_ in parcel.files]
    contents = CACHE.completed(parcel.contents, wanted, parcel.cache_bytes)
    return Answer(worker, address, **_served(parcel._replace(contents=contents), children))


def _served(parcel: Parcel, children: Children) -> dict[str, Any]:
    """Return the fields of an answer."""
    try:
        message = {"parcel": parcel_bytes(parcel), "limits": parcel.limits}
        answer: dict[str, Any] | None = ask_child(children, message)
        if answer is None or "failed" in answer:
            return _isolated(parcel, children)
        return answer
    except ContentMissingError as error:
        return {"missing": (error.digest,)}
    except CodeBatchError as error:
        return {"error": error_of(error)}
    except MemoryError:
        return {"error": error_of(MemoryExhaustedError("the worker process is out of memory"))}


def _isolated(parcel: Parcel, children: Children) -> dict[str, Any]:
    with isolated(parcel.limits, children) as change:
        results = compute_parcel(parcel, reader_of(parcel.contents), change)
    return {"results": pack_results(results), "quarantined": results.quarantined}
