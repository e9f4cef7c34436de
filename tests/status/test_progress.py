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
from rich.console import Console
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
    assert (far.files_done, far.files_total, far.rate, far.seconds_left) == (0, 5, None, None)
    assert far.tasks == tuple(TaskProgress(name, 0, 2, 0, 5) for name in TASKS)


def test_what_is_there_already_counts_and_says_nothing_about_the_pace() -> None:
    """Linked, or left by another run; a task may be done where others are not."""
    start = tally(plan((2, 98), (3, 97)), parse_0=state(), lint_0=state(), parse_1=state(E0004=2))
    far = start.progress(10)
    parse, lint = far.tasks
    assert (far.done, parse.shards_done, lint.shards_done) == (1, 2, 1)
    assert (far.files_done, parse.files_done, lint.files_done) == (2, 5, 2)
    assert (parse.quarantined, lint.quarantined) == (2, 0)
    assert (far.rate, far.seconds_left) == (None, None)


def test_what_failed_before_is_still_to_be_done() -> None:
    far = tally(plan((1, 9)), parse_0=state(FAILED), lint_0=state(FAILED)).progress(0)
    assert [(task.failed, task.shards_done) for task in far.tasks] == [(0, 0), (0, 0)]


def test_time_left_goes_by_bytes() -> None:
    """The first shard is nine tenths of the bytes, and one of ten shards."""
    counted = tally(plan((10, 890), *[(1, 10)] * 9))
    assert counted.settle("0", [state(), state()], 9)
    far = counted.progress(9)
    assert (far.files_done, far.rate) == (10, pytest.approx(10 / 9))
    assert far.seconds_left == pytest.approx(9 * 99 / 900)


def test_files_without_bytes_take_time_as_well() -> None:
    counted = tally(plan(*[(3, 0)] * 4))
    counted.settle("0", [state(), state()], 2)
    assert counted.progress(2).seconds_left == pytest.approx(6)


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    counted = tally(plan(*[(1, 9)] * 200))
    for number in range(100):  # one a second, then ten a second
        counted.settle(f"{number:x}", [state(), state()], number + 1)
    for number in range(100, 190):
        counted.settle(f"{number:x}", [state(), state()], 100 + (number - 99) / 10)
    far = counted.progress(109)
    assert far.rate == pytest.approx((90 + 21) / 30, rel=0.05)
    assert far.seconds_left == pytest.approx(10 / far.rate, rel=0.01)


def test_few_large_shards_have_a_rate_as_well() -> None:
    """One in ten minutes: there is none in most half minutes."""
    counted = tally(plan(*[(6, 600)] * 20))
    for number in range(10):
        counted.settle(f"{number:x}", [state(), state()], 600 * (number + 1))
    far = counted.progress(6000)
    assert far.rate == pytest.approx(0.01)
    assert far.seconds_left == pytest.approx(6000)


def test_the_rate_falls_while_nothing_arrives() -> None:
    counted = tally(plan((10, 10), (10, 10)))
    counted.settle("0", [state(), state()], 1)
    rates = [counted.progress(at).rate for at in (1, 2, 100)]
    assert rates == [pytest.approx(10), pytest.approx(5), pytest.approx(0.1)]


def test_tasks_over_the_whole_batch_end_on_all_shards_at_once() -> None:
    """The files of a run are done before they are, and the pace is that of the files."""
    one, other = plan((10, 100), (10, 100)).tasks
    both = replace(plan((10, 100), (10, 100)), tasks=(one, replace(other, scope=BATCH_SCOPE)))
    counting = tally(both)
    counting.settle("0", [state(), None], at=10)
    far = counting.progress(10)
    assert (far.done, far.files_done, far.rate, far.seconds_left) == (0, 10, 1, 10)
    counting.settle("1", [state(), None], at=20)
    counting.settle("0", [state(), state()], at=90)
    far = counting.progress(90)
    assert (far.done, far.files_done, far.seconds_left) == (1, 20, 0)
    assert [task.files_done for task in far.tasks] == [20, 10]


def test_failed_shards_are_neither_done_nor_left() -> None:
    counted = tally(plan((1, 9), (1, 9)))
    assert counted.settle("0", [state(), state(FAILED)], 1, failed=True)
    far = counted.progress(1)
    parse, lint = far.tasks
    assert (parse.shards_done, parse.failed, lint.shards_done, lint.failed) == (1, 0, 0, 1)
    assert (far.done, far.files_done, far.rate) == (0, 0, 0)
    assert far.seconds_left == pytest.approx(1)
    assert counted.settle("0", [state(), state()], 2)  # another run could, after all
    far = counted.progress(2)
    assert (far.done, far.files_done, far.tasks[1].failed) == (1, 1, 0)
    assert far.seconds_left == pytest.approx(2)


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
    assert seen[0].rate is None
    assert seen[-1].rate
    assert seen[-1].files_done == seen[-1].files_total == batch.summary()["files"]["total"]


