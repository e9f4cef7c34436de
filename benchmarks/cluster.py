"""Rows about a Dask cluster on this machine, against worker processes of our own."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.commands import require, run, script
from benchmarks.corpus import copy_tree, read_all
from benchmarks.settings import Settings
from benchmarks.table import Result, Row, ratio_result

SHARED = Row("cluster", "`run` on `LocalCluster`, two workers / `processes`", 1.25)
SHIPPED = Row("shipped", "the same, workers without the store / `processes`", 1.5)
ROWS = (SHARED, SHIPPED)

_MEGABYTE = 1e6


def measure(settings: Settings) -> Iterator[Result]:
    """The wanted rows of `ROWS`."""
    if not settings.wants(*(row.name for row in ROWS)):
        return
    with settings.folder() as folder:
        tree = copy_tree(settings.tree, folder / "tree")
        size = read_all(tree)
        found = run(script("cluster_runs.py", tree, folder, settings.repeat)).document()
    require(len(found["results"]) == 1, "results differ between processes and a cluster")
    seconds = found["seconds"]
    for row, side in ((SHARED, "shared"), (SHIPPED, "shipped")):
        if settings.wants(row.name):
            note = _traffic(found["workers"], size) if row is SHIPPED else ""
            yield ratio_result(row, zip(seconds[side], seconds["processes"], strict=True), note)


def _traffic(workers: list[dict[str, int]], size: int) -> str:
    sent, received = (
        " and ".join(f"{worker[name] / _MEGABYTE:.1f}" for worker in workers)
        for name in ("sent_bytes", "received_bytes")
    )
    return f"{sent} MB sent, {received} MB received, of {size / _MEGABYTE:.1f} MB"
