"""Files that crash, hang or take all memory are quarantined; nothing else is any different.

Tasks become fatal on marked files through `poison/sitecustomize.py`, in the processes of a run and
not in those of the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
from clusters import Cluster, wait_for
from conftest import REPOSITORY, cli_command, cli_environment
from poisoned import LIMITS, QUARANTINED, Poisoned

from codebatch.model.errors import UsageError, WorkerLostError
from codebatch.model.limits import Limits, choose_limits
from codebatch.processes import isolation
from codebatch.processes.pool import Children
from codebatch.shard.compute import ShardContext

SCHEMAS = REPOSITORY / "schemas"
PLACES = {(one["path"], one["task_id"]) for one in QUARANTINED}


def innocent(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in records if (one["path"], one["task_id"]) not in PLACES]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """The result and the records of the tree where nothing is fatal."""
    world = Poisoned(tmp_path_factory.mktemp("clean"), "crash", "hang", "memory")
    report = world.json("scan", world.tree, harmless=True)
    assert report["files"]["quarantined"] == 0
    return report["result"], world.records()


@pytest.fixture(scope="module")
def scanned_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Poisoned, dict[str, Any]]:
    """A finished batch with three fatal files, and the report on its run; to be read only."""
    world = Poisoned(tmp_path_factory.mktemp("poisoned"), "crash", "hang", "memory")
    return world, world.json("scan", world.tree, "--scheduler", "processes", *LIMITS)


@pytest.fixture
def world(scanned_once: tuple[Poisoned, dict[str, Any]], tmp_path: Path) -> Poisoned:
    """A copy of it, to go on with."""
    found = Poisoned(tmp_path / "world", "crash", "hang", "memory")
    shutil.copytree(scanned_once[0].store, found.store)
    return found


def test_batch_completes_with_the_fatal_files_quarantined(
    scanned_once: tuple[Poisoned, dict[str, Any]], clean: tuple[str, list[dict[str, Any]]]
) -> None:
    world, report = scanned_once
    assert (report["status"], report["shards"]["failed"], report["errors"]) == ("done", 0, [])
    assert report["quarantined"] == QUARANTINED
    assert report["files"]["quarantined"] == len(QUARANTINED)
    assert {word.split()[0] for word in world.deaths()} == {"crash", "hang", "memory"}
    records = world.records()
    assert innocent(records) == innocent(clean[1])
    found = [one for one in records if (one["path"], one["task_id"]) in PLACES]
    assert [(one["path"], one["code"], one["severity"], one["line"]) for one in found] == [
        (one["path"], one["code"], "error", 1) for one in QUARANTINED
    ]


@pytest.mark.slow
def test_records_say_nothing_that_was_measured(
    scanned_once: tuple[Poisoned, dict[str, Any]], tmp_path: Path
) -> None:
    """Other limits, the same result."""
    other = Poisoned(tmp_path / "other", "crash", "hang", "memory")
    limits = ("--file-timeout", 3, "--memory-limit", "400MiB", "--shards", 256)
    report = other.json("scan", other.tree, "--scheduler", "processes", *limits)
    assert report["result"] == scanned_once[1]["result"]


def test_commands_tell_of_quarantined_files(world: Poisoned) -> None:
    done = world("run")
    assert done.code == 0
    assert "3 quarantined" in done.out
    assert "quarantined hang.py: symbols E0004 task-timed-out" in done.out
    assert "--retry-quarantined" in done.out
    summary = world.json("summary")
    codes = {one["code"]: 1 for one in QUARANTINED}
    assert summary["diagnostics"]["by_code"].items() >= codes.items()
    listed = world.json("errors", "--code", "E0003,E0004,E0005")
    assert {(one["path"], one["task_id"]) for one in listed} == PLACES


def test_nothing_is_tried_again(
    world: Poisoned, scanned_once: tuple[Poisoned, dict[str, Any]]
) -> None:
    again = world.json("resume")
    assert (again["result"], again["files"]["computed"]) == (scanned_once[1]["result"], 0)
    assert world.json("run", "--recompute")["differ"] == []
    plan = world.json("plan", "--snapshot", "latest", "--pipeline", "analyze")
    assert {row["task_id"]: row["compute"] for row in plan["tasks"]} == {"parse": 0, "analyze": 0}
    other = world.json("scan", world.tree, "--pipeline", "analyze", "--scheduler", "sync")
    assert other["quarantined"] == QUARANTINED[:1]
    assert world.deaths() == []


def test_damaged_verdict_is_none(world: Poisoned) -> None:
    verdicts = sorted(world.store.glob("indexes/quarantine/*.json"))
    assert len(verdicts) == len(QUARANTINED)
    schema = json.loads((SCHEMAS / "verdict.schema.json").read_text())
    for verdict in verdicts:
        jsonschema.Draft202012Validator(schema).validate(json.loads(verdict.read_text()))
    for verdict in verdicts:
        verdict.write_bytes(verdict.read_bytes().replace(b"E0003", b"E0009"))
    shutil.rmtree(world.store / "batches")
    words = ("--pipeline", "parse", "--scheduler", "processes", *LIMITS)
    assert world.json("scan", world.tree, *words)["quarantined"] == QUARANTINED[:1]
    assert world.deaths()  # it had to be found out again


def test_retry_makes_the_batch_clean(
    world: Poisoned, clean: tuple[str, list[dict[str, Any]]]
) -> None:
    report = world.json("resume", "--retry-quarantined", harmless=True)
    assert (report["status"], report["result"]) == ("done", clean[0])
    assert (report["quarantined"], report["files"]["quarantined"]) == ([], 0)
    assert 0 < report["files"]["computed"] < 60
    assert world.records() == clean[1]
    assert not list(world.store.glob("indexes/quarantine/*.json"))
    assert world.json("run", harmless=True)["files"]["computed"] == 0


@pytest.mark.parametrize("scheduler", ["sync", pytest.param("processes", marks=pytest.mark.slow)])
def test_retry_in_vain_changes_nothing(
    scheduler: str, world: Poisoned, scanned_once: tuple[Poisoned, dict[str, Any]]
) -> None:
    """With a scheduler, too, whose tasks run in the process itself."""
    words = ("--retry-quarantined", "--scheduler", scheduler, *LIMITS)
    report = world.json("run", *words)
    assert report["quarantined"] == QUARANTINED
    assert report["result"] == scanned_once[1]["result"]
    assert world.deaths()


@pytest.mark.slow
def test_retry_that_is_killed_leaves_what_was_there(
    world: Poisoned, scanned_once: tuple[Poisoned, dict[str, Any]]
) -> None:
    command = cli_command("resume", "--retry-quarantined", "--store", world.store, *LIMITS)
    process = subprocess.Popen(command, env=cli_environment(**world.environment))
    wait_for(world.deaths, "a file is fatal")
    process.kill()
    process.wait()
    again = world.json("resume", "--scheduler", "sync")
    assert again["quarantined"] == QUARANTINED
    assert again["result"] == scanned_once[1]["result"]


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_run_that_crashed_is_resumed_without_crashing(scheduler: str, tmp_path: Path) -> None:
    world = Poisoned(tmp_path / "w", "crash", number=20)
    words = ("--scheduler", scheduler)
    assert world("scan", world.tree, *words).code == -signal.SIGSEGV
    report = world.json("resume", *words)
    assert (report["status"], report["quarantined"]) == ("done", QUARANTINED[:1])


def test_task_that_ends_the_process_by_itself(tmp_path: Path) -> None:
    world = Poisoned(tmp_path / "w", "leave", number=10, fatal="leave=analyze")
    report = world.json("scan", world.tree, "--scheduler", "processes")
    found = {"path": "leave.py", "task_id": "analyze", "code": "E0003"}
    assert report["quarantined"] == [found]


def test_copies_and_later_tasks_of_a_fatal_file(tmp_path: Path) -> None:
    """Equal files share a verdict; each task is judged on its own."""
    world = Poisoned(tmp_path / "w", "crash", number=10, fatal="crash=parse,crash=lint")
    shutil.copy(world.tree / "crash.py", world.tree / "twin.py")
    report = world.json("scan", world.tree, "--scheduler", "processes")
    assert [(one["path"], one["task_id"]) for one in report["quarantined"]] == [
        (path, task) for path in ("crash.py", "twin.py") for task in ("parse", "lint")
    ]
    verdicts = list(world.store.glob("indexes/quarantine/*.json"))
    assert len(verdicts) == 2
    kinds = {(one["task_id"], one["kind"]) for one in world.records() if one["path"] == "twin.py"}
    assert ("analyze", "metric") in kinds


def test_edited_file_is_tried_again(world: Poisoned) -> None:
    (world.tree / "hang.py").write_text("harmless = 1\n")
    report = world.json("scan", world.tree)
    assert [one["path"] for one in report["quarantined"]] == ["crash.py", "memory.py"]
    assert world.deaths() == []


@pytest.mark.parametrize("scheduler", ["sync", pytest.param("processes", marks=pytest.mark.slow)])
def test_tool_that_crashes_on_a_file(scheduler: str, tmp_path: Path) -> None:
    """Ruff, in the midst of others: the file alone is quarantined, and not tried again."""
    world = Poisoned(tmp_path / "w", "tool", number=20, fatal="tool=ruff")
    report = world.json("scan", world.tree, "--scheduler", scheduler, "--shards", 16)
    found = {"path": "tool.py", "task_id": "lint", "code": "E0003"}
    assert (report["status"], report["quarantined"]) == ("done", [found])
    assert len(world.json("errors", "--code", "L101")) == 20


@pytest.mark.slow
def test_tool_that_hangs_is_ended_with_the_child(tmp_path: Path) -> None:
    world = Poisoned(tmp_path / "w", "sleep", number=10, fatal="sleep=ruff")
    report = world.json("scan", world.tree, "--scheduler", "processes", *LIMITS)
    found = {"path": "sleep.py", "task_id": "lint", "code": "E0004"}
    assert report["quarantined"] == [found]
    pids = [int(word.split()[1]) for word in world.deaths()]
    assert pids
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    wait_for(lambda: all(map(has_ended, left)), "the tool ends")


# -- processes -----------------------------------------------------------------------------------


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or waits for nothing but whoever adopts it to see that."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_children_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """One of them hangs, holding the lock of its interpreter, and has no limit."""
    world = Poisoned(tmp_path / "w", "hang", number=10)
    command = cli_command(
        *("scan", world.tree, "--store", world.store),
        *("--scheduler", "processes", "--file-timeout", 0),
    )
    process = subprocess.Popen(command, env=cli_environment(**world.environment))
    wait_for(world.deaths, "a file is fatal")
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 2, started  # the server and a child
    process.kill()
    process.wait()
    wait_for(lambda: all(map(has_ended, started)), "the children end")


@pytest.mark.slow
def test_child_that_somebody_kills_blames_no_file(tmp_path: Path) -> None:
    world = Poisoned(tmp_path / "w", "hang", number=10)
    command = cli_command(
        *("scan", world.tree, "--store", world.store, "--json"),
        *("--scheduler", "processes", "--file-timeout", 0),
    )
    environment = cli_environment(**world.environment)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    wait_for(world.deaths, "a file is fatal")
    (server,) = psutil.Process(process.pid).children()
    server.kill()
    for number in (2, 3):
        wait_for(lambda number=number: len(world.deaths()) >= number, "it is tried again")
        (server,) = psutil.Process(process.pid).children()
        server.terminate()
    wait_for(lambda: len(world.deaths()) >= 4, "it is tried again")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(world.store.glob("indexes/quarantine/*.json"))
    report = world.json("resume", "--file-timeout", 2, "--scheduler", "processes")
    assert report["quarantined"] == QUARANTINED[1:2]


@pytest.mark.slow
def test_child_that_somebody_stops_blames_no_file(tmp_path: Path) -> None:
    """Its time goes on: the limit ends the child that runs the shard, and one on its own."""
    world = Poisoned(tmp_path / "w", "pause", number=3, fatal="pause=parse")
    words = ("--scheduler", "processes", "--file-timeout", 3)
    report = world.json("scan", world.tree, "--pipeline", "parse", *words)
    assert world.deaths() == ["pause parse"] * 3
    assert (report["status"], report["quarantined"]) == ("done", [])


@pytest.mark.slow
def test_second_interrupt_ends_what_hangs(tmp_path: Path) -> None:
    world = Poisoned(tmp_path / "w", "hang", number=10)
    command = cli_command(
        *("scan", world.tree, "--store", world.store),
        *("--scheduler", "processes", "--file-timeout", 0),
    )
    environment = cli_environment(**world.environment)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
    wait_for(world.deaths, "a file is fatal")
    os.killpg(process.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)  # it waits for the shard
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err.decode()
    assert b"resume --batch" in out
    assert b"Traceback" not in err


def test_child_that_a_second_interrupt_kills_blames_no_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even one whose child somebody had killed before."""
    children, deaths = Children(), iter([False, True])

    def ask(*_: object) -> Any:
        if next(deaths):
            children.kill()
        raise isolation._death(-signal.SIGKILL)

    def quarantine(*_: object) -> Any:
        pytest.fail("the file is blamed")

    monkeypatch.setattr(isolation._Isolation, "_ask", ask)
    monkeypatch.setattr(isolation._Isolation, "_company", lambda *_: [])
    work: Any = None  # nothing is computed
    context = ShardContext(lambda *_: b"", str, quarantine)
    with pytest.raises(WorkerLostError):
        isolation._Isolation(Limits(), children)._compute(context, work)


