"""Both transports give what a local run gives, and workers are sent no more than they need.

The contract is run on `processes`, and on a cluster whose workers open the store or never see it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster, connected_client, two_workers, wait_for, with_other_ruff
from conftest import Interrupt, Scanned, damage_object, write_tree
from poisoned import LIMITS, QUARANTINED, Poisoned
from verifier import verify_store

import codebatch
from codebatch.model.errors import NotReusedError, UsageError
from codebatch.status.progress import RunProgress
from codebatch.store.leases.claims import Claims
from codebatch.store.leases.leases import hold_lease

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

Run = Callable[..., codebatch.RunReport]


cluster = pytest.fixture(two_workers, scope="module")
client = pytest.fixture(connected_client, scope="module")


@pytest.fixture(params=["processes", "shared", "shipped"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a batch one way or the other."""
    if request.param == "processes":
        return lambda batch, **options: batch.run("processes", workers=2, **options)
    client = request.getfixturevalue("client")
    return lambda batch, **options: batch.run(client=client, transport=request.param, **options)


def ship(batch: codebatch.Batch, client: Any, **options: Any) -> codebatch.RunReport:
    return batch.run(client=client, transport="shipped", **options)


def sent(report: codebatch.RunReport) -> int:
    assert report.cluster is not None
    return sum(worker.sent_bytes for worker in report.cluster.workers)


# -- the contract --------------------------------------------------------------------------------


def test_same_result_and_same_counts(run: Run, batch: codebatch.Batch, scanned: Scanned) -> None:
    report = run(batch)
    assert (report.status, report.result) == ("done", scanned.report.result)
    assert report.files == scanned.report.files
    assert list(batch.sorted_records()) == list(scanned.batch.sorted_records())
    verify_store(batch.path)
    assert codebatch.open_store(batch.path).verify(read_data=True).problems == ()


def test_files_of_a_store_are_the_same(run: Run, batch: codebatch.Batch, scanned: Scanned) -> None:
    run(batch)

    def outputs(of: codebatch.Batch) -> dict[str, bytes]:
        root = of.path / "batches" / of.id / "tasks"
        found = sorted(root.rglob("outputs.index.jsonl.zst"))
        return {str(path.relative_to(root)): path.read_bytes() for path in found}

    def objects(of: codebatch.Batch) -> set[str]:
        root = of.path / "objects"
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    assert outputs(batch) == outputs(scanned.batch)
    assert objects(batch) == objects(scanned.batch)


def test_nothing_is_computed_twice(run: Run, batch: codebatch.Batch, scanned: Scanned) -> None:
    run(batch)
    again = run(batch)
    assert (again.files["computed"], again.result) == (0, scanned.report.result)
    narrower = codebatch.open_store(batch.path).batch("latest", "parse")
    assert run(narrower).files["computed"] == 0


def test_config_of_one_task(run: Run, batch: codebatch.Batch, scanned: Scanned) -> None:
    run(batch)
    document = {
        "name": "short",
        "tasks": [
            {"id": "parse", "task": "parse"},
            {"id": "lint", "task": "lint", "needs": ["parse"], "config": {"max_line_length": 20}},
        ],
    }
    local = codebatch.open_store(batch.path.parent / "other", create=True)
    expected = local.batch(local.snapshot(scanned.tree), document).run("sync")
    report = run(codebatch.open_store(batch.path).batch("latest", document))
    assert report.result == expected.result
    assert 0 < report.files["computed"] < expected.files["computed"]


def test_only_what_is_there(run: Run, batch: codebatch.Batch) -> None:
    with pytest.raises(NotReusedError):
        run(batch, require_reused=True)
    assert run(batch).status == "done"
    assert run(batch, require_reused=True).status == "done"


def test_recheck(client: Any, batch: codebatch.Batch) -> None:
    batch.run("sync")
    found = batch.recheck(client=client, transport="shipped")
    assert (found.checked > 0, found.differ) == (True, ())


