"""A cluster that adapts to its work sees how much there is, and grows."""

from __future__ import annotations

import time
from pathlib import Path

import distributed
import pytest

import codebatch
from codebatch.cluster import shared, shipped

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


@codebatch.task
def slow(_: codebatch.File) -> None:
    """Take longer than an autoscaler takes to look, whatever the machine."""
    time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["shared", "shipped"])
def test_it_leaves_two_workers(transport: str, library: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(library), [slow], shards=256)
    most = 0

    def look(_: object) -> None:
        nonlocal most
        most = max(most, len(cluster.scheduler.workers))

    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        cluster.adapt(minimum=1, maximum=4, interval="100ms")
        with distributed.Client(cluster, set_as_default=False) as client:
            report = batch.run(client=client, transport=transport, progress=look)
    assert report.status == "done"
    assert most > 2


def test_windows_hold_enough_for_an_autoscaler_to_see() -> None:
    """It counts half a second for a task of which it knows nothing yet, and wants five seconds of
    work for each worker.
    """
    for bounds in (shared._BOUNDS, shipped._BOUNDS):
        assert bounds.calls * 0.5 / 5 >= 100
