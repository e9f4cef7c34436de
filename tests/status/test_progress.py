"""How far a run is: what is counted and reckoned, and what of it a terminal shows."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Outcome
from terminals import InTerminal

import codebatch
from codebatch.cli.render import progress as shown
from codebatch.model.digest import EMPTY
from codebatch.model.records import (
    BATCH_SCOPE,
    DONE,
    FAILED,
    Counts,
    Plan,
    PlannedShard,
    PlannedTask,
    ShardState,
)
from codebatch.status.progress import RunProgress, Tally, TaskProgress
from codebatch.store.leases.claims import Claims
from codebatch.store.leases.leases import hold_lease

TASKS = ("parse", "lint")
NOTHING: list[ShardState | None] = [None, None]


def state(status: str = DONE, **by_code: int) -> ShardState:
    counts = Counts(by_code=by_code)
    return ShardState(status, EMPTY, 0, EMPTY, 0, 0, 0, counts, "attempt")


def plan(*shards: tuple[int, int]) -> Plan:
    """A plan of two tasks over shards of so many (files, bytes)."""
    planned = tuple(
        PlannedShard(f"{number:x}", files, size, 0, 0, EMPTY)
        for number, (files, size) in enumerate(shards)
    )
    tasks = tuple(PlannedTask(name, name, (), {}, (), EMPTY, {}) for name in TASKS)
    return Plan("snap", "two", tasks, planned, sum(files for files, _ in shards), {})


def tally(of: Plan, *, at: float = 0, **states: ShardState | None) -> Tally:
    """A tally that starts with these states of shards, named ``task_shard``."""
    found = {
        task: {s.shard_id: states.get(f"{task}_{s.shard_id}") for s in of.shards} for task in TASKS
    }
    return Tally(of, found, at)


# -- counting and reckoning ------------------------------------------------------------------------


def test_nothing_is_done_at_first() -> None:
    far = tally(plan((2, 98), (3, 97))).progress(0)
    assert (far.done, far.total) == (0, 2)
    assert far.tasks == tuple(TaskProgress(name, 0, 2, 0, 5, 0, 0, None, None) for name in TASKS)


def test_what_is_there_already_counts_and_says_nothing_about_the_pace() -> None:
    """Linked, or left by another run; a task may be done where others are not."""
    start = tally(plan((2, 98), (3, 97)), parse_0=state(), lint_0=state(), parse_1=state(E0004=2))
    parse, lint = start.progress(10).tasks
    assert (start.progress(10).done, parse.shards_done, lint.shards_done) == (1, 2, 1)
    assert (parse.files_done, lint.files_done) == (5, 2)
    assert (parse.quarantined, parse.rate, parse.seconds_left) == (2, None, 0)
    assert (lint.quarantined, lint.rate, lint.seconds_left) == (0, None, None)


def test_what_failed_before_is_still_to_be_done() -> None:
    far = tally(plan((1, 9)), parse_0=state(FAILED), lint_0=state(FAILED)).progress(0)
    assert [(task.failed, task.shards_done) for task in far.tasks] == [(0, 0), (0, 0)]


def test_time_left_goes_by_bytes() -> None:
    """The first shard is nine tenths of the bytes, and one of ten shards."""
    counted = tally(plan((10, 890), *[(1, 10)] * 9))
    assert counted.settle("0", [state(), state()], 9)
    (row, _) = counted.progress(9).tasks
    assert (row.files_done, row.rate) == (10, pytest.approx(10 / 9))
    assert row.seconds_left == pytest.approx(9 * 99 / 900)


def test_files_without_bytes_take_time_as_well() -> None:
    counted = tally(plan(*[(3, 0)] * 4))
    counted.settle("0", [state(), state()], 2)
    assert counted.progress(2).tasks[0].seconds_left == pytest.approx(6)


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    counted = tally(plan(*[(1, 9)] * 200))
    for number in range(100):  # one a second, then ten a second
        counted.settle(f"{number:x}", [state(), state()], number + 1)
    for number in range(100, 190):
        counted.settle(f"{number:x}", [state(), state()], 100 + (number - 99) / 10)
    row = counted.progress(109).tasks[0]
    assert row.rate == pytest.approx((90 + 21) / 30, rel=0.05)
    assert row.seconds_left == pytest.approx(10 / row.rate, rel=0.01)


def test_few_large_shards_have_a_rate_as_well() -> None:
    """One in ten minutes: there is none in most half minutes."""
    counted = tally(plan(*[(6, 600)] * 20))
    for number in range(10):
        counted.settle(f"{number:x}", [state(), state()], 600 * (number + 1))
    row = counted.progress(6000).tasks[0]
    assert row.rate == pytest.approx(0.01)
    assert row.seconds_left == pytest.approx(6000)


def test_the_rate_falls_while_nothing_arrives() -> None:
    counted = tally(plan((10, 10), (10, 10)))
    counted.settle("0", [state(), state()], 1)
    rates = [counted.progress(at).tasks[0].rate for at in (1, 2, 100)]
    assert rates == [pytest.approx(10), pytest.approx(5), pytest.approx(0.1)]


def test_tasks_over_the_whole_batch_have_no_pace() -> None:
    """They end on all shards at once."""
    one, other = plan((10, 100), (10, 100)).tasks
    both = replace(plan((10, 100), (10, 100)), tasks=(one, replace(other, scope=BATCH_SCOPE)))
    counting = tally(both)
    counting.settle("0", [state(), state()], at=10)
    of_files, of_all = counting.progress(10).tasks
    assert (of_files.rate, of_files.seconds_left) == (1, 10)
    assert (of_all.files_done, of_all.rate, of_all.seconds_left) == (10, None, None)


def test_failed_shards_are_neither_done_nor_left() -> None:
    counted = tally(plan((1, 9), (1, 9)))
    assert counted.settle("0", [state(), state(FAILED)], 1, failed=True)
    parse, lint = counted.progress(1).tasks
    assert (parse.shards_done, parse.failed, lint.shards_done, lint.failed) == (1, 0, 0, 1)
    assert (lint.files_done, lint.rate, lint.seconds_left) == (0, 0, pytest.approx(1))
    assert counted.progress(1).done == 0
    assert counted.settle("0", [state(), state()], 2)  # another run could, after all
    far = counted.progress(2)
    assert (far.done, far.tasks[1].failed, far.tasks[1].seconds_left) == (1, 0, pytest.approx(1))


def test_what_will_be_tried_again_is_no_news() -> None:
    counted = tally(plan((1, 9)))
    assert not counted.settle("0", NOTHING, 1)
    assert not counted.settle("0", [state(FAILED), state(FAILED)], 1)
    assert counted.settle("0", [state(), state()], 2)
    assert not counted.settle("0", [state(), state()], 3)
    assert counted.progress(3).done == 1


def test_a_run_tells_where_it_starts(tree: Path, store: codebatch.Store) -> None:
    """A second batch over the same tree: its shards are linked, all but those of an edit."""
    store.batch(store.snapshot(tree)).run("sync")
    (tree / "pkg/cart.py").write_text("import os\n")
    batch = store.batch(store.snapshot(tree))
    seen: list[RunProgress] = []
    report = batch.run("sync", progress=seen.append)
    total = report.shards["total"]
    before = seen[0].done
    assert total - 2 <= before < total
    assert [(one.done, one.total) for one in seen] == [(n, total) for n in range(before, total + 1)]
    assert [task.shards_done for task in seen[0].tasks] == [before] * 4
    assert [task.rate for task in seen[0].tasks] == [None] * 4
    assert all(task.rate for task in seen[-1].tasks)


def test_failures_are_counted(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree), "parse")
    digest = str(batch.inspect("pkg/cart.py")["object"]).partition(":")[2]
    for path in (store.path / "objects").rglob(f"{digest}*"):
        path.unlink()
    seen: list[RunProgress] = []
    report = batch.run("sync", progress=seen.append)
    assert report.shards["failed"] == seen[-1].tasks[0].failed == 1
    assert seen[-1].done == report.shards["done"]
    assert seen[-1].tasks[0].seconds_left == 0


# -- lines -----------------------------------------------------------------------------------------


def row(name: str = "parse", **changes: object) -> TaskProgress:
    made = TaskProgress(name, 128, 256, 1824, 3656, 0, 0, 412.4, 65.0)
    return replace(made, **changes)  # type: ignore[arg-type]


def lines(tasks: Sequence[TaskProgress], width: int = 100, height: int = 24) -> list[str]:
    return shown.task_lines(RunProgress(0, 0, tuple(tasks)), os.terminal_size((width, height)))


def test_lines_are_aligned() -> None:
    tasks = [row(), row("symbols", rate=3.25, seconds_left=None), row("lint", failed=1)]
    tasks.append(row("done", shards_done=256, files_done=3656, quarantined=2))
    assert lines(tasks) == [
        "parse    128/256 shards  1,824/3,656 files  412 files/s  1 min 5 s left",
        "symbols  128/256 shards  1,824/3,656 files  3.2 files/s",
        "lint     128/256 shards  1,824/3,656 files  412 files/s  1 min 5 s left  1 failed",
        "done     256/256 shards  3,656/3,656 files                         done  2 quarantined",
    ]


def test_where_there_is_no_room_the_least_important_goes_first() -> None:
    wide = {width: lines([row(failed=1)], width)[0] for width in range(2, 100)}
    assert all(len(line) < width for width, line in wide.items())
    assert wide[65] == "parse  128/256 shards  412 files/s  1 min 5 s left  1 failed"
    assert wide[55] == "parse  128/256 shards  1 min 5 s left  1 failed"
    assert wide[40] == "parse  128/256 shards  1 failed"
    assert wide[25] == "parse  128/256 shards"
    assert wide[7] == "parse"
    assert wide[4] == "par"


def test_more_tasks_than_rows() -> None:
    tasks = [row(f"t{number}", shards_done=256 if number < 5 else 0) for number in range(30)]
    for height in (3, 4, 10, 31):
        assert len(lines(tasks, height=height)) < height
    found = lines(tasks, height=10)
    assert [line.split()[0] for line in found] == [*(f"t{n}" for n in range(5, 13)), "and"]
    assert found[-1] == "and 22 tasks more"


def test_plain_lines() -> None:
    assert shown.plain_line(row()) == (
        "parse: 128/256 shards, 1,824/3,656 files, 412 files/s, 1 min 5 s left"
    )
    assert shown.plain_line(row(rate=None, seconds_left=None, failed=3, quarantined=1)) == (
        "parse: 128/256 shards, 1,824/3,656 files, 3 failed, 1 quarantined"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "1 s"), (0.4, "1 s"), (59.4, "59 s"), (60, "1 min"), (61, "1 min 1 s")),
        *((3599.7, "1 h"), (12_000, "3 h 20 min"), (90_000, "1 d 1 h"), (10**8, "1,157 d 9 h")),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert shown.duration(seconds) == text


def test_without_a_terminal_there_are_a_few_lines_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("codebatch.cli.render.progress.time.monotonic", lambda: clock[0])
    tell = shown.TaskLines()
    times = []
    for second in range(3600):
        clock[0] = 1000.0 + second
        tell(RunProgress(0, 0, (row(files_done=second), row("idle"))))
        if capfd.readouterr().err:
            times.append(second)
    tell.close()
    assert times[:4] == [5, 13, 25, 42]
    assert 60 <= len(times) <= 70
    assert {b - a for a, b in itertools.pairwise(times[10:])} == {60}


def test_a_task_that_does_not_get_on_is_not_named_again(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("codebatch.cli.render.progress.time.monotonic", lambda: clock[0])
    tell = shown.TaskLines()
    for second in (10, 30):
        clock[0] += second
        tell(RunProgress(0, 0, (row(files_done=second), row("idle"))))
    names = [line.partition(":")[0] for line in capfd.readouterr().err.splitlines()]
    assert names == ["parse", "idle", "parse"]


# -- on a terminal ---------------------------------------------------------------------------------

DRAWN = re.compile(r" \d+/\d+ shards ")


def drawn(frame: Sequence[str]) -> list[str]:
    """The lines of a frame that are progress of tasks."""
    return [line for line in frame if DRAWN.search(f"{line} ") and "done  " not in line[:9]]


def names_in(frame: Sequence[str]) -> list[str]:
    return [line.split()[0] for line in drawn(frame)]


def test_lines_are_drawn_in_place_and_nothing_of_them_stays(tree: Path, tmp_path: Path) -> None:
    words = ("scan", tree, "--store", tmp_path / "s", "--scheduler", "sync")
    with InTerminal(*words, width=60) as terminal:
        assert terminal.end() == 0
        shots = [names_in(frame) for frame in terminal.frames]
        assert ["parse", "analyze", "symbols", "lint"] in shots
        assert {len(names) for names in shots} == {0, 4}
        assert all(len(line) < 60 for frame in terminal.frames for line in drawn(frame))
        assert shots[-1] == []
        text = terminal.screen.text
        assert text[0].startswith("made a store: ")
        assert len([line for line in text if re.match(r"batch-\w{16}  done  ", line)]) == 1
        assert [line for line in text if "files/s" in line or " left" in line] == []


@pytest.mark.parametrize("env", [{"CI": "1"}, {"TERM": "dumb"}], ids=["CI", "dumb"])
def test_terminals_that_nobody_looks_at(env: dict[str, str], tree: Path, tmp_path: Path) -> None:
    words = ("scan", tree, "--store", tmp_path / "s", "--scheduler", "sync")
    with InTerminal(*words, env={"NO_COLOR": "1", **env}) as terminal:
        assert terminal.end() == 0
        assert b"\x1b" not in terminal.written


def test_progress_has_no_colours(tree: Path, tmp_path: Path) -> None:
    words = ("scan", tree, "--store", tmp_path / "s", "--scheduler", "sync")
    with InTerminal(*words, env={"NO_COLOR": "1"}) as terminal:
        assert terminal.end() == 0
        assert set(re.findall(rb"\x1b\[[0-9;]*[A-Za-z]", terminal.written)) <= {
            *(b"\x1b[K", b"\x1b[J", b"\x1b[4A", b"\x1b[1A"),
        }
        assert b"\x1b[4A" in terminal.written


def test_an_interrupt_leaves_the_report_alone(library: Path, tmp_path: Path) -> None:
    words = ("scan", library, "--store", tmp_path / "s", "--scheduler", "sync", "--shards", 256)
    with InTerminal(*words, width=200) as terminal:
        terminal.wait_for(lambda it: it.frames and len(names_in(it.frames[-1])) == 4)
        started = len(terminal.frames)
        terminal.wait_for(lambda it: len(it.frames) > started + 1)
        terminal.type(b"\x03")
        assert terminal.end() == 130
        text = terminal.screen.text
        assert drawn([line for line in text if not line.startswith("  shards")]) == []
        assert b"^C" in terminal.written
        assert "^C" not in "".join(text)
        assert text[1].split()[1] == "interrupted"
        assert text[-1].startswith("next: codebatch resume --batch batch-")


def test_notes_stay_above_the_lines(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree))
    layout = store.directory.layout
    shard_id = str(batch.shards()[0]["shard_id"])
    note = f"waiting for 1 shard that process {os.getpid()} on {os.uname().nodename} is at"
    words = ("run", "--store", store.path, "--scheduler", "sync")
    with contextlib.ExitStack() as other:
        lease = other.enter_context(hold_lease(layout, "run", batch.id))
        assert Claims(layout, batch.id, lease.lease_id).take(shard_id) is None
        with InTerminal(*words, width=200) as terminal:
            terminal.wait_for(lambda it: it.frames and note in it.frames[-1] and it.frames[-1][1:])
            above, *below = terminal.frames[-1]
            assert above == note
            assert names_in(below) == ["parse", "analyze", "symbols", "lint"]
            assert len(below) == 4
            other.close()
            assert terminal.end() == 0
            assert terminal.screen.text[0] == note
            assert terminal.screen.text[1].startswith(f"{batch.id}  done")


def test_an_error_stands_alone(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree))
    words = ("run", "--store", store.path, "--scheduler", "sync", "--require-reused")
    with InTerminal(*words) as terminal:
        assert terminal.end() == 1
        assert any(names_in(frame) for frame in terminal.frames)
        assert terminal.screen.text[0].startswith("error: ")
        assert drawn(terminal.screen.text) == []
        assert batch.status()["status"] == "pending"


def test_no_terminal_no_lines(tree: Path, tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    done = cli("scan", tree, "--store", tmp_path / "s", "--json")
    assert (done.code, len(done.err.splitlines())) == (0, 1)
    assert done.err.startswith("made a store")
