"""Runs that are left to a cluster: they go on when the client has ended, or was killed."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import distributed
import pytest
from clusters import Cluster, apart, connected_client, two_workers, wait_for
from conftest import Outcome, Scanned, cli_environment, write_tree
from verifier import verify_store

import codebatch
from codebatch.model.errors import ClusterMismatchError, UsageError

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

Cli = Callable[..., Outcome]

cluster = pytest.fixture(two_workers, scope="module")
client = pytest.fixture(connected_client, scope="module")

# A client that submits a batch and then never ends.
SUBMIT = """
import sys, time, distributed, codebatch
batch = codebatch.open_store(sys.argv[1]).find_batch("latest")
with distributed.Client(sys.argv[2], set_as_default=False) as client:
    print(batch.submit(client).shards, flush=True)
    time.sleep(600)
"""


def await_end(batch: codebatch.Batch) -> dict[str, Any]:
    """The document of the batch once nothing is at work on it."""
    wait_for(lambda: not batch.status()["runs"] and batch.status()["status"] == "done", "it ends")
    document: dict[str, Any] = batch.directory.batches.load(batch.id)
    return document


def test_the_client_is_killed_and_the_batch_finishes(
    cluster: Cluster, batch: codebatch.Batch, scanned: Scanned
) -> None:
    command = [sys.executable, "-c", SUBMIT, str(batch.path), cluster.address]
    with subprocess.Popen(command, env=cli_environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.send_signal(signal.SIGKILL)
    assert await_end(batch)["result"] == scanned.report.result
    assert list(batch.sorted_records()) == list(scanned.batch.sorted_records())
    assert codebatch.open_store(batch.path).verify(read_data=True).problems == ()
    verify_store(batch.path)
    events = list(batch.directory.batches.latest_events(batch.id))
    done = [event for event in events if event["event"] == "shard-done"]
    assert {event["worker"] for event in done} <= {"w1", "w2"}
    assert len({event["shard_id"] for event in done}) == len(done) == len(batch.shards("parse"))


def test_command_line_leaves_it_and_status_follows(
    cluster: Cluster, batch: codebatch.Batch, scanned: Scanned, cli: Cli
) -> None:
    where = ("--store", batch.path)
    done = cli("run", "--detach", "--scheduler", cluster.address, *where, "--json")
    assert done.code == 0, done.err
    document = json.loads(done.stdout)
    assert document == {
        "batch_id": batch.id,
        "snapshot_id": batch.load_status().plan.snapshot_id,
        "status": "pending",
        "shards": len(batch.shards("parse")),
        "scheduler": cluster.address,
    }
    watched = cli("status", "--watch", *where, "--json")
    assert json.loads(watched.stdout)["status"] == "done"
    assert await_end(batch)["result"] == scanned.report.result
    again = cli("run", "--detach", "--scheduler", cluster.address, *where)
    assert (again.code, "nothing was to be computed" in again.out) == (0, True), again.err


def test_it_has_a_lease_of_the_cluster_and_others_share_it(
    client: Any, batch: codebatch.Batch, scanned: Scanned
) -> None:
    left = batch.submit(client)
    assert left.scheduler is not None
    runs = batch.status()["runs"]
    assert {run["host"] for run in runs if run["pid"] is None} <= {left.scheduler}
    assert batch.run("sync").result == scanned.report.result
    assert await_end(batch)["result"] == scanned.report.result


@pytest.mark.slow
def test_resume_takes_over_what_was_lost(
    tmp_path: Path, library: Path, store: codebatch.Store
) -> None:
    batch = store.batch(store.snapshot(library), "full")
    with Cluster(tmp_path / "cluster") as lost:
        lost.start_workers(1)
        with distributed.Client(lost.address, set_as_default=False) as client:
            batch.submit(client)
            lost.members["w1"].kill()
    assert batch.status()["status"] in ("pending", "partial")
    for lease in batch.path.glob("leases/*.json"):  # they expire within a minute
        lease.unlink()
    other = codebatch.open_store(tmp_path / "other", create=True)
    expected = other.batch(other.snapshot(library), "full").run("processes").result
    assert batch.run("processes").result == expected


def test_workers_that_do_not_see_the_store(
    tmp_path: Path, batch: codebatch.Batch, cli: Cli
) -> None:
    hidden = apart(f"mount -t tmpfs none {batch.path}")
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.start_worker("blind", host=hidden)
        cluster.wait_for_workers(1)
        words = ("run", "--detach", "--scheduler", cluster.address, "--store", batch.path)
        done = cli(*words)
        with pytest.raises(ClusterMismatchError, match="sees no store"):
            batch.submit(scheduler=cluster.address)
    assert done.code == 6
    _, error, *hints = done.err.splitlines()
    assert "worker blind" in error
    assert f"sees no store at {batch.path}" in error
    assert any("--detach" in hint for hint in hints)
    assert batch.status()["runs"] == []


def test_what_cannot_be_left(main: Callable[..., Outcome], batch: codebatch.Batch) -> None:
    with pytest.raises(UsageError, match="only a cluster"):
        batch.submit(scheduler="sync")
    where = ("--store", batch.path, "--scheduler", "tcp://127.0.0.1:1")
    for words in (
        ("--recompute",),
        ("--transport", "shipped"),
        ("--performance-report", "x.html"),
        ("--workers", "2"),
    ):
        done = main("run", "--detach", *words, *where)
        assert (done.code, done.stdout) == (2, b""), words


OWN = """
from dataclasses import dataclass
import codebatch
from own_words import count


@codebatch.task(version=1)
def words(file):
    yield codebatch.Metric("words", count(file.text))


@dataclass(frozen=True)
class Sum:
    path: str
    words: int


@codebatch.task(version=1, scope="batch", needs=["words"], records=[Sum])
class total:
    def map(self, records, config):
        return {"path": records[0]["path"], "words": sum(one["value"] for one in records)}

    def combine(self, a, b):
        return {"path": a["path"], "words": a["words"] + b["words"]}

    def finish(self, total, config):
        yield Sum(total["path"], total["words"])
"""


def test_tasks_of_ones_own_and_those_over_the_batch(
    client: Any,
    tmp_path: Path,
    tree: Path,
    store: codebatch.Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers have their modules from the client alone, and finish the batch without it."""
    folder = write_tree(
        tmp_path / "own",
        {"own_tasks.py": OWN, "own_words.py": "def count(text):\n    return len(text.split())\n"},
    )
    monkeypatch.syspath_prepend(str(folder))
    own = importlib.import_module("own_tasks")
    other = codebatch.open_store(tmp_path / "other", create=True)
    tasks = [own.words, own.total, "lint"]
    expected = other.batch(other.snapshot(tree), pipeline=tasks).run("sync")
    batch = store.batch(store.snapshot(tree), pipeline=tasks)
    assert batch.submit(client).shards == len(batch.shards("words"))
    assert await_end(batch)["result"] == expected.result
    assert len(list(batch.records(task="total"))) == 1
    stages = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))
    assert {"map-total", "finish-total", "end-words-total-lint"} <= set(stages)


def test_batch_tasks_of_a_run_that_stays_run_on_workers_as_well(
    client: Any, tree: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    other = codebatch.open_store(tmp_path / "other", create=True)
    expected = other.batch(other.snapshot(tree), "hotspots").run("sync")
    report = store.batch(store.snapshot(tree), "hotspots").run(client=client)
    assert (report.result, report.nodes) == (expected.result, expected.nodes)
    stages = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))
    assert {"map-hotspots", "finish-hotspots"} <= set(stages)
