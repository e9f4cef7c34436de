"""Batches on Dask: as a collection, and on a real cluster of separate processes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import pytest
from clusters import Cluster, connected_client, two_workers, wait_for
from conftest import Outcome, Scanned, cli_environment

import codebatch
from codebatch.graph.keys import part_key, shard_key
from codebatch.model.limits import Limits
from codebatch.model.messages import ReusePolicy, RunLease, ShardCall

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


cluster = pytest.fixture(two_workers, scope="module")
client = pytest.fixture(connected_client)


# -- as a collection ---------------------------------------------------------------------------


def test_keys_name_pipeline_batch_and_shard(batch: codebatch.Batch) -> None:
    graph = batch.__dask_graph__()
    assert dask.is_dask_collection(batch)
    assert list(graph) == batch.__dask_keys__()
    assert {shard for _, shard in graph} == {row["shard_id"] for row in batch.shards()}
    (layer,) = batch.__dask_layers__()
    assert {name for name, _ in graph} == {layer} == set(graph.layers)
    assert re.fullmatch(f"shard-full-{batch.id.removeprefix('batch-')}-[0-9a-f]{{8}}", layer)


def test_keys_of_two_stores_never_meet(scanned: Scanned, tmp_path: Path) -> None:
    names = set()
    for name in ("one", "two"):
        store = codebatch.open_store(tmp_path / name, create=True)
        planned = store.batch(store.snapshot(scanned.tree), "full")
        assert planned.id == scanned.batch.id
        names |= set(planned.__dask_keys__())
        names |= set(store.find_batch(planned.id).__dask_keys__())  # the same ones
    assert len(names) == 2 * scanned.report.shards["total"]


_KEYS = """
import sys, codebatch
store = codebatch.open_store(sys.argv[1])
batch = store.find_batch(sys.argv[2])
print(sorted(batch.__dask_keys__()), batch.__dask_tokenize__())
"""


@pytest.mark.slow
def test_keys_are_equal_in_every_interpreter(batch: codebatch.Batch) -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", _KEYS, str(batch.path), batch.id],
            env=cli_environment() | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{sorted(batch.__dask_keys__())} {batch.__dask_tokenize__()}\n"}


def test_keys_differ_where_answers_may() -> None:
    call = ShardCall("/store", "0" * 32, "batch-0", "3f", "attempt", pipeline="full")
    other = RunLease("lease", 1)
    equal = [call._replace(attempt="b"), call._replace(lease=other), call._replace(store="/s")]
    equal += [call._replace(reuse=ReusePolicy("batch-1"))]
    assert {shard_key(one) for one in equal} == {shard_key(call)}
    differ = [call, call._replace(tries=1), call._replace(recheck=1), call._replace(store_id="1")]
    differ += [call._replace(limits=Limits(1.0)), call._replace(batch_id="batch-1")]
    differ += [call._replace(reuse=ReusePolicy(required=True))]
    assert len({shard_key(one) for one in differ}) == len(differ)
    assert shard_key(call) != shard_key(call, 1)
    assert part_key(call, 0, 2, "a") != part_key(call, 0, 2, "b")


@pytest.mark.parametrize("scheduler", [None, "sync", "threads", "processes"])
def test_dask_computes_a_batch(
    scheduler: str | None, batch: codebatch.Batch, scanned: Scanned
) -> None:
    (report,) = dask.compute(batch, scheduler=scheduler)
    assert (report.status, report.result) == ("done", scanned.report.result)
    assert report.files == scanned.report.files
    assert batch.status()["status"] == "done"


def test_dask_computes_two_batches_at_once(
    scanned: Scanned, batch: codebatch.Batch, store: codebatch.Store
) -> None:
    other = store.batch("latest", "parse")
    reports = dask.compute(batch, other)
    assert [report.batch_id for report in reports] == [batch.id, other.id]
    assert [report.status for report in reports] == ["done", "done"]
    assert reports[0].result == scanned.report.result


def test_finished_batch_has_nothing_to_compute(batch: codebatch.Batch, scanned: Scanned) -> None:
    batch.run("sync")
    again = codebatch.open_store(batch.path).find_batch(batch.id)
    assert again.__dask_graph__() == {}
    (report,) = dask.compute(again)
    assert (report.status, report.result) == ("done", scanned.report.result)


def test_graph_is_for_the_shards_that_are_not_done(batch: codebatch.Batch) -> None:
    batch.run("sync")
    states = sorted(batch.path.glob("batches/*/tasks/lint/shards/*/state.json"))
    states[0].unlink()
    again = codebatch.open_store(batch.path).find_batch(batch.id)
    assert [shard for _, shard in again.__dask_keys__()] == [states[0].parent.name]


def test_computing_twice_computes_once(batch: codebatch.Batch) -> None:
    dask.compute(batch, scheduler="sync")
    (again,) = dask.compute(batch, scheduler="sync")
    assert (again.status, again.files["computed"]) == ("done", 0)
    assert batch.__dask_graph__() == {}


# -- as a command of dask ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("status --json", 0),
        ("status --batch none --json", 4),
        pytest.param("api --json", 0, marks=pytest.mark.slow),
        ("run --scheduler nowhere --json", 2),
    ],
)
def test_dask_codebatch_is_codebatch(
    words: str, code: int, scanned: Scanned, main: Callable[..., Outcome]
) -> None:
    arguments = [*words.split(), "--store", str(scanned.path)]
    done = subprocess.run(
        [sys.executable, "-m", "dask", "codebatch", *arguments],
        env=cli_environment(),
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stderr
    here = main(*arguments)
    assert (here.code, here.stdout, here.stderr) == (code, done.stdout, done.stderr)


# -- on a cluster --------------------------------------------------------------------------------


@pytest.mark.slow
def test_command_line_on_a_cluster_by_address_and_by_file(
    cluster: Cluster, scanned: Scanned, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    for number, where in enumerate((cluster.address, cluster.scheduler_file)):
        words = ("scan", scanned.tree, "--store", tmp_path / f"s{number}", "--scheduler", where)
        done = cli(*words, "--json")
        assert done.code == 0, done.err
        document = json.loads(done.stdout)
        assert document["result"] == scanned.report.result
        assert document["files"] == scanned.report.files
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name", ["CODEBATCH_SCHEDULER", pytest.param("DASK_SCHEDULER_ADDRESS", marks=pytest.mark.slow)]
)
def test_cluster_named_by_the_environment(
    name: str, cluster: Cluster, batch: codebatch.Batch, cli: Callable[..., Outcome]
) -> None:
    done = cli("run", "--store", batch.path, "--json", env={name: cluster.address})
    assert json.loads(done.stdout)["status"] == "done"
    # It ran there and not here: with an address of nobody, the variable is obeyed as well.
    assert cli("run", "--store", batch.path, env={name: "nonsense"}).code == 2


def test_api_on_a_cluster_with_a_client(
    client: Any, batch: codebatch.Batch, scanned: Scanned
) -> None:
    seen: list[int] = []
    report = batch.run(client=client, progress=lambda far: seen.append(far.done))
    assert (report.status, report.result) == ("done", scanned.report.result)
    assert report.files == scanned.report.files
    assert seen[-1] == report.shards["total"]
    assert client.status == "running"


def test_nothing_stays_on_the_cluster(client: Any, batch: codebatch.Batch) -> None:
    batch.run(client=client)
    wait_for(lambda: not any(client.has_what().values()), "the cluster forgets")


def test_client_computes_a_batch(client: Any, batch: codebatch.Batch, scanned: Scanned) -> None:
    future = client.compute(batch)
    assert future.result(timeout=240).result == scanned.report.result
    (report,) = client.gather(
        client.compute([codebatch.open_store(batch.path).find_batch(batch.id)])
    )
    assert (report.status, report.result) == ("done", scanned.report.result)


def test_damage_after_a_cluster_run_is_computed_again(client: Any, batch: codebatch.Batch) -> None:
    """The scheduler may still know the old result; the store decides."""
    first = batch.run(client=client)
    path = next(batch.path.glob("batches/*/tasks/parse/shards/*/outputs.index.jsonl.zst"))
    for forget in (False, True):
        path.unlink()
        if forget:
            shutil.rmtree(batch.path / "indexes")
        again = batch.run(client=client)
        assert (again.status, again.result) == ("done", first.result)
        assert path.exists()
        assert (again.files["computed"] > 0) == forget
