"""Runs of one batch at the same time share its shards; each computes what the others do not."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome, cli_command, cli_environment, replace_task, run_cli, write_tree

import codebatch
from codebatch.batch.coordination import retrying
from codebatch.model.errors import NotReusedError
from codebatch.model.messages import ReusePolicy, RunLease, ShardCall, Waiting
from codebatch.shard.run import run_shard
from codebatch.store.leases import leases
from codebatch.store.leases.claims import Claims
from codebatch.store.leases.leases import Lease, Process, hold_lease, read_leases


def planned(base: Path, tree: Path, shards: int = 256) -> codebatch.Batch:
    store = codebatch.open_store(base, create=True)
    return store.batch(store.snapshot(tree), shards=shards)


@pytest.fixture(scope="module")
def expected(small_library: Path, tmp_path_factory: pytest.TempPathFactory) -> codebatch.RunReport:
    """What one run alone comes to."""
    return planned(tmp_path_factory.mktemp("alone") / "store", small_library).run(
        "threads", workers=2
    )


def start(batch: codebatch.Batch, *arguments: object) -> subprocess.Popen[bytes]:
    words = ("run", "--batch", batch.id, "--store", batch.path, "--json", *arguments)
    return subprocess.Popen(
        cli_command(*words),
        env=cli_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def reports(processes: Sequence[subprocess.Popen[bytes]]) -> list[dict[str, Any]]:
    found = []
    for process in processes:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err.decode()
        found.append(json.loads(out))
    return found


def count_states(batch: codebatch.Batch) -> int:
    folder = batch.path / "batches" / batch.id
    return sum(1 for _ in folder.glob("tasks/lint/shards/*/state.json"))


def wait_for_states(batch: codebatch.Batch, number: int) -> None:
    deadline = time.monotonic() + 240
    while count_states(batch) < number:
        assert time.monotonic() < deadline, f"no {number} shards were finished"
        time.sleep(0.01)


def events(batch: codebatch.Batch) -> list[dict[str, Any]]:
    path = batch.path / "batches" / batch.id / "events.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def check_shared(
    found: list[dict[str, Any]], batch: codebatch.Batch, expected: codebatch.RunReport
) -> None:
    """All said the same, and together computed each result once."""
    assert {(one["status"], one["result"]) for one in found} == {("done", expected.result)}
    computed = [one["files"]["computed"] for one in found]
    total = expected.files["computed"]
    assert sum(computed) == total
    assert all(
        one["files"]["reused"] == total + expected.files["reused"] - one["files"]["computed"]
        for one in found
    )
    assert read_leases(batch.directory.layout) == []
    assert list((batch.path / "leases").iterdir()) == []


def test_two_runs_compute_everything_once(
    small_library: Path, tmp_path: Path, expected: codebatch.RunReport
) -> None:
    batch = planned(tmp_path / "store", small_library)
    first = start(batch, "--scheduler", "sync")
    wait_for_states(batch, 1)
    first.send_signal(signal.SIGSTOP)  # it may not do all of it before the other has begun
    second = start(batch, "--scheduler", "sync")
    wait_for_states(batch, count_states(batch) + 1)
    first.send_signal(signal.SIGCONT)
    found = reports([first, second])
    check_shared(found, batch, expected)
    # A run that comes upon a shard when the other has ended may say once more that it is done.
    done = {event["shard_id"] for event in events(batch) if event["event"] == "shard-done"}
    assert done == {shard["shard_id"] for shard in batch.shards()}
    assert all(one["files"]["computed"] for one in found)  # neither did all of it


def test_a_run_goes_on_where_another_was_killed(
    small_library: Path, tmp_path: Path, expected: codebatch.RunReport
) -> None:
    batch = planned(tmp_path / "store", small_library)
    first = start(batch, "--scheduler", "sync")
    wait_for_states(batch, 5)
    second = start(batch, "--scheduler", "sync")
    wait_for_states(batch, 20)
    first.send_signal(signal.SIGKILL)
    (report,) = reports([second])
    first.communicate()
    assert (report["status"], report["result"]) == ("done", expected.result)
    assert 0 < report["files"]["computed"] < expected.files["computed"]
    assert list((batch.path / "leases").glob("batch-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_many_runs_on_any_scheduler(
    scheduler: str, small_library: Path, tmp_path: Path, expected: codebatch.RunReport
) -> None:
    batch = planned(tmp_path / "store", small_library)
    runs = [start(batch, "--scheduler", scheduler, "--workers", 2) for _ in range(3)]
    check_shared(reports(runs), batch, expected)


def test_a_run_waits_for_a_shard_and_says_so(
    tree: Path, store: codebatch.Store, cli: Callable[..., Outcome]
) -> None:
    """All shards but one are left to do; the other run ends and leaves it."""
    batch = store.batch(store.snapshot(tree))
    layout = store.directory.layout
    shard_id = str(batch.shards()[0]["shard_id"])
    with hold_lease(layout, "run", batch.id) as lease:
        assert Claims(layout, batch.id, lease.lease_id).take(shard_id) is None
        process = start(batch, "--scheduler", "sync")
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert line.startswith("waiting for 1 shard that process ")
        assert batch.status()["shards"]["pending"] == 1
    (report,) = reports([process])
    assert report["status"] == "done"
    assert cli("run", "--store", store.path, "-q").code == 0


def test_what_another_run_finishes_meanwhile(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree))
    layout = store.directory.layout
    shard_id = str(batch.shards()[0]["shard_id"])
    waited: list[Waiting] = []
    with hold_lease(layout, "run", batch.id) as lease:
        assert Claims(layout, batch.id, lease.lease_id).take(shard_id) is None

        def finish(waiting: Waiting) -> None:
            waited.append(waiting)
            call = ShardCall(str(store.path), store.directory.store_id, batch.id, shard_id, "other")
            run_shard(call._replace(lease=RunLease(lease.lease_id, lease.since_ns)))

        report = batch.run("sync", on_wait=finish)
    assert [one.shards for one in waited] == [1]
    assert report.status == "done"
    files = batch.shards()[0]["files"]
    assert report.files["reused"] >= 4 * int(str(files))


def test_a_shard_that_fails_in_another_run_is_not_run_again(
    tree: Path, store: codebatch.Store
) -> None:
    batch = store.batch(store.snapshot(tree))
    layout = store.directory.layout
    digest = str(batch.inspect("pkg/cart.py")["object"]).partition(":")[2]
    shard_id = digest[: len(str(batch.shards()[0]["shard_id"]))]
    for path in (store.path / "objects").rglob(f"{digest}*"):
        path.unlink()
    with hold_lease(layout, "run", batch.id) as lease:
        assert Claims(layout, batch.id, lease.lease_id).take(shard_id) is None

        def fail(_: Waiting) -> None:
            call = ShardCall(str(store.path), store.directory.store_id, batch.id, shard_id, "other")
            run_shard(call._replace(lease=RunLease(lease.lease_id, lease.since_ns)))

        report = batch.run("sync", on_wait=fail)
    assert (report.status, report.shards["failed"]) == ("failed", 1)
    states = store.path.glob(f"batches/*/tasks/*/shards/{shard_id}/state.json")
    attempts = {json.loads(path.read_bytes())["attempt"] for path in states}
    assert attempts == {"other"}


def test_two_runs_that_may_not_compute_do_not_wait_for_each_other(
    tree: Path, store: codebatch.Store
) -> None:
    batch = store.batch(store.snapshot(tree))
    layout = store.directory.layout
    with hold_lease(layout, "run", batch.id) as lease:
        shard_id = str(batch.shards()[0]["shard_id"])
        call = ShardCall(
            str(store.path),
            store.directory.store_id,
            batch.id,
            shard_id,
            "other",
            reuse=ReusePolicy(required=True),
            lease=RunLease(lease.lease_id, lease.since_ns),
        )
        assert (run_shard(call).error or {})["code"] == "NOT_REUSED"
        with pytest.raises(NotReusedError):
            batch.run("sync", require_reused=True)


def test_a_retry_beside_a_run_is_refused(
    tree: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    """The run may have read the states that a retry would drop."""
    batch = store.batch(store.snapshot(tree))
    result = batch.run("sync").result
    before = events(batch)
    words = ("run", "--retry-quarantined", "--store", store.path)
    with hold_lease(store.directory.layout, "run", batch.id):
        done = main(*words, "--json")
        error = json.loads(done.stdout)["error"]
        assert (done.code, error["code"]) == (5, "BATCH_RUNNING")
        assert error["message"].startswith(
            f"batch {batch.id} is being run by process {os.getpid()}"
        )
    assert events(batch) == before
    assert batch.run("sync", retry_quarantined=True).result == result


def test_a_run_looks_when_a_retry_has_dropped_states(
    tree: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it read before would be named by a result, and be gone."""
    batch = store.batch(store.snapshot(tree))
    result = batch.run("sync").result
    states = list((store.path / "batches" / batch.id).glob("tasks/lint/shards/*/state.json"))
    store.directory.batches.drop_result(batch.id)
    ended = []

    def end(seconds: float) -> None:
        ended.append(seconds)
        for path in states:
            path.unlink(missing_ok=True)
        retry.close()

    monkeypatch.setattr("codebatch.batch.coordination.time.sleep", end)
    with contextlib.ExitStack() as retry:
        retry.enter_context(retrying(store.directory, batch.id))
        assert batch.run("sync").result == result
    assert len(ended) == 1
    assert all(path.exists() for path in states)
    assert store.verify().ok


