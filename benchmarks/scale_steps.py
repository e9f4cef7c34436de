"""The steps of `benchmarks.scale`, each run by a process of its own.

    python -m benchmarks.scale_steps STEP STORE '{"files": 1000, "shards": 256}'

Prints one JSON document: seconds of wall time and of processor time of this process alone, the
most memory that it ever held, and the step's own facts. What is imported with `codebatch.api` is
not counted, what a step imports on first use is.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sized
from typing import TYPE_CHECKING, Any, TypeVar

import codebatch
from benchmarks.memory import memory_bytes
from benchmarks.synthetic import make_snapshot, pipeline_without_work
from codebatch.batch import pending_calls
from codebatch.batch.reuse import Reuse
from codebatch.model.records import FAILED
from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    from codebatch.graph import compile as graph
    from codebatch.shard import run as worker
else:
    graph = lazy("codebatch.graph.compile")  # Dask, which few steps need
    worker = lazy("codebatch.shard.run")

Settings = Mapping[str, Any]
Facts = dict[str, Any]
T = TypeVar("T")


def make(store: codebatch.Store, settings: Settings) -> Facts:
    """Make the snapshot of a size and an edition. What this takes is no product's concern."""
    return {"snapshot": make_snapshot(store.path, settings["files"], settings.get("edition", 0))}


def snapshot(store: codebatch.Store, settings: Settings) -> Facts:
    """`snapshot` of a real tree: walk it, read and store each file, write the manifest."""
    taken = store.snapshot(settings["tree"]).taken
    return {"files": taken.file_count if taken else 0}


def plan(store: codebatch.Store, settings: Settings) -> Facts:
    """`batch init`: read the manifest, find languages and facets, write inputs and plan."""
    batch = _batch(store, settings)
    layout = store.directory.layout
    manifest = layout.manifest(str(store.directory.batches.load(batch.id)["snapshot_id"]))
    sizes = [manifest, layout.inputs(batch.id), layout.plan_document(batch.id)]
    return {"bytes": {path.name: path.stat().st_size for path in sizes}}


def find(store: codebatch.Store, settings: Settings) -> Facts:
    """`batch init` of a batch that is there: its inputs are read and checked."""
    batch = _batch(store, settings)
    return {"created": batch.made is not None and batch.made.created}


def ask(store: codebatch.Store, _: Settings) -> Facts:
    """What a run asks for: plan, states, calls, and the graph of all of them."""
    graph.compile_graph([])  # imports Dask
    found, usage = _measured(_pending, store)
    return {**usage, "keys": len(found)}


def shard(store: codebatch.Store, _: Settings) -> Facts:
    """What a worker does for one shard, the largest that is not done; that alone is measured."""
    batch = store.find_batch("latest")
    call = pending_calls(store.directory, batch.load_status())[0]
    receipt, usage = _measured(worker.run_shard, call)
    if receipt.status == FAILED:
        raise SystemExit(str(receipt.error))
    return {
        **usage,
        "files": store.directory.batches.load_plan(batch.id).shard(call.shard_id).files,
    }


def run(store: codebatch.Store, settings: Settings) -> Facts:
    """Run what is pending, as a driver: the shards run in other processes, unless the scheduler is
    ``sync``. Dask is imported before, which takes a moment whatever there is to do.
    """
    batch, scheduler = store.find_batch("latest"), settings["scheduler"]
    if scheduler != "sync":
        graph.compile_graph([])
    more = {"workers": settings["workers"], "transport": settings.get("transport")}
    report, usage = _measured(lambda: batch.run(scheduler, **more))
    if report.status != "done":
        raise SystemExit(f"the run ended with {report.status}: {report.errors[:1]}")
    return {**usage, "files": report.files, "result": report.result}


def status(store: codebatch.Store, _: Settings) -> Facts:
    """`status` and `summary` of a batch that was just run: all states are read."""
    batch_status = store.find_batch("latest").load_status()
    return {"status": batch_status.status, "bytes": batch_status.output_bytes}


def news(store: codebatch.Store, _: Settings) -> Facts:
    """What a run finds to be new."""
    batch = store.find_batch("latest")
    planned = store.directory.batches.load_plan(batch.id)
    found = Reuse(store.directory, batch.id, planned).new_bytes(planned.shards)
    return {"new_bytes": sum(found.values())}


def stats(store: codebatch.Store, _: Settings) -> Facts:
    """`store-stats`: files and bytes by kind, and of the sources."""
    found = store.stats()
    kinds = {one.kind: [one.files, one.bytes] for one in found.kinds}
    return {"kinds": kinds, "sources": [found.files, found.logical_bytes]}


STEPS: Mapping[str, Callable[[codebatch.Store, Settings], Facts]] = {
    step.__name__: step
    for step in (make, snapshot, plan, find, ask, shard, run, status, news, stats)
}


def _pending(store: codebatch.Store) -> Sized:
    batch_status = store.find_batch("latest").load_status()
    return graph.compile_graph(pending_calls(store.directory, batch_status))


def _batch(store: codebatch.Store, settings: Settings) -> codebatch.Batch:
    pipeline = settings.get("pipeline") or pipeline_without_work()
    return store.batch("latest", pipeline, shards=settings["shards"])


def _measured(work: Callable[..., T], *arguments: Any) -> tuple[T, Facts]:
    """What a function returns, and what it took."""
    before = memory_bytes("VmRSS")
    began, used = time.perf_counter(), time.process_time()
    value = work(*arguments)
    return value, {
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - used,
        "before_bytes": before,
        "peak_bytes": memory_bytes("VmHWM"),
    }


def main() -> None:
    """Run the step that was named, and print what it took."""
    name, root, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    store = codebatch.open_store(root, create=True)
    facts, usage = _measured(STEPS[name], store, settings)
    print(json.dumps({**usage, **facts}))


if __name__ == "__main__":
    main()