def test_damaged_source_fails_its_shard_alone(
    run: Run, store: codebatch.Store, tmp_path: Path
) -> None:
    files = {f"m{n}.py": f"x = {os.urandom(90).hex()!r}\n" for n in range(40)}
    batch = store.batch(store.snapshot(write_tree(tmp_path / "t", files)), "full")
    digest = codebatch.open_store(batch.path).find_snapshot("latest").files[7].object
    damage_object(batch.path, digest)
    report = run(batch)
    assert (report.status, report.shards["failed"]) == ("failed", 1)
    assert [error["code"] for error in report.errors] == ["STORE_DAMAGED"]
    assert digest in str(report.errors[0]["message"])


def test_damage_in_one_store_is_none_of_another(client: Any, tmp_path: Path) -> None:
    """Workers were sent damaged bytes, and keep nothing."""
    tree = write_tree(tmp_path / "t", {"m.py": f"x = {os.urandom(90).hex()!r}\n"})
    damaged, other = (codebatch.open_store(tmp_path / name, create=True) for name in ("one", "two"))
    batch = damaged.batch(damaged.snapshot(tree), "full")
    (path,) = (p for p in damaged.path.glob("objects/sha256/??/??/*") if p.stat().st_size > 90)
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-9] + bytes(9))
    for _ in range(3):  # by now, each of the two workers has had it
        assert ship(batch, client).status == "failed"
    assert ship(other.batch(other.snapshot(tree), "full"), client).status == "done"
    path.write_bytes(whole)
    assert ship(batch, client).status == "done"


@pytest.mark.parametrize("transport", ["shared", "shipped"])
def test_wait_for_other_runs_is_interrupted(
    transport: str, batch: codebatch.Batch, client: Any, interrupt: Interrupt
) -> None:
    layout, shard_id = batch.directory.layout, batch.shards()[0]["shard_id"]
    with hold_lease(layout, "run", batch.id) as lease:
        claims = Claims(layout, batch.id, lease.lease_id)
        claims.take(shard_id)
        late = threading.Timer(20, claims.release, [shard_id])
        late.start()
        with pytest.raises(codebatch.RunInterrupted):
            batch.run(client=client, transport=transport, on_wait=lambda _: interrupt())
        assert not late.finished.is_set(), "it waited to the end"
        late.cancel()
    assert batch.status()["status"] == "partial"
    assert batch.run("sync").status == "done"


def test_run_that_sends_nothing_is_interrupted(
    store: codebatch.Store, scanned: Scanned, client: Any, interrupt: Interrupt
) -> None:
    """All is known of each shard, so that no answer is ever waited for."""
    first = store.batch(store.snapshot(scanned.tree), "full")
    first.run("sync")
    store.remove_batch(first.id)
    batch = store.batch(store.snapshot(scanned.tree), "full", shards=256)
    told: list[RunProgress] = []

    def progress(news: RunProgress) -> None:
        told.append(news)
        if len(told) == 2:  # the first is what was there before
            interrupt()

    with pytest.raises(codebatch.RunInterrupted) as raised:
        ship(batch, client, progress=progress)
    report = raised.value.report
    assert (report.status, report.shards["done"]) == ("interrupted", 1)
    assert ship(batch, client).files["computed"] == 0