@pytest.mark.parametrize("seconds", [-1000, 1000])
def test_claims_go_by_the_clock_of_the_file_system(
    seconds: int, tree: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a run on another machine stay while it lives, and go when it has died."""
    batch = store.batch(store.snapshot(tree))
    layout = store.directory.layout
    elsewhere = Process("elsewhere", "elsewhere boot pid", 1, "1")
    leases._write(layout, Lease("other", "run", batch.id, 0, 0, elsewhere))
    monkeypatch.setattr("time.time_ns", lambda real=time.time_ns: real() + seconds * 10**9)
    batch.run("sync")
    assert layout.claims(batch.id).exists()
    path = layout.lease("other")
    os.utime(path, (path.stat().st_mtime - 100,) * 2)
    store.directory.batches.drop_result(batch.id)
    batch.run("sync")
    assert not layout.claims(batch.id).exists()


def test_a_dask_collection_claims_as_well(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree))
    report = codebatch.RunReport(*_computed(batch))
    assert report.status == "done"
    assert read_leases(store.directory.layout) == []


def _computed(batch: codebatch.Batch) -> tuple[Any, ...]:
    import dask  # noqa: PLC0415 - heavy

    (report,) = dask.compute(batch)
    return tuple(getattr(report, name) for name in report.__dataclass_fields__)


def test_runs_do_not_wait_for_what_each_has_failed_at_again(
    store: codebatch.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has claimed a shard that had failed before, and fails at it for want of descriptors."""
    tree = write_tree(tmp_path / "tree", {f"{n}.py": f"x = {n}\n" for n in range(2)})
    batch = store.batch(store.snapshot(tree), "full", shards=256)
    assert len(batch.shards()) == 2
    met = threading.Barrier(1)

    def run(*_: object) -> Iterator[dict[str, object]]:
        met.wait(30)
        raise OSError(errno.EMFILE, "no descriptor")

    replace_task(monkeypatch, "symbols", function=run)
    assert batch.run("sync").shards["failed"] == 2
    met = threading.Barrier(2)
    found: list[codebatch.RunReport] = []
    both = [
        threading.Thread(target=lambda: found.append(batch.run("threads", workers=1)), daemon=True)
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert [report.shards["failed"] for report in found] == [2, 2]


@pytest.mark.slow
def test_an_interrupted_run_leaves_its_shards(small_library: Path, tmp_path: Path) -> None:
    batch = planned(tmp_path / "store", small_library)
    process = start(batch, "--scheduler", "sync")
    wait_for_states(batch, 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=240)
    assert process.returncode == 130
    assert os.listdir(batch.path / "leases") == []
    assert run_cli("resume", "--store", batch.path, "-q").code == 0
