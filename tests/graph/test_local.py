"""Runs on this machine go through Dask's local machinery, and obey its configuration."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import ThreadPool
from typing import Any

import dask
import pytest
from conftest import Scanned
from dask.diagnostics import ProgressBar
from dask.task_spec import DataNode, Task, TaskRef

import codebatch
from codebatch.graph.local import Lane, run_graph
from codebatch.graph.runners import Runners
from codebatch.model.errors import SchedulerInvalidError
from codebatch.model.messages import Receipt, ShardCall

SCHEDULERS = ("sync", "threads", "processes")


class Seen(dask.callbacks.Callback):  # type: ignore[misc]
    """What Dask tells of a run."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.ended: list[Any] = []
        self.workers: set[int] = set()

    def _pretask(self, key: Any, _graph: object, _state: object) -> None:
        self.started.append(key)

    def _posttask(self, key: Any, *_: Any) -> None:
        self.ended.append(key)
        self.workers.add(_[-1])


def started(batch: codebatch.Batch) -> str:
    """The scheduler that the last run names in its events."""
    (events,) = batch.path.glob(f"batches/{batch.id}/events.jsonl")
    found = [line for line in events.read_text().splitlines() if "run-started" in line]
    return found[-1]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_callbacks_see_the_graph_that_a_run_executes(
    scheduler: str, batch: codebatch.Batch, scanned: Scanned, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = batch.__dask_keys__()
    with Seen() as seen, ProgressBar():
        report = batch.run(scheduler, workers=2)
    assert report.result == scanned.report.result
    assert sorted(seen.ended) == sorted(seen.started) == sorted(keys)
    assert "100% Completed" in capsys.readouterr().out


def test_a_run_without_work_starts_nothing(scanned: Scanned) -> None:
    with Seen() as seen:
        scanned.batch.run("sync")
    assert seen.started == []


def test_large_shards_start_first(batch: codebatch.Batch) -> None:
    plan = batch.directory.batches.load_plan(batch.id)
    largest = sorted(plan.shards, key=lambda shard: (-shard.bytes, shard.shard_id))
    with Seen() as seen:
        batch.run("sync")
    assert [shard for _, shard in seen.started] == [shard.shard_id for shard in largest]


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ({"scheduler": "single-threaded"}, "sync"),
        ({"scheduler": "threads", "num_workers": 1}, "threads"),
        ({"scheduler": "processes"}, "processes"),
        ({"scheduler": dask.get}, "dask"),
        ({"pool": ThreadPoolExecutor}, "threads"),
        ({"scheduler": ThreadPoolExecutor}, "threads"),
        ({"pool": ThreadPool}, "threads"),
        pytest.param(
            {"pool": partial(ProcessPoolExecutor, mp_context=get_context("spawn"))},
            "processes",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_configuration_of_dask_is_obeyed(
    setting: Mapping[str, Any], name: str, batch: codebatch.Batch, scanned: Scanned
) -> None:
    chosen = dict(setting)
    pool: Any = None
    for word in ("pool", "scheduler"):
        if word in chosen and not isinstance(chosen[word], str) and chosen[word] is not dask.get:
            pool = chosen[word] = chosen[word](2)
    with dask.config.set(**chosen), Seen() as seen, pool or nullcontext():
        report = batch.run()
        if isinstance(pool, ThreadPoolExecutor):
            assert seen.workers <= {thread.ident for thread in pool._threads}
    assert (report.status, report.result) == ("done", scanned.report.result)
    assert f'"scheduler":"{name}"' in started(batch)


def test_what_is_asked_for_comes_before_the_configuration(batch: codebatch.Batch) -> None:
    with dask.config.set(scheduler="threads"):
        batch.run("sync")
    assert '"scheduler":"sync"' in started(batch)


def test_an_unknown_scheduler_in_the_configuration(batch: codebatch.Batch) -> None:
    with (
        dask.config.set(scheduler="nowhere"),
        pytest.raises(SchedulerInvalidError, match="nowhere"),
    ):
        batch.run()


# -- nothing that was started is left running --------------------------------------------------


def slow(ended: list[int], number: int) -> int:
    time.sleep(0.05)
    ended.append(number)
    return number


def never(call: ShardCall) -> Receipt:
    raise AssertionError(call)


NEVER = Runners(never)


@pytest.fixture(params=["own", "pool"])
def pool(request: pytest.FixtureRequest) -> Iterator[Executor | None]:
    if request.param == "own":
        yield None
        return
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_what_runs_ends_before_the_run_does(pool: Executor | None) -> None:
    ended: list[int] = []
    before = set(threading.enumerate())
    graph: dict[Any, Any] = {("n", str(n)): Task(("n", str(n)), slow, ended, n) for n in range(20)}

    def refuse(key: Any, _: object) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        run_graph(graph, list(graph), Lane(2, NEVER, pool), refuse)
    known = list(ended)
    assert 1 <= len(known) <= 4
    time.sleep(0.2)
    assert ended == known
    assert pool or set(threading.enumerate()) <= before


def test_a_node_that_raises_ends_the_run(pool: Executor | None) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_graph({("a", ""): Task(("a", ""), fail)}, [("a", "")], Lane(2, NEVER, pool), print)


def test_inner_nodes_are_not_handed_on() -> None:
    got: list[object] = []
    one, two = ("one", ""), ("two", "")

    def twice(value: int) -> int:
        return 2 * value

    graph: dict[Any, Any] = {one: DataNode(one, 4), two: Task(two, twice, TaskRef(one))}
    run_graph(graph, [two], Lane(0, NEVER), lambda key, value: got.append((key, value)))
    assert got == [(two, 8)]
