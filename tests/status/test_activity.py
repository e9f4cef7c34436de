"""`status` says who is at work on a batch and how fast it gets on, from another process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Outcome, cli_command, cli_environment
from terminals import InTerminal
from test_layers import LOADED

import codebatch
from codebatch.batch.journal import Journal
from codebatch.model.messages import Receipt
from codebatch.model.records import DONE
from codebatch.model.resources import load_schema
from codebatch.store.leases import leases
from codebatch.store.leases.leases import Lease, Process, hold_lease

Main = Callable[..., Outcome]


@pytest.fixture
def batch(tree: Path, store: codebatch.Store) -> codebatch.Batch:
    return store.batch(store.snapshot(tree))


def seconds_ago(number: float) -> str:
    """A time as events have it."""
    then = datetime.fromtimestamp(time.time() - number, timezone.utc)
    return then.isoformat(timespec="microseconds")


def done_event(batch: codebatch.Batch, shard_id: object, ago: float) -> None:
    event = {"event": "shard-done", "shard_id": shard_id, "time": seconds_ago(ago)}
    batch.directory.batches.add_event(batch.id, event)


def elsewhere(batch: codebatch.Batch, lease_id: str, since_ns: int, *, idle: float = 0) -> None:
    """A run on a machine that cannot be asked, which showed last so long ago that it is alive."""
    layout = batch.directory.layout
    process = Process("elsewhere", "elsewhere boot pid", 77, "1")
    leases._write(layout, Lease(lease_id, "run", batch.id, since_ns, 0, process))
    moment = time.time() - idle
    os.utime(layout.lease(lease_id), (moment, moment))


def test_a_batch_that_nobody_runs(batch: codebatch.Batch) -> None:
    found = batch.status()
    assert (found["runs"], found["seconds_left"]) == ([], None)
    assert found["rate"] == {"shards": None, "files": None}


def test_a_run_is_seen_while_it_runs(batch: codebatch.Batch) -> None:
    seen: list[dict[str, Any]] = []
    report = batch.run("sync", progress=lambda _: seen.append(batch.status()))
    for found in seen:
        jsonschema.Draft202012Validator(load_schema("cli.status")).validate(found)
        (run,) = found["runs"]
        assert (run["pid"], run["live"]) == (os.getpid(), True)
        assert run["host"] == os.uname().nodename
        assert 0 <= run["seconds"] < 60
    assert seen[0]["rate"] == {"shards": None, "files": None}
    assert seen[-1]["rate"]["shards"] > 0
    assert seen[-1]["rate"]["files"] > 0
    assert [found["shards"]["done"] for found in seen] == list(range(report.shards["total"] + 1))
    assert seen[1]["seconds_left"] > 0
    assert seen[-1]["seconds_left"] == 0
    assert batch.status()["runs"] == []


def test_time_left_goes_by_bytes(batch: codebatch.Batch) -> None:
    """One shard in a hundred seconds; the others are as large as they are."""
    layout = batch.directory.layout
    plan = batch.directory.batches.load_plan(batch.id)
    first = plan.shards[0]
    with hold_lease(layout, "run", batch.id) as lease:
        os.utime(layout.lease(lease.lease_id))
        _began(batch, lease, 100)
        done_event(batch, "no shard", 50)
        done_event(batch, first.shard_id, 0)
        batch.directory.batches.add_event(
            batch.id, {"event": "shard-done", "time": "now", "shard_id": "1"}
        )
        found: Any = batch.status()
    work = sum(shard.bytes + shard.files for shard in plan.shards)
    assert found["rate"]["shards"] == pytest.approx(0.01, rel=0.2)
    assert found["rate"]["files"] == pytest.approx(first.files / 100, rel=0.2)
    expected = 100 * work / (first.bytes + first.files)  # no state says that it is done
    assert found["seconds_left"] == pytest.approx(expected, rel=0.2)


def _began(batch: codebatch.Batch, lease: Lease, ago: float) -> None:
    """Have a lease say that it was made earlier."""
    earlier = lease.since_ns - int(ago * 10**9)
    made = Lease(lease.lease_id, "run", batch.id, earlier, earlier, lease.process)
    leases._write(batch.directory.layout, made)


def test_what_earlier_runs_did_is_no_pace(batch: codebatch.Batch) -> None:
    for shard in batch.shards():
        done_event(batch, shard["shard_id"], 100)
    with hold_lease(batch.directory.layout, "run", batch.id):
        found: Any = batch.status()
    assert (found["rate"]["shards"], found["seconds_left"]) == (None, None)


def test_other_batches_and_other_commands_are_no_runs(
    batch: codebatch.Batch, store: codebatch.Store
) -> None:
    layout = store.directory.layout
    other = store.batch("latest", "parse")
    with hold_lease(layout, "run", other.id), hold_lease(layout, "retry", batch.id):
        assert batch.status()["runs"] == []
        assert len(other.status()["runs"]) == 1  # type: ignore[arg-type]


def test_runs_on_other_machines(batch: codebatch.Batch) -> None:
    since = time.time_ns() - 900 * 10**9
    elsewhere(batch, "alive", since, idle=10)
    elsewhere(batch, "dead", since - 10**9, idle=100)
    found: Any = batch.status()
    assert [(run["host"], run["pid"], run["live"]) for run in found["runs"]] == [
        *(("elsewhere", 77, False), ("elsewhere", 77, True)),
    ]
    assert found["runs"][1]["seconds"] == pytest.approx(900, abs=40)
    assert found["runs"][0]["since"] < found["runs"][1]["since"] < seconds_ago(0)


@pytest.mark.parametrize("since", [-(10**30), 10**30, 0])
def test_a_lease_may_say_anything(since: int, batch: codebatch.Batch, main: Main) -> None:
    elsewhere(batch, "odd", since)
    path = batch.directory.layout.lease("cut")
    path.write_bytes(b'{"digest":"sha256:')
    done = main("status", "--store", batch.path, "--json")
    (run,) = json.loads(done.stdout)["runs"]
    assert (done.code, run["live"]) == (0, True)
    assert main("status", "--store", batch.path).code == 0


def test_names_of_machines_cannot_steer_a_terminal(batch: codebatch.Batch, main: Main) -> None:
    layout = batch.directory.layout
    process = Process("\x1b[31mred\n", "elsewhere", 1, "1")
    leases._write(layout, Lease("odd", "run", batch.id, 1, 1, process))
    done = main("status", "--store", batch.path)
    assert "process 1 on \\x1b[31mred\\n, for " in done.out


def start(batch: codebatch.Batch) -> subprocess.Popen[bytes]:
    words = ("run", "--batch", batch.id, "--store", batch.path, "--scheduler", "sync", "-q")
    return subprocess.Popen(
        cli_command(*words),
        env=cli_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def large(library: Path, store: codebatch.Store) -> codebatch.Batch:
    """A batch that takes a few seconds to run."""
    return store.batch(store.snapshot(library), shards=256)


def wait_for_shards(batch: codebatch.Batch, number: int) -> None:
    deadline = time.monotonic() + 240
    while int(batch.status()["shards"]["done"]) < number:  # type: ignore[call-overload]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_killed_is_gone(large: codebatch.Batch, main: Main) -> None:
    process = start(large)
    wait_for_shards(large, 3)
    page = main("status", "--store", large.path).out
    assert f"  running  process {process.pid} on {os.uname().nodename}, for " in page
    assert " shards/s, " in page
    assert page.endswith(
        f"next: codebatch status --watch --batch {large.id} --store {large.path}\n"
    )
    process.send_signal(signal.SIGKILL)
    process.communicate()
    page = main("status", "--store", large.path).out
    assert f"  gone     process {process.pid} on {os.uname().nodename}, begun just now\n" in page
    assert "  pace  " not in page
    assert f"next: codebatch resume --batch {large.id}" in page
    (run,) = json.loads(main("status", "--store", large.path, "--json").stdout)["runs"]
    assert (run["pid"], run["live"]) == (process.pid, False)
    large.run("threads")
    assert list((large.path / "leases").glob("*.json"))  # until gc takes it
    assert large.status()["runs"] == []


@pytest.mark.slow
def test_watching_ends_with_the_run(large: codebatch.Batch, cli: Main) -> None:
    process = start(large)
    wait_for_shards(large, 1)
    process.send_signal(signal.SIGSTOP)  # it may not be over before it is watched
    with InTerminal("status", "--watch", "--store", large.path, width=50) as terminal:
        terminal.wait_for(lambda it: it.frames)
        process.send_signal(signal.SIGCONT)
        done = cli("status", "--watch", "--store", large.path, "--json")
        assert terminal.end() == 0
    assert process.wait(timeout=120) == 0
    process.communicate()
    found = json.loads(done.stdout)
    assert done.code == 0
    assert (found["status"], found["runs"]) == ("done", [])
    *_, first = terminal.frames[0]
    assert re.fullmatch(r"run +[━╸]+ +[\d,]+/[\d,]+ files.*", first)
    assert len(first) < 50
    text = terminal.screen.text
    assert f"{large.id}  done" in text
    assert not [line for line in text if "━" in line or "running" in line or "pace" in line]


def test_watching_what_nobody_runs_ends_at_once(batch: codebatch.Batch, main: Main) -> None:
    watched = main("status", "--watch", "--store", batch.path)
    assert (watched.code, watched.out) == (0, main("status", "--store", batch.path).out)


def test_an_interrupted_watch(batch: codebatch.Batch) -> None:
    with (
        hold_lease(batch.directory.layout, "run", batch.id),
        InTerminal("status", "--watch", "--store", batch.path) as terminal,
    ):
        terminal.wait_for(lambda it: it.frames)
        terminal.type(b"\x03")
        assert terminal.end() == 130
        *header, last = terminal.screen.text
        assert last == "interrupted"
        assert not [line for line in header if "━" in line]


def test_status_of_a_run_imports_neither_dask_nor_rich_nor_a_parser(batch: codebatch.Batch) -> None:
    with hold_lease(batch.directory.layout, "run", batch.id):
        done_event(batch, batch.shards()[0]["shard_id"], 0)
        words = ("status", "--store", os.fspath(batch.path))
        done = subprocess.run(
            [sys.executable, "-c", LOADED, *words],
            env=cli_environment(),
            capture_output=True,
            check=True,
            text=True,
        )
    assert "  pace     " in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY 0 []"


# -- events ----------------------------------------------------------------------------------------


def test_the_latest_events_are_whole_lines(batch: codebatch.Batch) -> None:
    batches = batch.directory.batches
    assert batches.latest_events(batch.id) == []
    for number in range(100):
        batches.add_event(batch.id, {"event": "one", "number": number})
    length = len(b'{"event":"one","number":99}\n')
    for size in (5 * length, 5 * length + 3, 6 * length - 1):
        numbers = [event["number"] for event in batches.latest_events(batch.id, size)]
        assert numbers == list(range(100))[-(size // length) :][-len(numbers) :]
        assert len(numbers) in (4, 5)
    assert len(batches.latest_events(batch.id)) == 100


def test_events_stay_small(batch: codebatch.Batch) -> None:
    """Of as many shards as there can be, on workers with long names."""
    directory = batch.directory
    journal = Journal(directory, batch.id, None)
    journal.log("run-started", pending=4096, scheduler="cluster")
    for number in range(4096):
        worker = f"tls://worker-{number}.of-a-cluster.example:40000"
        journal.on_end(Receipt(f"{number:03x}", os.urandom(8).hex(), DONE, worker=worker))
    journal.on_end(Receipt("fff", "attempt", DONE, worker="w" * 10_000))
    journal.log("run-finished", status="done")
    path = directory.layout.events(batch.id)
    assert path.stat().st_size < 2**20
    schema = jsonschema.Draft202012Validator(load_schema("event"))
    for line in path.read_bytes().splitlines():
        schema.validate(json.loads(line))
