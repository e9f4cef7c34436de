"""The contract of a Dask collection, by every scheduler: see `dask.typing.HLGDaskCollection`."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from clusters import Cluster, apart, wait_for, why_not_apart
from conftest import Scanned, cli_environment
from dask.base import tokenize
from dask.graph_manipulation import bind, checkpoint, clone, wait_on
from dask.highlevelgraph import HighLevelGraph
from dask.typing import HLGDaskCollection
from dask.utils import key_split
from distributed import Client, futures_of, wait
from distributed.diagnostics.plugin import SchedulerPlugin
from poisoned import QUARANTINED, Poisoned
from schedulers import SCHEDULERS, cluster_here, collisions, in_force

import codebatch
from codebatch.model.errors import ClusterError

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

local = pytest.fixture(cluster_here, scope="module")
scheduler = pytest.fixture(in_force)


@pytest.fixture
def client(local: Any) -> Iterator[Any]:
    with Client(local) as connected:
        yield connected


def files(report: codebatch.RunReport) -> dict[str, int]:
    return report.files


def after(report: codebatch.RunReport, before: codebatch.RunReport) -> codebatch.RunReport:
    assert before.status == "done"
    return report


WAYS: dict[str, Callable[[codebatch.Batch], Any]] = {
    "compute": lambda batch: batch.compute(),
    "persist": lambda batch: batch.persist().compute(),
    "dask.persist": lambda batch: dask.persist(batch)[0].compute(),
    "optimize": lambda batch: dask.optimize(batch)[0].compute(),
    "clone": lambda batch: clone(batch).compute(),
    "bind": lambda batch: bind(batch, dask.delayed(len)("ab")).compute(),
    "wait_on": lambda batch: wait_on(batch).compute(),
    "checkpoint": lambda batch: bind(batch, checkpoint(batch)).compute(),
    "delayed": lambda batch: dask.delayed(after)(batch, batch).compute(),
}
# Dask starts processes for each: a few will do.
COSTLY = {("processes", way) for way in WAYS} - {("processes", "compute"), ("processes", "bind")}


@pytest.mark.parametrize(
    ("scheduler", "way"),
    [(name, way) for name in SCHEDULERS for way in WAYS if (name, way) not in COSTLY],
    indirect=["scheduler"],
)
def test_whatever_dask_does_with_it(
    way: str, scheduler: str, batch: codebatch.Batch, scanned: Scanned
) -> None:
    report = WAYS[way](batch)
    assert (report.status, report.result) == ("done", scanned.report.result)
    again = codebatch.open_store(batch.path).find_batch(batch.id)
    assert dict(again.__dask_graph__()) == {}


def test_it_has_the_protocol(batch: codebatch.Batch) -> None:
    assert isinstance(batch, HLGDaskCollection)
    assert dask.is_dask_collection(batch)
    assert isinstance(batch.dask, HighLevelGraph)
    assert set(batch.dask.layers) == set(batch.__dask_layers__())
    batch.dask.validate()
    other = codebatch.open_store(batch.path).find_batch(batch.id)
    assert tokenize(other) == tokenize(batch)
    assert tokenize(clone(batch)) != tokenize(batch)


def test_it_travels_as_what_it_names(batch: codebatch.Batch) -> None:
    batch.__dask_graph__()
    data = pickle.dumps(batch)
    assert len(data) < 500
    assert pickle.loads(data).id == batch.id


def test_a_client_persists_it(client: Any, batch: codebatch.Batch, scanned: Scanned) -> None:
    persisted = client.persist(batch)
    wait(persisted)
    assert len(futures_of(persisted)) == scanned.report.shards["total"]
    assert batch.load_status().shards()["done"] == scanned.report.shards["total"]
    assert persisted.compute().result == scanned.report.result


def test_a_client_computes_it(client: Any, batch: codebatch.Batch, scanned: Scanned) -> None:
    report = client.compute(batch).result(timeout=120)
    assert report.result == scanned.report.result
    assert report.files["computed"] == scanned.report.files["computed"]


def test_annotations_reach_the_scheduler(client: Any, batch: codebatch.Batch) -> None:
    with dask.annotate(priority=7, retries=2):
        made = codebatch.open_store(batch.path).find_batch(batch.id)
    assert {str(one.annotations) for one in made.dask.layers.values()} == {
        "{'priority': 7, 'retries': 2}"
    }
    seen = SeenTasks(client.cluster.scheduler)
    made.run(client=client)
    with dask.annotate(priority=3):
        made.recheck(client=client)
    assert seen.priorities("shard-full") == {7}
    assert seen.priorities("recheck-full") == {3}


class SeenTasks(SchedulerPlugin):  # type: ignore[misc]
    """The annotations of tasks that are sent to a worker, by key."""

    def __init__(self, scheduler: Any) -> None:
        self.name = f"seen-{id(self)}"
        self.found: list[tuple[Any, dict[str, Any]]] = []
        self._scheduler = scheduler
        scheduler.add_plugin(self)

    def transition(self, key: Any, _start: str, finish: str, *_: Any, **__: Any) -> None:
        if finish == "processing":
            self.found.append((key, dict(self._scheduler.tasks[key].annotations or {})))

    def priorities(self, group: str) -> set[object]:
        return {notes.get("priority") for key, notes in self.found if key_split(key) == group}


# -- keys on a scheduler ---------------------------------------------------------------------------


def damage(batch: codebatch.Batch) -> Path:
    """Delete some outputs of a batch, and what the store remembers of them; return the place."""
    path = next(batch.path.glob("batches/*/tasks/parse/shards/*/outputs.index.jsonl.zst"))
    path.unlink()
    shutil.rmtree(batch.path / "indexes")
    return path


def test_no_key_means_two_things(
    local: Any, client: Any, batch: codebatch.Batch, scanned: Scanned
) -> None:
    """Runs one after the other, a resumed one, and one whose outputs are gone."""
    result = scanned.report.result
    assert batch.run(client=client).result == result
    assert batch.run(client=client).result == result
    next(batch.path.glob("batches/*/tasks/lint/shards/*/state.json")).unlink()
    assert batch.run(client=client).result == result
    with Client(local, set_as_default=False) as holder:
        damage(batch)
        held = holder.persist(codebatch.open_store(batch.path).find_batch(batch.id))
        wait(held)
        for way in (lambda one: one.run(client=client), lambda one: one.compute()):
            path = damage(batch)
            report = way(codebatch.open_store(batch.path).find_batch(batch.id))
            assert (report.status, report.result) == ("done", result)
            assert report.files["computed"] > 0
            assert path.exists()
        assert futures_of(held)
    assert collisions(local) == {0}


def test_two_clients_share_the_work(local: Any, client: Any, batch: codebatch.Batch) -> None:
    total = sum(row["files"] for row in batch.shards()) * len(batch.tasks())
    with Client(local, set_as_default=False) as other, ThreadPoolExecutor(2) as pool:
        ways = [
            pool.submit(codebatch.open_store(batch.path).find_batch(batch.id).run, client=one)
            for one in (client, other)
        ]
        reports = [way.result(timeout=240) for way in ways]
    assert {report.status for report in reports} == {"done"}
    assert len({report.result for report in reports}) == 1
    for report in reports:
        assert report.files["computed"] + report.files["reused"] == total
    assert collisions(local) == {0}


def test_the_store_decides_where_a_key_is_known_already(
    local: Any, client: Any, batch: codebatch.Batch
) -> None:
    """Only what is asked for again has another key."""
    with Client(local, set_as_default=False) as holder:
        held = holder.persist(batch)
        wait(held)
        lost = damage(batch).parent.name
        seen = SeenTasks(local.scheduler)
        codebatch.open_store(batch.path).find_batch(batch.id).run(client=client)
    known = set(batch.__dask_keys__())
    assert {key for key, _ in seen.found if key[1] == lost} - known
    assert {key for key, _ in seen.found if key[1] != lost and "shard" in key[0]} == set()


# -- no file ends the process of a caller --------------------------------------------------------

COMPUTE = """
import dask, codebatch, json, sys
batch = codebatch.open_store(sys.argv[1]).find_batch("latest")
(report,) = dask.compute(batch, scheduler=sys.argv[2])
print(json.dumps([report.status, list(report.quarantined)]))
"""


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_fatal_files_are_quarantined(scheduler: str, tmp_path: Path) -> None:
    world = Poisoned(tmp_path, "crash", number=10)
    store = codebatch.open_store(world.store, create=True)
    store.batch(store.snapshot(world.tree), "full")
    done = subprocess.run(
        [sys.executable, "-c", COMPUTE, str(world.store), scheduler],
        env=cli_environment() | {k: v for k, v in world.environment.items() if v is not None},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["done", QUARANTINED[:1]]


# -- what is seen ----------------------------------------------------------------------------------


def test_children_are_gone_after_a_computation(batch: codebatch.Batch) -> None:
    batch.compute(scheduler="threads")
    (server,) = [one for one in psutil.Process().children() if "fork_server" in str(one.cmdline())]
    wait_for(lambda: not server.children(), "children end")


def test_the_drawing_has_the_nodes(
    batch: codebatch.Batch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn: list[tuple[Any, Any]] = []
    fake = types.ModuleType("dask.dot")
    fake.dot_graph = lambda graph, filename, **_: drawn.append((graph, filename))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dask.dot", fake)
    target = str(tmp_path / "graph.svg")
    dask.visualize(batch, filename=target, engine="graphviz")
    assert [name for _, name in drawn] == [target]
    for graph, _ in drawn:
        assert set(graph) == set(batch.__dask_graph__())


# -- workers that do not see the store -------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not_apart()), reason=f"no mounts: {why_not_apart()}")
def test_workers_that_do_not_see_the_store_have_it_shipped(
    tmp_path: Path, batch: codebatch.Batch, scanned: Scanned
) -> None:
    hidden = apart(f"mount -t tmpfs none {batch.path}")
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.start_worker("blind", host=hidden)
        cluster.wait_for_workers(1)
        with Client(cluster.address, set_as_default=False) as other:
            unanswered = other.compute(batch)
            with pytest.raises(ClusterError, match=r"see no store at .* no client ships"):
                unanswered.result(timeout=120)
        with Client(cluster.address) as mine:
            (report,) = dask.compute(batch)
            assert mine.compute(batch).result(timeout=120).result == scanned.report.result
    assert (report.status, report.result) == ("done", scanned.report.result)
    assert report.files == scanned.report.files
    assert report.cluster.transport == "shipped"