# -- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("none", 0),
        ("268435456", 2**28),
        ("256MiB", 2**28),
        ("1.5g", 3 * 2**29),
        ("2 GB", 2**31),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert choose_limits(memory_limit=text).memory_bytes == size


@pytest.mark.parametrize("text", ["", "-1", "much", "1.2.3", "1 MiB", "5 parsecs"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        choose_limits(memory_limit=text)


def test_limits_come_from_arguments_then_environment_then_defaults() -> None:
    assert choose_limits(environment={}) == Limits(120, None)
    said = {"CODEBATCH_FILE_TIMEOUT": "2.5", "CODEBATCH_MEMORY_LIMIT": "1GiB"}
    assert choose_limits(environment=said) == Limits(2.5, 2**30)
    assert choose_limits(0, 0, environment=said) == Limits(0, 0)
    with pytest.raises(UsageError):
        choose_limits(environment={"CODEBATCH_FILE_TIMEOUT": "soon"})


@pytest.mark.parametrize(
    "words",
    [
        ("--memory-limit", "lots"),
        ("--file-timeout", "-1"),
        ("--memory-limit", "1"),
        ("--retry-quarantined", "--require-reused"),
    ],
)
def test_wrong_options_are_refused(words: tuple[str, ...], world: Poisoned) -> None:
    assert world("run", *words).code == 2


# -- a cluster -----------------------------------------------------------------------------------


@pytest.fixture
def nannies(tmp_path: Path) -> Iterator[Callable[[Poisoned], Cluster]]:
    """Start a scheduler and two workers under nannies, where marked files are fatal."""
    with contextlib.ExitStack() as started:

        def start(world: Poisoned) -> Cluster:
            cluster = Cluster(tmp_path / "cluster", environment=world.environment)
            started.enter_context(cluster).start_workers(2, nanny=True)
            return cluster

        yield start


@pytest.mark.slow
def test_large_batch_on_processes_and_on_a_cluster(
    tmp_path: Path, nannies: Callable[[Poisoned], Cluster]
) -> None:
    limits = ("--file-timeout", 3, "--memory-limit", "512MiB")
    words = ("crash", "hang", "memory")
    reports, records = [], []
    remote = Poisoned(tmp_path / "cluster", *words, number=2000)
    cluster = nannies(remote)
    scheduler, workers = cluster.address, cluster.wait_for_workers(2)
    for where in ("processes", scheduler):
        world = remote if where == scheduler else Poisoned(tmp_path / "p", *words, number=2000)
        plan = ("--shards", 256, "--scheduler", where)
        report = world.json("scan", world.tree, *plan, *limits, timeout=1200)
        assert (report["status"], report["quarantined"]) == ("done", QUARANTINED)
        died = len(world.deaths())
        again = world.json("run", "--scheduler", where, *limits)
        assert (again["files"]["computed"], again["result"]) == (0, report["result"])
        assert len(world.deaths()) == died
        reports.append(report)
        records.append(world.records())
    assert reports[0]["result"] == reports[1]["result"]
    assert records[0] == records[1]
    assert cluster.wait_for_workers(2) == workers, "a worker died of a file"

    pure = Poisoned(tmp_path / "pure", *words, number=2000)
    without = pure.json("scan", pure.tree, "--shards", 256, harmless=True)
    assert innocent(records[0]) == innocent(pure.records())
    cured = remote.json("resume", "--retry-quarantined", "--scheduler", "processes", harmless=True)
    assert (cured["quarantined"], cured["result"]) == ([], without["result"])


@pytest.mark.slow
def test_cluster_whose_tasks_are_fatal(
    tmp_path: Path, nannies: Callable[[Poisoned], Cluster]
) -> None:
    world = Poisoned(tmp_path / "w", "crash", "leave", number=20, fatal="crash=parse,leave=lint")
    cluster = nannies(world)
    workers = cluster.wait_for_workers(2)
    report = world.json("scan", world.tree, "--scheduler", cluster.address)
    assert (report["status"], report["errors"]) == ("done", [])
    assert [(one["path"], one["code"]) for one in report["quarantined"]] == [
        ("crash.py", "E0003"),
        ("leave.py", "E0003"),
    ]
    assert cluster.wait_for_workers(2) == workers
