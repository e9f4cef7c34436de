"""Time full runs of one batch in turns: on `processes`, and on a local Dask cluster.

    python benchmarks/cluster_runs.py TREE SCRATCH ROUNDS

The cluster has two workers of one thread, each a process, and is up before anything is timed, as
the fork server of `processes` is. Every run computes the batch in a store of its own. Prints one
JSON document: the seconds of each run by side, and what each worker was sent.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import distributed

import codebatch

SIDES = ("processes", "shared", "shipped")


def main() -> None:
    """Run all sides in turns, and print."""
    tree, scratch, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    results: set[str | None] = set()
    sent: list[dict[str, Any]] = []
    with (
        distributed.LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=scratch
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):
        for number in range(-1, rounds):  # the first to load what is loaded once
            for side in SIDES:
                taken, report = _timed(tree, scratch / f"{side}{number}", side, client)
                results.add(report.result)
                if number >= 0:
                    seconds[side].append(taken)
                if side == "shipped" and number < 0 and report.cluster is not None:
                    sent = [vars(worker) for worker in report.cluster.workers]
    print(json.dumps({"seconds": seconds, "results": sorted(map(str, results)), "workers": sent}))


def _timed(tree: Path, folder: Path, side: str, client: Any) -> tuple[float, Any]:
    store = codebatch.open_store(folder, create=True)
    batch = store.batch(store.snapshot(tree))
    os.sync()
    began = time.perf_counter()
    if side == "processes":
        report = batch.run(side, workers=2)
    else:
        report = batch.run(client=client, transport=side)
    return time.perf_counter() - began, report


if __name__ == "__main__":
    main()
