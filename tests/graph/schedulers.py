"""The schedulers of Dask by name: local ones, and a cluster in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

SCHEDULERS = ("sync", "threads", "processes", "cluster")


def cluster_here() -> Iterator[Any]:
    """A cluster of two workers of one thread in this process; to be made a fixture ``local``."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster


def in_force(request: pytest.FixtureRequest) -> Iterator[str]:
    """The scheduler of that name in force; to be made a fixture."""
    if request.param == "cluster":
        with Client(request.getfixturevalue("local")):
            yield request.param
    else:
        with dask.config.set(scheduler=request.param):
            yield request.param


def collisions(cluster: Any) -> set[int]:
    """The numbers of collisions of keys in graphs that the scheduler of a cluster has taken."""
    graphs = [event for _, event in cluster.scheduler.get_events("scheduler")]
    return {one["metrics"]["key_collisions"] for one in graphs if one["action"] == "update-graph"}
