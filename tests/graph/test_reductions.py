"""Batch tasks in the graph: one with real edges, whoever runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from conftest import Scanned
from dask.base import tokenize
from dask.graph_manipulation import bind, clone
from dask.utils import key_split
from distributed import Client, wait
from schedulers import SCHEDULERS, cluster_here, collisions, in_force

import codebatch
from codebatch.graph.keys import name_of
from codebatch.graph.runners import Runners, running_by

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


local = pytest.fixture(cluster_here, scope="module")
scheduler = pytest.fixture(in_force)


@pytest.fixture(scope="module")
def told(scanned: Scanned, tmp_path_factory: pytest.TempPathFactory) -> codebatch.RunReport:
    """The report of a local run of the pipeline."""
    return planned(scanned, tmp_path_factory.mktemp("told")).run("sync")


@pytest.fixture
def hotspots(scanned: Scanned, tmp_path: Path) -> codebatch.Batch:
    return planned(scanned, tmp_path / "store")


def planned(scanned: Scanned, path: Path) -> codebatch.Batch:
    store = codebatch.open_store(path, create=True)
    return store.batch(store.snapshot(scanned.tree), "hotspots")


def edges(graph: Any) -> Iterator[tuple[str, str]]:
    """Each edge of a graph, by the places of its ends: ``map 3f``."""
    for key, node in graph.items():
        for need in node.dependencies:
            yield place(need), place(key)


def place(key: Any) -> str:
    return f"{name_of(key).partition('-')[0]} {key[1]}".strip()


def test_the_graph_has_the_steps_of_the_task(hotspots: codebatch.Batch) -> None:
    graph = hotspots.__dask_graph__()
    graph.validate()
    shards = sorted(row["shard_id"] for row in hotspots.shards())
    found = sorted(edges(graph))
    expected = [(f"shard {one}", f"map {one}") for one in shards]
    expected += [(f"map {one}", "combine") for one in shards]
    assert found == sorted([*expected, ("combine", "finish")])
    groups = {key_split(key) for key in graph}
    assert groups == {"shard-hotspots", "map-hotspots", "combine-hotspots", "finish-hotspots"}
    assert [key_split(name) for name in hotspots.__dask_layers__()] == [
        "shard-hotspots",
        "finish-hotspots",
    ]


@pytest.mark.parametrize("scheduler", SCHEDULERS, indirect=True)
def test_every_scheduler_runs_it(
    scheduler: str, hotspots: codebatch.Batch, told: codebatch.RunReport
) -> None:
    report = hotspots.compute()
    assert (report.status, report.result) == ("done", told.result)
    assert (report.files, report.nodes) == (told.files, told.nodes)
    assert dict(hotspots.__dask_graph__()) == {}


@pytest.mark.parametrize("scheduler", ["sync", "cluster"], indirect=True)
def test_its_references_follow_where_dask_renames_keys(
    scheduler: str, hotspots: codebatch.Batch, told: codebatch.RunReport
) -> None:
    copied = bind(clone(hotspots), dask.delayed(len)("ab"))
    assert tokenize(copied) != tokenize(hotspots)
    assert not set(copied.__dask_graph__()) & set(hotspots.__dask_graph__())
    assert copied.compute().result == told.result


def test_a_graph_of_the_rest_has_the_same_edges(
    local: Any, hotspots: codebatch.Batch, told: codebatch.RunReport
) -> None:
    whole = set(edges(hotspots.__dask_graph__()))
    with Client(local) as client:
        held = client.persist(hotspots)
        wait(held)
        next(hotspots.path.glob("batches/*/tasks/lint/shards/*/state.json")).unlink()
        for state in hotspots.path.glob("batches/*/tasks/hotspots/shards/*/state.json"):
            state.unlink()
        rest = codebatch.open_store(hotspots.path).find_batch(hotspots.id)
        assert set(edges(rest.__dask_graph__())) == whole
        assert rest.compute().result == told.result
        for state in hotspots.path.glob("batches/*/tasks/hotspots/shards/*/state.json"):
            state.unlink()
        assert hotspots.run(client=client).result == told.result
    assert collisions(local) == {0}


def test_a_shard_that_fails_is_a_value_for_those_who_need_it(hotspots: codebatch.Batch) -> None:
    shard = hotspots.__dask_keys__()[0][1]  # the largest
    for stored in hotspots.path.glob(f"objects/sha256/{shard}*/*/*"):
        stored.unlink()
    with running_by(Runners()):
        receipts = dask.get(hotspots.__dask_graph__(), hotspots.__dask_keys__())
    assert [one.status for one in receipts].count("failed") == 1
    assert receipts[-1].status == "blocked"
    finish, arguments = hotspots.__dask_postcompute__()
    assert finish(receipts, *arguments).status == "failed"