def test_failures_are_counted(tree: Path, store: codebatch.Store) -> None:
    taken = store.snapshot(tree)
    batch = store.batch(taken, "parse")
    (digest,) = (f.object.partition(":")[2] for f in taken.files if f.path == "pkg/cart.py")
    for path in (store.path / "objects").rglob(f"{digest}*"):
        path.unlink()
    seen: list[RunProgress] = []
    report = batch.run("sync", progress=seen.append)
    assert report.shards["failed"] == seen[-1].tasks[0].failed == 1
    assert seen[-1].done == report.shards["done"]
    assert seen[-1].seconds_left == 0


# -- what is shown of it ---------------------------------------------------------------------------


def row(name: str = "parse", **changes: object) -> TaskProgress:
    made = TaskProgress(name, 128, 256, 1824, 3656)
    return replace(made, **changes)  # type: ignore[arg-type]


def run(*tasks: TaskProgress, **changes: object) -> RunProgress:
    made = RunProgress(128, 256, tasks, 1824, 3656, rate=412.4, seconds_left=65.0)
    return replace(made, **changes)  # type: ignore[arg-type]


def said(progress: RunProgress) -> list[str]:
    return list(map(shown.plain_line, shown.run_rows(progress)))


def test_a_run_is_one_row() -> None:
    assert said(run(row(), row("lint"))) == ["run: 1,824/3,656 files, 1 min 5 s left, 412 files/s"]
    trouble = run(row(failed=3, quarantined=1), row("lint", failed=3), rate=None, seconds_left=None)
    assert said(trouble) == ["run: 1,824/3,656 files, 3 shards failed, 1 result quarantined"]


def test_tasks_that_lag_behind_have_rows() -> None:
    """Files that are done with one task, and a task over the batch that comes after them."""
    parsed = row(shards_done=256, files_done=3656)
    assert said(run(parsed, row("lint")))[1:] == ["lint: 128/256 shards"]
    whole = run(parsed, row("all", shards_done=0), files_done=3656, seconds_left=0)
    assert said(whole) == ["run: 3,656/3,656 files", "all: 0/256 shards"]
    assert said(run(row(), row("all", shards_done=0)))[1:] == []
    done = row("all", shards_done=256)
    assert said(run(parsed, done, done=256, files_done=3656)) == ["run: 3,656/3,656 files"]


def drawn_at(width: int, *rows: shown.Row) -> list[str]:
    console = Console(width=width + shown.KEPT_FREE, color_system=None)
    with console.capture() as capture:
        console.print(shown.drawn(rows, width))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_where_there_is_no_room_the_least_important_goes_first() -> None:
    rows = [*shown.run_rows(run(row(failed=1)))]
    wide = {width: drawn_at(width, *rows)[0] for width in range(23, 120)}
    assert all(len(line) <= width for width, line in wide.items())
    bar = f"{'━' * 19}╸{' ' * 20}"
    assert wide[110] == (
        f"run  {bar}  1,824/3,656 files  1 shard failed  1 min 5 s left  412 files/s"
    )
    words = [re.split("[━╸] +", wide[width])[-1] for width in (70, 60, 50, 30)]
    assert words == [
        "1,824/3,656 files  1 shard failed  1 min 5 s left",
        "1,824/3,656 files  1 shard failed",
        "1,824/3,656 files  1 shard failed",
        "1,824/3,656 files",
    ]


def test_bars_are_aligned() -> None:
    rows = [shown.Row("run", 1, 2, (shown.Word("half"),)), shown.Row("  日本", 0, 2)]
    first, second = drawn_at(40, *rows)
    assert first.index("━") == 8
    assert second == "  日本"  # without colours there is nothing where nothing is done


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (None, "snapshot: 1 file, 2.0 KiB"),
        ((1200, 4096), "snapshot: 1/1,200 files, 2.0 KiB/4.0 KiB"),
        ((0, 0), "snapshot: 1 file, 2.0 KiB"),  # it has grown
    ],
)
def test_counts_are_of_those_of_an_earlier_time(before: tuple[int, int] | None, text: str) -> None:
    assert shown.plain_line(shown.count_row("snapshot", "file", 1, 2048, before)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "1 s"), (0.4, "1 s"), (59.4, "59 s"), (60, "1 min"), (61, "1 min 1 s")),
        *((3599.7, "1 h"), (12_000, "3 h 20 min"), (90_000, "1 d 1 h"), (10**8, "1,157 d 9 h")),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert shown.duration(seconds) == text


def test_without_a_terminal_there_is_a_line_in_ten_seconds_and_one_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("codebatch.cli.render.progress.time.monotonic", lambda: clock[0])
    times = []
    with shown.Display() as display:
        for second in range(65):
            clock[0] = 1000.0 + second
            display(run(row(), files_done=second))
            if capfd.readouterr().err:
                times.append(second)
    assert times == [10, 20, 30, 40, 50, 60]
    assert capfd.readouterr().err == "run: 64/3,656 files, 1 min 5 s left, 412 files/s\n"
    with shown.Display(quiet=True) as display:
        clock[0] += 100
        display(run(row()))
    with shown.Display() as display:  # what takes less needs no end
        display(run(row()))
    assert capfd.readouterr().err == ""


