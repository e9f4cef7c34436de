"""What a run on a cluster tells: which worker did what, and Dask's report on all of it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
from clusters import Cluster, connected_client, two_workers, wait_for
from conftest import Outcome
from distributed.utils import key_split

import codebatch
from codebatch.cluster import cluster as cluster_of_a_run
from codebatch.cluster.session import reporting
from codebatch.cluster.settings import ClusterSettings
from codebatch.graph.keys import part_key, shard_key, task_key
from codebatch.model.errors import MissingExtraError, OutputError, UsageError
from codebatch.model.messages import ShardCall

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

needs_bokeh = pytest.mark.skipif(
    importlib.util.find_spec("bokeh") is None, reason="there is no bokeh to make a report with"
)
TRANSPORTS = ("shared", "shipped")
KEY = re.compile("(shard|part|recheck)-full-[0-9a-f]{16}-[0-9a-f]{8}")


cluster = pytest.fixture(two_workers, scope="module")
client = pytest.fixture(connected_client)


def events(batch: codebatch.Batch) -> list[dict[str, Any]]:
    path = batch.path / "batches" / batch.id / "events.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# -- events and names ------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_events_name_the_workers(
    transport: str, cluster: Cluster, client: Any, batch: codebatch.Batch
) -> None:
    report = batch.run(client=client, transport=transport)
    found = events(batch)
    names = {str(one["name"]) for one in client.scheduler_info()["workers"].values()}
    workers = [event["worker"] for event in found if event["event"] == "shard-done"]
    assert len(workers) == report.shards["done"]
    assert set(workers) <= names
    assert found[0]["scheduler"] == "cluster"
    texts = json.dumps(found)
    assert cluster.address not in texts
    assert os.uname().nodename not in texts


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_children_took_is_told(transport: str, client: Any, batch: codebatch.Batch) -> None:
    before = len(client.get_events("codebatch"))
    report = batch.run(client=client, transport=transport)
    assert report.cluster is not None
    for one in report.cluster.workers:
        assert 0 < one.cpu_seconds < 600
        assert 2**20 < one.peak_bytes < 2**34
    told = [event for _, event in client.get_events("codebatch")[before:]]
    assert len(told) == sum(one.calls for one in report.cluster.workers)
    by_worker = {one.name: one.cpu_seconds for one in report.cluster.workers}
    for name, seconds in by_worker.items():
        logged = sum(event["cpu_seconds"] for event in told if event["name"] == name)
        assert logged == pytest.approx(seconds, abs=0.05)

    def shown() -> float:
        """What heartbeats of workers have told the scheduler."""
        found = client.sync(client.scheduler.identity, n_workers=-1)["workers"].values()
        return sum(one["metrics"].get("children_cpu_seconds", 0) for one in found)

    wait_for(lambda: shown() > 0, "a heartbeat")


def test_a_dask_collection_names_the_workers(client: Any, batch: codebatch.Batch) -> None:
    (report,) = client.gather(client.compute([batch]))
    assert report.status == "done"
    names = {str(one["name"]) for one in client.scheduler_info()["workers"].values()}
    assert {event["worker"] for event in events(batch) if event["event"] == "shard-done"} <= names


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_local_events_name_the_scheduler_and_no_worker(
    scheduler: str, batch: codebatch.Batch
) -> None:
    batch.run(scheduler, workers=2)
    batch.run(scheduler)
    found = events(batch)
    assert {event["worker"] for event in found if event["event"] == "shard-done"} == {None}
    kinds = [event["scheduler"] for event in found if event["event"] == "run-started"]
    assert kinds == [scheduler, None]


def test_keys_are_one_group_on_the_dashboard(batch: codebatch.Batch) -> None:
    call = ShardCall("/store", "0" * 32, batch.id, "3f", "attempt", pipeline="full")
    groups = {
        "shard-full": [shard_key(call), shard_key(call, 2), *batch.__dask_keys__()],
        "part-full": [part_key(call, 0, 18), part_key(call, 17, 18, sent=1)],
        "map-hotspots": [task_key("map", "hotspots", call, "3f")],
    }
    assert len(set(groups["shard-full"])) == 2 + len(batch.shards())
    for group, keys in groups.items():
        for key in keys:
            assert key_split(key) == group
            assert key_split(str(key)) == group
            assert dask.utils.key_split(key) == group


# -- Dask's report ---------------------------------------------------------------------------------


@pytest.mark.slow
@needs_bokeh
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_report_on_a_run(
    transport: str,
    cluster: Cluster,
    batch: codebatch.Batch,
    tmp_path: Path,
    cli: Callable[..., Outcome],
) -> None:
    """It is whole, can be read offline, and names what ran, and nothing else of ours."""
    (tmp_path / "out").mkdir()
    path = tmp_path / "out/a::b%20.html"  # Dask itself would take it for a chain of filters
    path.write_text("an older one")
    words = ("run", "--store", batch.path, "--transport", transport, "--json")
    done = cli(*words, "--scheduler", cluster.address, "--performance-report", path)
    assert done.code == 0, done.err
    page = path.read_text()
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert page.rstrip().endswith("</html>")
    assert "Dask Performance Report" in page
    assert not re.search(r"<script[^>]* src=", page)
    assert len(set(KEY.findall(page))) == 1
    assert os.listdir(tmp_path / "out") == [path.name]


@needs_bokeh
def test_report_with_a_client(client: Any, batch: codebatch.Batch, tmp_path: Path) -> None:
    """It names the keys of this run, of which the client makes no other its current one."""
    before = distributed.client._get_global_client()
    notices: list[str] = []
    path = tmp_path / "report.html"
    batch.run(client=client, performance_report=path, on_notice=notices.append)
    assert KEY.search(path.read_text())
    assert distributed.client._get_global_client() is before
    path.unlink()
    batch.run(client=client, performance_report=path, on_notice=notices.append)
    assert notices == ["there was nothing to run, and so nothing for a performance report"]
    assert not path.exists()


@needs_bokeh
def test_a_report_that_fails_costs_nothing(
    client: Any, batch: codebatch.Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no more plots")

    monkeypatch.setattr(distributed.performance_report, "__aexit__", fail)
    notices: list[str] = []
    path = tmp_path / "report.html"
    report = batch.run(client=client, performance_report=path, on_notice=notices.append)
    assert report.status == "done"
    assert notices == ["no performance report: RuntimeError: no more plots"]
    assert not path.exists()


@needs_bokeh
def test_no_report_of_a_scheduler_that_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    notices: list[str] = []
    path = tmp_path / "report.html"
    settings = ClusterSettings(performance_report=str(path), on_notice=notices.append)
    with (
        distributed.Client(cluster.address, set_as_default=False) as client,
        reporting(cluster_of_a_run.Cluster(client, settings), settings),
    ):
        client.close()
    assert notices == ["no performance report: ClusterError: the scheduler is lost"]
    assert not path.exists()


@needs_bokeh
def test_report_on_a_recheck(client: Any, batch: codebatch.Batch, tmp_path: Path) -> None:
    batch.run("sync")
    path = tmp_path / "report.html"
    assert batch.recheck(client=client, performance_report=path).differ == ()
    assert KEY.search(path.read_text())


@pytest.mark.parametrize("command", ["scan", "run"])
def test_only_a_cluster_makes_a_report(
    command: str, batch: codebatch.Batch, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    store = tmp_path / "new" if command == "scan" else batch.path
    words = ("scan", batch.path.parent) if command == "scan" else ("run",)
    path = tmp_path / "report.html"
    done = cli(*words, "--store", store, "--performance-report", path, "--scheduler", "threads")
    *_, first, hint = done.err.splitlines()
    assert (done.code, done.stdout) == (2, b"")
    assert first == "error: only a cluster makes a performance report, and the scheduler is threads"
    assert hint.startswith("  give --scheduler tcp://")
    assert not path.exists()
    assert not (tmp_path / "new").exists()
    assert batch.status()["status"] == "pending"
    with pytest.raises(UsageError):
        batch.recheck(performance_report=path) if batch.run("sync") else None


@pytest.mark.parametrize("name", ["", "a\0b", "nowhere/report.html", "folder"])
def test_a_file_that_cannot_be_written_is_an_error_before_work(
    name: str, client: Any, batch: codebatch.Batch, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / name if name else ""
    with pytest.raises(OutputError) as raised:
        batch.run(client=client, performance_report=path)
    assert (raised.value.code, raised.value.exit_code) == ("OUTPUT_FAILED", 2)
    assert batch.status()["status"] == "pending"
    assert os.listdir(tmp_path / "folder") == []


HIDING = "import sys\nsys.modules['bokeh'] = None\n"


@pytest.mark.slow
def test_a_scheduler_without_bokeh(
    batch: codebatch.Batch, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding/sitecustomize.py").write_text(HIDING)
    paths = [str(tmp_path / "hiding"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment: dict[str, str | None] = {"PYTHONPATH": os.pathsep.join(paths)}
    path = tmp_path / "report.html"
    with Cluster(tmp_path / "cluster", environment=environment) as bare:
        words = ("run", "--store", batch.path, "--scheduler", bare.address)
        done = cli(*words, "--performance-report", path, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.code, error["code"]) == (2, MissingExtraError.code)
    assert "pip install 'codebatch[dashboard]'" in error["hints"][0]
    assert not path.exists()
    assert batch.status()["status"] == "pending"
