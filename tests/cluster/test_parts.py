"""Large shards are cut into parts for the workers at hand, and give the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from clusters import connected_client, two_workers
from conftest import Scanned, damage_object, write_tree
from verifier import verify_store

import codebatch
from codebatch.cluster.shared import cut
from codebatch.model.messages import ReusePolicy, ShardCall

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

cluster = pytest.fixture(two_workers, scope="module")
client = pytest.fixture(connected_client, scope="module")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few files, as if there were more work."""
    monkeypatch.setattr("codebatch.cluster.shared.LEAST_BYTES", 100)
    monkeypatch.setattr("codebatch.cluster.shared._MOST_BYTES", 100)


def share(batch: codebatch.Batch, client: Any, **options: Any) -> codebatch.RunReport:
    return batch.run(client=client, transport="shared", **options)


def calls_of(report: codebatch.RunReport) -> int:
    assert report.cluster is not None
    return sum(worker.calls for worker in report.cluster.workers)


# -- how wide -----------------------------------------------------------------------------------


def call(shard_id: str, new_bytes: int, **changes: Any) -> ShardCall:
    return ShardCall("/s", "id", "batch-0", shard_id, "a", new_bytes=new_bytes)._replace(**changes)


def widths(calls: list[ShardCall], threads: int) -> list[int]:
    return [one.parts for one in cut(calls, threads)]


def test_as_wide_as_the_cluster_and_no_wider_than_the_work() -> None:
    mebibyte = 2**20
    calls = [call(f"{number:x}", 20 * mebibyte) for number in range(16)]
    assert widths(calls, threads=2) == [2] * 16  # a part has 8 MiB at most
    assert widths(calls, threads=20) == [5] * 16  # four for each thread
    assert widths(calls, threads=1000) == [20] * 16  # and half a second of work at least
    assert widths([call("0", 0), call("1", 2 * mebibyte)], threads=100) == [1, 2]
    assert widths(calls, threads=0) == [2] * 16  # where no worker has come yet


def test_what_computes_nothing_or_little_is_not_cut() -> None:
    large = 100 * 2**20
    assert widths([call("0", 1000), call("1", 0)], threads=100) == [1, 1]
    assert widths([call("0", 1000)], threads=0) == [1]  # all workers are gone for now
    assert widths([call("0", large, reuse=ReusePolicy(required=True))], threads=100) == [1]
    assert widths([call("0", large, recheck=10)], threads=100) == [1]


# -- the same bytes -----------------------------------------------------------------------------


@pytest.mark.usefixtures("small_parts")
def test_files_of_a_store_are_the_same(
    client: Any, batch: codebatch.Batch, scanned: Scanned
) -> None:
    report = share(batch, client)
    assert (report.status, report.result) == ("done", scanned.report.result)
    assert report.files == scanned.report.files
    assert calls_of(report) > report.shards["total"]

    def files(of: codebatch.Batch, pattern: str) -> dict[str, bytes]:
        found = sorted(of.path.glob(pattern))
        return {str(path.relative_to(of.path)): path.read_bytes() for path in found}

    outputs = "batches/*/tasks/**/outputs.index.jsonl.zst"
    assert files(batch, outputs) == files(scanned.batch, outputs)
    assert files(batch, "objects/sha256/??/??/*").keys() == (
        files(scanned.batch, "objects/sha256/??/??/*").keys()
    )
    verify_store(batch.path)
    assert codebatch.open_store(batch.path).verify(read_data=True).problems == ()
    narrower = codebatch.open_store(batch.path).batch("latest", "parse")
    assert share(narrower, client).files["computed"] == 0


@pytest.mark.usefixtures("small_parts")
def test_what_the_memo_has_is_not_computed_in_a_part(
    client: Any, store: codebatch.Store, scanned: Scanned
) -> None:
    snapshot = store.snapshot(scanned.tree)
    store.batch(snapshot, "parse").run("sync")
    report = share(store.batch(snapshot, "full"), client)
    assert report.result == scanned.report.result
    files = scanned.report.files
    assert report.files["computed"] == files["computed"] * 3 // 4


@pytest.mark.usefixtures("small_parts")
def test_damaged_source_fails_its_shard_alone(
    client: Any, store: codebatch.Store, tmp_path: Path
) -> None:
    files = {f"m{n}.py": f"x = {os.urandom(90).hex()!r}\n" for n in range(40)}
    batch = store.batch(store.snapshot(write_tree(tmp_path / "t", files)), "full")
    digest = codebatch.open_store(batch.path).find_snapshot("latest").files[7].object
    damage_object(batch.path, digest)
    report = share(batch, client)
    assert (report.status, report.shards["failed"]) == ("failed", 1)
    assert [error["code"] for error in report.errors] == ["STORE_DAMAGED"]


@pytest.mark.usefixtures("small_parts")
def test_a_batch_that_is_left_to_the_cluster(
    client: Any, batch: codebatch.Batch, scanned: Scanned
) -> None:
    assert batch.submit(client).shards == len(batch.shards("parse"))
    from test_detached import await_end  # noqa: PLC0415 - beside this module

    assert await_end(batch)["result"] == scanned.report.result