# -- on a terminal ---------------------------------------------------------------------------------

DRAWN = re.compile(r"^(run|snapshot|plan|  \w+) +━")


def drawn(frame: Sequence[str]) -> list[str]:
    """The lines of a frame that are progress."""
    return [line for line in frame if DRAWN.match(line)]


def names_in(frame: Sequence[str]) -> list[str]:
    return [line.split()[0] for line in drawn(frame)]


def test_rows_are_drawn_in_place_and_nothing_of_them_stays(tree: Path, tmp_path: Path) -> None:
    words = ("scan", tree, "--store", tmp_path / "s", "--scheduler", "sync")
    with InTerminal(*words, width=60) as terminal:
        assert terminal.end() == 0
        shots = [names_in(frame) for frame in terminal.frames]
        assert [name for name, _ in itertools.groupby(filter(None, shots))] == [
            *(["snapshot"], ["plan"], ["run"]),
        ]
        assert all(len(line) < 60 for frame in terminal.frames for line in drawn(frame))
        rows = [line for frame in terminal.frames for line in drawn(frame)]
        assert any(re.search(r" \d+/\d+ files", line) for line in rows)
        text = terminal.screen.text
        assert text[0].startswith("made a store: ")
        assert [line for line in text if line.startswith("batch-")]
        assert drawn(text) == []
        assert terminal.screen.has_cursor


@pytest.mark.parametrize("env", [{"CI": "1"}, {"TERM": "dumb"}], ids=["CI", "dumb"])
def test_terminals_that_nobody_looks_at(env: dict[str, str], tree: Path, tmp_path: Path) -> None:
    words = ("scan", tree, "--store", tmp_path / "s", "--scheduler", "sync")
    with InTerminal(*words, env={"NO_COLOR": "1", **env}) as terminal:
        assert terminal.end() == 0
        assert b"\x1b" not in terminal.written


@pytest.mark.parametrize("words", [("scan",), ("--no-color", "scan"), ("scan", "--quiet")])
def test_colours_are_for_those_who_want_them(
    words: tuple[str, ...], tree: Path, tmp_path: Path
) -> None:
    env: dict[str, str | None] = {"NO_COLOR": "1"} if words == ("scan",) else {}
    words = (*words, str(tree), "--store", str(tmp_path / "s"), "--scheduler", "sync")
    with InTerminal(*words, env=env) as terminal:
        assert terminal.end() == 0
        assert b"\x1b[1;" not in terminal.written
        assert b"\x1b[3" not in terminal.written
        assert (b"\x1b" in terminal.written) == ("--quiet" not in words)


def test_an_interrupt_leaves_the_report_alone(library: Path, tmp_path: Path) -> None:
    words = ("scan", library, "--store", tmp_path / "s", "--scheduler", "sync", "--shards", 256)
    with InTerminal(*words, width=200) as terminal:
        terminal.wait_for(lambda it: it.frames and names_in(it.frames[-1]) == ["run"])
        started = len(terminal.frames)
        terminal.wait_for(lambda it: len(it.frames) > started + 1)
        terminal.type(b"\x03")
        assert terminal.end() == 130
        text = terminal.screen.text
        assert drawn(text) == []
        assert b"^C" in terminal.written
        assert "^C" not in "".join(text)
        assert terminal.screen.has_cursor
        assert text[1].split()[1] == "interrupted"
        assert text[-1].startswith("next: codebatch resume --batch batch-")


def test_notes_stay_above_the_bar(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree))
    layout = store.directory.layout
    shard_id = str(batch.shards()[0]["shard_id"])
    note = f"waiting for 1 shard that process {os.getpid()} on {os.uname().nodename} is at"
    words = ("run", "--store", store.path, "--scheduler", "sync")
    with contextlib.ExitStack() as other:
        lease = other.enter_context(hold_lease(layout, "run", batch.id))
        assert Claims(layout, batch.id, lease.lease_id).take(shard_id) is None
        with InTerminal(*words, width=200) as terminal:
            terminal.wait_for(lambda it: note.encode() in it.written)
            other.close()
            assert terminal.end() == 0
            noted = [frame for frame in terminal.frames if note in frame]
            assert names_in(noted[0][noted[0].index(note) :]) == ["run"]
            assert drawn(terminal.screen.text) == []
            assert note in terminal.screen.text


def test_an_error_stands_alone(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree))
    words = ("run", "--store", store.path, "--scheduler", "sync", "--require-reused")
    with InTerminal(*words) as terminal:
        assert terminal.end() == 1
        assert any(names_in(frame) for frame in terminal.frames)
        assert [line for line in terminal.screen.text if line.startswith("error: ")]
        assert drawn(terminal.screen.text) == []
        assert batch.status()["status"] == "pending"


def test_what_takes_no_time_shows_nothing(
    tree: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    done = cli("scan", tree, "--store", tmp_path / "s", "--json")
    assert (done.code, len(done.err.splitlines())) == (0, 1)
    assert done.err.startswith("made a store")
