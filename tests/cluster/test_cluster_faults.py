"""Clusters that break while a batch runs: what comes out is what comes out of a quiet one."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster, Member, Run, apart, wait_for, why_not_apart
from conftest import Note
from corpora import django
from networks import Network, Proxy, why_no_network
from verifier import verify_store

import codebatch

pytestmark = pytest.mark.slow

KILL_SECONDS, KILL_SHARDS = 3, 20
# Dask gives up soon whom it does not hear of, but nobody who waits for a processor.
SOON: dict[str, str | None] = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "15s",
}
TRANSPORTS = ["shared", "shipped"]


@dataclass(frozen=True)
class Source:
    """A tree, and its batch as it was run here: what every other run has to come to."""

    tree: Path
    shards: int
    batch: codebatch.Batch
    report: codebatch.RunReport

    def start(self, store: Path, scheduler: object, *words: object, **options: Any) -> Run:
        """Scan it on a cluster."""
        where = ("--shards", self.shards, "--scheduler", scheduler)
        return Run(store, "scan", self.tree, *where, *words, **options)

    def check(self, run: Run, seconds: float = 600) -> None:
        """The run ends well, and every shard is byte by byte as it is here: nothing is missing,
        nothing is there twice.
        """
        report = run.report(seconds)
        assert "Traceback" not in run.messages()
        assert report["result"] == self.report.result
        assert report["shards"] == self.report.shards
        self.check_store(run.store)

    def check_store(self, store: Path) -> None:
        verify_store(store)
        assert codebatch.open_store(store).verify().ok
        assert outputs(store) == outputs(self.batch.path)


def outputs(store: Path) -> dict[str, bytes]:
    """The records of each task and shard of the only batch, as they are on disk."""
    found = store.glob("batches/*/tasks/*/shards/*/outputs.index.jsonl.zst")
    return {str(path.parent.relative_to(store)): path.read_bytes() for path in found}


def scanned_here(tree: Path, store: Path, shards: int) -> Source:
    batch, report = codebatch.scan(tree, store, shards=shards, scheduler="processes")
    assert report.status == "done"
    return Source(tree, shards, batch, report)


@pytest.fixture(scope="module")
def source(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Some hundred files, about one a shard."""
    return scanned_here(library, tmp_path_factory.mktemp("here") / "store", 4096)