@pytest.mark.parametrize("transport", ["shared", "shipped"])
def test_a_worker_that_nobody_has_judged_judges_itself(
    transport: str,
    cluster: Cluster,
    client: Any,
    batch: codebatch.Batch,
    scanned: Scanned,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It joins with other tools when the preflight is over, and is sent work at once."""
    notices: list[str] = []
    name = f"other-{transport}"

    def settle(*_: object) -> None:
        cluster.start_worker(name, host=with_other_ruff(tmp_path / "ruff"))
        cluster.wait_for_workers(3)

    monkeypatch.setattr("codebatch.cluster.cluster.Cluster.settle", settle)
    try:
        report = batch.run(client=client, transport=transport, on_notice=notices.append)
    finally:
        cluster.members[name].end()
        wait_for(lambda: len(client.scheduler_info()["workers"]) == 2, "it is gone")
    assert (report.status, report.result) == ("done", scanned.report.result)
    assert [one.partition(":")[0] for one in notices] == [f"worker {name} gets no work of this run"]
    assert "ruff 0.0.1" in notices[0]


@pytest.fixture(scope="module")
def fatal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Poisoned, str, Cluster]]:
    """A world with fatal files, the result of a local run in it, and a cluster in it."""
    base = tmp_path_factory.mktemp("fatal")
    world = Poisoned(base / "world", "crash", "hang", "memory", number=20)
    local = world.json("scan", world.tree, "--scheduler", "processes", *LIMITS)
    environment = {**world.environment, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with Cluster(base / "cluster", environment=environment) as cluster:
        cluster.start_workers(2)
        yield world, local["result"], cluster


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["shared", "shipped"])
def test_fatal_files_are_quarantined(
    transport: str, fatal: tuple[Poisoned, str, Cluster], tmp_path: Path
) -> None:
    world, result, cluster = fatal
    world.store = tmp_path / "store"
    pids, before = cluster.wait_for_workers(2), len(world.deaths())
    where = ("--scheduler", cluster.address, "--transport", transport)
    report = world.json("scan", world.tree, *where, *LIMITS)
    assert cluster.wait_for_workers(2) == pids, "no worker has died"
    assert (report["result"], report["quarantined"]) == (result, QUARANTINED)
    seen = len(world.deaths())
    assert seen > before
    assert world.json("resume", *where)["files"]["computed"] == 0
    assert len(world.deaths()) == seen, "what is given up is not tried again"


# -- what is sent --------------------------------------------------------------------------------


@pytest.mark.slow
def test_report_says_what_was_sent_and_to_whom(
    cluster: Cluster, batch: codebatch.Batch, cli: Callable[..., Any]
) -> None:
    where = ("run", "--store", batch.path, "--scheduler", cluster.address)
    document = json.loads(cli(*where, "--transport", "shipped", "--json").stdout)
    used = document["cluster"]
    assert used["transport"] == "shipped"
    assert {one["name"] for one in used["workers"]} <= {"w1", "w2"}
    for one in used["workers"]:
        assert one["address"].startswith("tcp://127.0.0.1:")
        assert min(one["calls"], one["sent_bytes"], one["received_bytes"]) > 0
    text = cli(*where, "--transport", "shared").stdout.decode()
    assert "cluster" not in text, "there was nothing to do, and no worker did it"


def test_local_run_uses_no_cluster(scanned: Scanned) -> None:
    assert asdict(scanned.report)["cluster"] is None


def test_what_a_worker_lacks_is_sent_after_all(
    client: Any, batch: codebatch.Batch, scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contents that no task is expected to read are left out at first."""
    monkeypatch.setattr("codebatch.shard.portion._NEVER_READ", frozenset({"python", "javascript"}))
    report = ship(batch, client)
    assert (report.status, report.result) == ("done", scanned.report.result)


def test_contents_that_no_task_reads_stay_here(client: Any, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "t", {"a.bin": b"\0" + os.urandom(300_000), "m.py": "x = 1\n"})
    store = codebatch.open_store(tmp_path / "s", create=True)
    report = ship(store.batch(store.snapshot(tree), "full"), client)
    assert report.status == "done"
    assert sent(report) < 50_000


@pytest.mark.slow
def test_large_shards_are_sent_in_parts(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "t", {f"m{n}.py": f"x = {n}\n" for n in range(120)})
    monkeypatch.setattr("codebatch.cluster.shipped._SOURCE_BYTES", 30)
    stores = [codebatch.open_store(tmp_path / name, create=True) for name in ("one", "two")]
    there, here = (store.batch(store.snapshot(tree), "full") for store in stores)
    report, expected = ship(there, client), here.run("sync")
    assert (report.result, report.files) == (expected.result, expected.files)
    assert report.cluster is not None
    assert sum(one.calls for one in report.cluster.workers) >= 30, "some 6 bytes a file"
    assert list(there.sorted_records()) == list(here.sorted_records())


def test_unknown_transport(batch: codebatch.Batch, cli: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="unknown transport: pigeon"):
        batch.run(transport="pigeon")
    assert cli("run", "--store", batch.path, "--transport", "pigeon").code == 2
