"""Tasks on a cluster that changes while they wait: each comes back, and none runs elsewhere.

Workers are threads of this process: what matters is what the scheduler does with tasks.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import ANY

import distributed
import pytest
from clusters import wait_for

from codebatch.cluster.cluster import Cluster
from codebatch.cluster.settings import ClusterSettings
from codebatch.cluster.stall import Patience
from codebatch.cluster.window import Bounds, Job, Lost, Window, drive
from codebatch.model.errors import ClusterError

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")

NUMBERS = itertools.count()


@pytest.fixture
def local() -> Iterator[Any]:
    """A cluster of two workers of one thread."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as started:
        yield started


@pytest.fixture
def client(local: Any) -> Iterator[Any]:
    with distributed.Client(local, set_as_default=False) as connected:
        yield connected


# The names of workers that have begun a task: they are threads of this process.
BEGUN: set[str] = set()


def name_here(seconds: float) -> str:
    name = str(distributed.get_worker().name)
    BEGUN.add(name)
    time.sleep(seconds)
    return name


def job(seconds: float) -> Job:
    return Job.of(("codebatch-test", str(next(NUMBERS))), name_here, seconds, seconds)


def drive_all(cluster: Cluster, jobs: Iterator[Job]) -> list[object]:
    """What came of the jobs; those that are lost are sent again, and noted as well."""
    results: list[object] = []

    def take(done: Job, result: object) -> Iterator[Job]:
        results.append(result)
        if isinstance(result, Lost):
            assert not result.is_blamed, result
            yield job(done.tag)

    drive(Window(cluster, Bounds()), jobs, take)
    return results


def once_begun(names: set[str], *acts: Callable[[], object]) -> threading.Thread:
    """Do things one after the other as soon as each of these workers is at a task."""
    BEGUN.clear()

    def wait_and_act() -> None:
        wait_for(lambda: names <= BEGUN, f"{names} work")
        for act in acts:
            act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_chosen_worker_that_goes_takes_no_task_along(local: Any, client: Any) -> None:
    """One worker is avoided, so tasks are sent to the others alone; one of these ends."""
    local.scale(3)
    client.wait_for_workers(3)
    cluster = Cluster(client, ClusterSettings())
    unfit, going, staying = (worker.address for worker in local.workers.values())
    assert cluster.avoid("0", "a test")
    retiring = once_begun({"1"}, lambda: client.retire_workers([going], close_workers=True))
    results = drive_all(cluster, (job(1) for _ in range(4)))
    retiring.join()
    assert cluster.addresses == [staying], unfit
    assert [one for one in results if not isinstance(one, Lost)] == ["2"] * 4


def test_tasks_of_workers_which_are_all_gone_run_on_others(local: Any, client: Any) -> None:
    cluster = Cluster(client, ClusterSettings())
    going = [worker.address for worker in local.workers.values()]
    replacing = once_begun(
        {"0", "1"},
        lambda: client.retire_workers(going, close_workers=True),
        lambda: time.sleep(1),
        lambda: local.scale(4),
    )
    results: list[object] = []
    jobs = (job(0.5) for _ in range(8))
    driver = threading.Thread(target=lambda: results.extend(drive_all(cluster, jobs)), daemon=True)
    driver.start()
    driver.join(120)
    replacing.join()
    assert not driver.is_alive(), "it waits for workers that are gone"
    names = [one for one in results if not isinstance(one, Lost)]
    assert len(names) == 8
    assert {"2", "3"} & set(names)


@pytest.mark.slow
def test_no_task_goes_to_a_worker_that_is_avoided(local: Any, client: Any) -> None:
    """Where no other is left, one is waited for."""
    notices: list[str] = []

    def tell(notice: str) -> None:
        notices.append(notice)
        if notice.startswith("waiting for workers"):
            local.scale(3)

    cluster = Cluster(client, ClusterSettings(on_notice=tell))
    assert cluster.avoid("0", "a test")
    client.retire_workers([local.workers[1].address], close_workers=True)
    *lost, name = drive_all(cluster, iter([job(0)]))
    assert name in ("1", "2")
    assert all(isinstance(one, Lost) for one in lost)
    assert sum(one.startswith("waiting for workers") for one in notices) == 1


def test_waiting_for_a_worker_has_an_end(local: Any, client: Any) -> None:
    cluster = Cluster(client, ClusterSettings(timeout=0.5))
    assert cluster.avoid("0", "a test")
    client.retire_workers([local.workers[1].address], close_workers=True)
    with pytest.raises(ClusterError, match="had no workers for"):
        drive_all(cluster, iter([job(0)]))


def test_a_window_grows_with_the_cluster_while_answers_never_pause(local: Any, client: Any) -> None:
    cluster = Cluster(client, ClusterSettings())
    widest = 0

    def jobs() -> Iterator[Job]:
        nonlocal widest
        local.scale(6)
        end = time.monotonic() + 120
        while widest < 8 and time.monotonic() < end:
            yield job(0.05)
            widest = max(widest, len(window))

    window = Window(cluster, Bounds(calls=2, calls_per_thread=2))
    drive(window, jobs(), lambda *_: ())
    assert widest >= 8, "two calls for each of six threads; it was four"


RELEASED = threading.Event()


def wait_for_release(_: object) -> str:
    RELEASED.wait(60)
    return "released"


def test_a_stall_is_said_with_who_is_at_what(client: Any) -> None:
    notices: list[str] = []
    facts: list[object] = []

    def tell(notice: str) -> None:
        notices.append(notice)
        if "shard" in notice:  # they have arrived
            RELEASED.set()

    settings = ClusterSettings(on_notice=tell, on_stall=facts.append)
    window = Window(Cluster(client, settings), Bounds(), patience=Patience(first=0.0, again=0.0))
    jobs = iter(
        [Job.of(("shard-test", str(number)), wait_for_release, 0, 0) for number in range(2)]
    )
    results: list[object] = []
    RELEASED.clear()
    drive(window, jobs, lambda _, result: results.append(result) or ())
    assert results == ["released"] * 2
    notice = next(notice for notice in notices if "shard" in notice)
    assert "2 calls are out; 0 is at shard " in notice
    assert "; 1 is at shard " in notice
    assert {"seconds": ANY, "calls": 2, "workers": ["0", "1"]} in facts