@pytest.fixture(scope="module")
def whole_django(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Some thousand files."""
    base = tmp_path_factory.mktemp("django")
    return scanned_here(django(base), base / "store", 256)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler that gives workers up soon, and no workers yet."""
    with Cluster(tmp_path / "cluster", environment=SOON) as started:
        yield started


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The words that choose one."""
    return ("--transport", request.param)


# -- workers ---------------------------------------------------------------------------------------


def test_a_worker_is_killed_every_few_seconds(
    transport: tuple[str, str],
    cluster: Cluster,
    whole_django: Source,
    tmp_path: Path,
    note: Note,
) -> None:
    """Two are started again by a nanny, two by the test."""
    cluster.start_workers(2)
    cluster.start_workers(2, nanny=True)
    victims = itertools.cycle(set(cluster.members.values()) - {cluster.scheduler})
    killed = 0
    with whole_django.start(tmp_path / "store", cluster.address, *transport) as run:
        run.wait_for_shards(1)
        while run.is_running and killed < 40:  # a slow machine does little in between
            killed += kill_worker(next(victims))
            go_on(run)
        whole_django.check(run)
    assert killed >= 5
    note(f"{killed} workers were killed in a run of Django, {transport[1]}")


def go_on(run: Run) -> None:
    """Let it run for a few seconds, or as long as it takes for some shards."""
    enough = run.shards_done() + KILL_SHARDS
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not run.is_running or run.shards_done() >= enough, "more", KILL_SECONDS)


def kill_worker(member: Member) -> bool:
    """Kill a worker, and start it again unless a nanny does; whether there was one to kill."""
    worker = member.worker()
    if worker is not None:
        worker.kill()
    if not member.is_nanny:
        member.kill()
        member.start()
    return worker is not None


def test_workers_that_are_frozen(
    transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    """They wake up when others have done their work, and nobody waits for theirs."""
    cluster.start_workers(3)
    frozen = [cluster.members[name] for name in ("w1", "w2")]
    with source.start(tmp_path / "store", cluster.address, *transport) as run:
        run.wait_for_shards(10)
        for member in frozen:
            member.freeze()
        source.check(run)
    for member in frozen:
        member.thaw()
    wait_for(lambda: not any(member.is_running for member in frozen), "those given up end")
    source.check_store(tmp_path / "store")


def test_a_worker_that_joins_late(
    transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    with source.start(tmp_path / "store", cluster.address, *transport) as run:
        run.wait_for_message("waiting for")
        cluster.start_worker("first")
        run.wait_for_shards(5)
        cluster.start_worker("second")
        source.check(run)


def test_all_workers_are_lost_for_a_while(
    transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    cluster.start_workers(2)
    with source.start(tmp_path / "store", cluster.address, *transport) as run:
        run.wait_for_shards(10)
        for name in ("w1", "w2"):
            cluster.members[name].kill()
        run.wait_for_message("waiting for")
        cluster.start_worker("another")
        source.check(run)


# -- disks -----------------------------------------------------------------------------------------

needs_mounts = pytest.mark.skipif(bool(why_not_apart()), reason=f"no mounts: {why_not_apart()}")


@needs_mounts
def test_a_worker_that_cannot_write_the_store(
    cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    """It is no worker for a run whose workers open the store, and one like others where the run
    may choose.
    """
    store = codebatch.open_store(tmp_path / "store", create=True).path
    read_only = apart(f"mount --bind {store} {store}", f"mount -o remount,bind,ro {store}")
    cluster.start_worker("reader", host=read_only)
    cluster.start_workers(1)
    with source.start(store, cluster.address, "--transport", "shared") as run:
        done = run.outcome()
    assert done.code == 6
    assert "cannot write" in json.loads(done.stdout)["error"]["message"]
    assert run.shards_done() == 0
    with source.start(store, cluster.address) as run:
        source.check(run)
    assert run.report()["cluster"]["transport"] == "shipped"


@needs_mounts
@pytest.mark.parametrize("when", ["from the start", "later"])
def test_a_worker_without_room_for_temporary_files(
    when: str, transport: tuple[str, str], source: Source, tmp_path: Path
) -> None:
    """Tools that need some cannot work there: that says nothing about any file."""
    disk = tmp_path / "disk"
    disk.mkdir()
    alone = apart(
        f"mount --bind {tmp_path} {tmp_path}",
        f"mount -t tmpfs -o size=256k none {disk}",
        "for other in / /tmp /var/tmp; do mount -o remount,bind,ro $other 2>/dev/null; done; cd /",
    )
    with Cluster(tmp_path / "cluster", environment={"TMPDIR": str(disk)}) as cluster:
        full = cluster.start_worker("full", host=alone)
        cluster.start_workers(1)
        if when == "from the start":
            fill(full, disk)
        with source.start(tmp_path / "store", cluster.address, *transport) as run:
            if when == "later":
                run.wait_for_shards(5)
                fill(full, disk)
            source.check(run)


def fill(member: Member, disk: Path) -> None:
    """Leave no room in a folder as a process sees it."""
    with (
        contextlib.suppress(OSError),
        Path(f"/proc/{member.pid}/root{disk}/all").open("wb") as file,
    ):
        while True:
            file.write(bytes(1024))
            file.flush()


# -- scheduler and client --------------------------------------------------------------------------


def test_the_scheduler_is_restarted(
    transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    """At the same address, knowing nothing; its workers end with it, and new ones come."""
    names = cluster.start_workers(2)
    with source.start(tmp_path / "store", cluster.address, *transport) as run:
        run.wait_for_shards(10)
        cluster.scheduler.kill()
        run.wait_for_message("waiting for")
        cluster.start_scheduler()
        for name in names:
            cluster.members[name].end()
            cluster.members[name].start()
        source.check(run)


def test_a_client_is_killed_and_another_goes_on_elsewhere(
    transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    """It knows the store under another path, as another machine may."""
    cluster.start_workers(2)
    store, moved = tmp_path / "store", tmp_path / "elsewhere" / "store"
    moved.parent.mkdir()
    with source.start(store, cluster.address, *transport) as run:
        run.wait_for_shards(10)
        run.kill()
    store.rename(moved)
    with Run(moved, "resume", "--scheduler", cluster.address, *transport) as run:
        source.check(run)
    # What workers that were at a shard have written where the store was makes no store.
    assert not (store / "store.json").exists()


@pytest.mark.parametrize("lost", ["scheduler", "workers"])
def test_a_run_that_shall_not_wait_for_long(
    lost: str, transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    """What it has done is kept for the next one."""
    cluster.start_workers(2)
    words = (*transport, "--cluster-timeout", 8)
    with source.start(tmp_path / "store", cluster.address, *words) as run:
        run.wait_for_shards(10)
        for name in ("scheduler",) if lost == "scheduler" else ("w1", "w2"):
            cluster.members[name].kill()
        done = run.outcome()
    assert done.code == 6
    assert "codebatch resume" in " ".join(json.loads(done.stdout)["error"]["hints"])
    kept = run.shards_done()
    with Run(run.store, "resume", "--scheduler", "processes") as resumed:
        assert resumed.report()["files"]["computed"] < source.report.files["computed"]
        source.check(resumed)
    assert kept >= 10


def test_a_run_that_is_interrupted(
    transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    cluster.start_workers(2)
    with source.start(tmp_path / "store", cluster.address, *transport) as run:
        run.wait_for_shards(10)
        os.kill(run.pid, signal.SIGINT)
        done = run.outcome()
    assert (done.code, json.loads(done.stdout)["status"]) == (130, "interrupted")
    with Run(run.store, "resume", "--scheduler", cluster.address, *transport) as resumed:
        source.check(resumed)


def test_a_run_whose_scheduler_hangs_is_interrupted(
    transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    cluster.start_workers(2)
    with source.start(tmp_path / "store", cluster.address, *transport) as run:
        run.wait_for_shards(10)
        cluster.scheduler.freeze()
        time.sleep(2)  # it is asked how the cluster is
        os.kill(run.pid, signal.SIGINT)
        done = run.outcome(60)
        cluster.scheduler.thaw()
    assert (done.code, json.loads(done.stdout)["status"]) == (130, "interrupted")


def test_two_clients_share_a_batch(
    transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    """They run it in one store at the same time: each computes what the other does not."""
    cluster.start_workers(2)
    with source.start(tmp_path / "store", cluster.address, *transport) as first:
        first.wait_for_shards(5)
        where = ("--scheduler", cluster.address, *transport)
        with Run(first.store, "resume", *where) as second:
            source.check(second)
            source.check(first)
            computed = [run.report()["files"]["computed"] for run in (first, second)]
    assert sum(computed) == source.report.files["computed"]


def test_the_connection_is_cut_and_healed(
    transport: tuple[str, str], cluster: Cluster, source: Source, tmp_path: Path
) -> None:
    cluster.start_workers(2)
    with Proxy(cluster.port) as proxy:
        address = f"tcp://127.0.0.1:{proxy.port}"
        with source.start(tmp_path / "store", address, *transport) as run:
            run.wait_for_shards(10)
            proxy.cut()
            run.wait_for_message("waiting for")
            proxy.heal()
            source.check(run)


# -- hosts of a network ----------------------------------------------------------------------------


@pytest.mark.skipif(bool(why_no_network()), reason=f"no network: {why_no_network()}")
@pytest.mark.parametrize("unreachable", ["client", "one"])
def test_a_host_that_cannot_be_reached_for_a_while(
    unreachable: str, transport: tuple[str, str], source: Source, tmp_path: Path
) -> None:
    """Nobody is told that a link is down: packets stay away."""
    with Network("client", "scheduler", "one", "two") as network:
        place = {"host": network["scheduler"], "environment": SOON}
        with Cluster(tmp_path / "cluster", **place) as cluster:
            for name in ("one", "two"):
                cluster.start_worker(name, host=network[name])
            cluster.wait_for_workers(2)
            words = (tmp_path / "store", cluster.address, *transport)
            there = {"host": network["client"], "environment": SOON}
            with source.start(*words, **there) as run:
                run.wait_for_shards(10)
                network.cut(unreachable)
                if unreachable == "client":
                    run.wait_for_message("waiting for")
                    network.heal("client")
                source.check(run)
