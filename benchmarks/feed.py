"""What it costs one client to feed many workers that open the store.

    python -m benchmarks.feed TREE --workers 100 --copies 4

The sources are those of TREE, so many times, each copy with a comment of its own. A first run
computes them on this machine and its batch is removed, so that only the memo has the results. Then
the same batch runs on a cluster of so many workers, which share a few processes: they find all of a
part in the memo, so that what is measured is not their work. Parts are smaller than those of a real
run (``--part-bytes``), so that a small tree has many: what one costs the client is the same.
Printed is the processor time of the client alone, from its first contact with the cluster to the
result, and that divided by the number of tasks that it gave out. Exit status: 0 if that is at most
3 ms, else 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import distributed

import codebatch
from benchmarks.corpus import files_below
from codebatch.cluster import shared

MOST_MILLISECONDS = 3.0
_PROCESSES = 4
_WORKERS = """
import asyncio, sys
from distributed import Worker

async def main(address, first, count):
    names = [f"w{number}" for number in range(first, first + count)]
    workers = [Worker(address, nthreads=1, name=name, dashboard=False) for name in names]
    await asyncio.gather(*workers)
    await asyncio.gather(*(worker.finished() for worker in workers))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser(description="What it costs one client to feed many workers.")
    parser.add_argument("tree", type=Path)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--pipeline", default="parse")
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--part-bytes", type=int, default=64 * 2**10)
    options = parser.parse_args(arguments)
    shared.LEAST_BYTES = options.part_bytes
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tree = copy_often(options.tree, folder / "tree", options.copies)
        batch, expected = replayable(tree, folder / "store", options.pipeline, options.shards)
        with cluster(options.workers) as address:
            found = measure(batch, address, options.workers)
    if found.pop("result") != expected:
        raise SystemExit("another result than on this machine")
    print(json.dumps(found))
    return int(found["milliseconds_a_task"] > MOST_MILLISECONDS)


def copy_often(source: Path, target: Path, copies: int) -> Path:
    """Make a tree of the Python files of another, each so many times, no two of them equal."""
    for path in files_below(source):
        if path.suffix != ".py":
            continue
        content = path.read_bytes()
        for number in range(copies):
            copy = target / str(number) / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content + f"\n# copy {number}\n".encode())
    return target


def replayable(
    tree: Path, folder: Path, pipeline: str, shards: int
) -> tuple[codebatch.Batch, str | None]:
    """Return a batch of which only the memo has the results, and its result."""
    store = codebatch.open_store(folder, create=True)
    snapshot = store.snapshot(tree)
    batch = store.batch(snapshot, pipeline, shards=shards)
    result = batch.run("processes").result
    store.remove_batch(batch.id)
    return store.batch(snapshot, pipeline, shards=shards), result


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str]:
    """Give the address of a scheduler with so many workers, in a few processes."""
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        words = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        command = [sys.executable, "-m", "dask", *words, "--scheduler-file", str(file)]
        stack.enter_context(_running(command, folder))
        while not file.exists() or not file.read_text():
            time.sleep(0.1)
        address = str(json.loads(file.read_text())["address"])
        for process in range(_PROCESSES):
            first, end = (workers * (process + n) // _PROCESSES for n in (0, 1))
            command = [sys.executable, "-c", _WORKERS, address, str(first), str(end - first)]
            stack.enter_context(_running(command, folder))
        yield address


@contextlib.contextmanager
def _running(command: Sequence[str], folder: str) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def measure(batch: codebatch.Batch, address: str, workers: int) -> dict[str, Any]:
    """Run a batch on a cluster; what the client took."""
    with distributed.Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(workers)
        wall, used = time.perf_counter(), time.process_time()
        report = batch.run(client=client, transport="shared")
        used, wall = time.process_time() - used, time.perf_counter() - wall
    if report.cluster is None:
        raise SystemExit("the run used no cluster")
    parts = sum(one.calls for one in report.cluster.workers)
    return {
        "result": report.result,
        "workers": workers,
        "busy": len(report.cluster.workers),
        "shards": report.shards["total"],
        "parts": parts,
        "seconds": round(wall, 2),
        "processor_seconds": round(used, 3),
        "milliseconds_a_task": round(1000 * used / parts, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
