"""Running: one result whatever the scheduler, nothing computed twice, no kill loses anything."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from conftest import (
    Outcome,
    Scanned,
    cli_command,
    cli_environment,
    make_tree,
    read_outputs,
    replace_task,
    write_tree,
)

import codebatch
from codebatch.graph.runners import Runners, running_by
from codebatch.store import write_group
from codebatch.store.shards import Shards
from codebatch.tasks import native_tool, registry
from codebatch.tasks.languages.python.parse import NoThreadError

# -- what is computed anew is durable -----------------------------------------------------------


@pytest.mark.parametrize("dask_runs", [False, True])
def test_a_batch_that_lost_a_state_has_no_result_until_it_is_durable(
    dask_runs: bool, scanned_copy: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = scanned_copy.batch
    document = scanned_copy.path / "batches" / batch.id / "batch.json"
    result = json.loads(document.read_bytes())["result"]
    state = next(document.parent.glob("tasks/*/shards/*/state.json"))
    state.unlink()
    written: list[object] = []
    save, sync = Shards.save_state, write_group.sync_file_system

    def save_state(*arguments: Any) -> None:
        written.append(json.loads(document.read_bytes())["result"])
        save(*arguments)

    def sync_all(path: Path) -> None:
        written.append("synced")
        sync(path)

    monkeypatch.setattr(Shards, "save_state", save_state)
    monkeypatch.setattr(write_group, "sync_file_system", sync_all)
    with running_by(Runners()):  # in this process
        report = dask.compute(batch, scheduler="sync")[0] if dask_runs else batch.run("sync")
    last = max(index for index, one in enumerate(written) if one != "synced")
    assert {one for one in written if one != "synced"} == {None}
    assert "synced" in written[last:]
    assert (report.status, json.loads(document.read_bytes())["result"]) == ("done", result)


# -- determinism ---------------------------------------------------------------------------------

SCHEDULERS = ("sync", "threads", "processes")
SHARDS = (None, 256)
SEEDS = ("0", "1", "random")
COPIES = ("one", "two")
ALL_RUNS = list(itertools.product(SCHEDULERS, SHARDS, SEEDS, COPIES))
# Every pair of values of two dimensions occurs in these; of the rest, the slow test has a sample.
PAIRS = [
    ("sync", 256, "0", "one"),
    ("sync", None, "1", "two"),
    ("sync", None, "random", "one"),
    ("threads", None, "0", "two"),
    ("threads", 256, "1", "one"),
    ("threads", 256, "random", "two"),
    ("processes", None, "0", "one"),
    ("processes", 256, "1", "two"),
    ("processes", None, "random", "two"),
]


def scan_json(cli: Callable[..., Outcome], *arguments: object, **options: Any) -> dict[str, Any]:
    done = cli("scan", *arguments, "--json", **options)
    assert done.code == 0, done.err
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def check_determinism(runs: Sequence[tuple[Any, ...]], base: Path, cli: Callable[..., Outcome]):
    for copy in COPIES:
        make_tree(base / copy / "tree")
    found = {}
    for number, (scheduler, shards, seed, copy) in enumerate(runs):
        store = base / f"store{number}"
        width = () if shards is None else ("--shards", shards)
        words = (base / copy / "tree", "--store", store, "--scheduler", scheduler, *width)
        document = scan_json(cli, *words, env={"PYTHONHASHSEED": seed})
        outputs = (line for path in outputs_of(store) for line in read_outputs(path).splitlines())
        key = (document["snapshot_id"], document["batch_id"], document["result"])
        found[scheduler, shards, seed, copy] = (*key, sorted(outputs))
    first = found[runs[0]]
    assert {run for run, answer in found.items() if answer != first} == set()


def outputs_of(store: Path) -> list[Path]:
    return sorted(store.glob("batches/*/tasks/*/shards/*/outputs.index.jsonl.zst"))


def test_pairs_cover_every_pair() -> None:
    for one, other in itertools.combinations(range(4), 2):
        wanted = {(run[one], run[other]) for run in ALL_RUNS}
        assert {(run[one], run[other]) for run in PAIRS} == wanted


def test_one_result_however_it_is_run(tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    check_determinism(PAIRS, tmp_path, cli)


@pytest.mark.slow
def test_one_result_for_other_combinations(tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    others = [run for run in ALL_RUNS if run not in PAIRS]
    check_determinism(random.Random(20261130).sample(others, 9), tmp_path, cli)


def test_outputs_of_two_stores_are_equal_byte_for_byte(tree: Path, tmp_path: Path) -> None:
    stores = []
    for name, scheduler in (("one", "threads"), ("two", "sync")):
        codebatch.scan(tree, tmp_path / name, scheduler=scheduler)
        names = outputs_of(tmp_path / name)
        stores.append({path.relative_to(tmp_path / name): path.read_bytes() for path in names})
    assert stores[0] == stores[1]
    assert any(stores[0].values())


def test_result_is_that_of_the_records_not_of_the_place(tree: Path, tmp_path: Path) -> None:
    """Another content gives another result; the same content in another folder does not."""
    _, first = codebatch.scan(tree, tmp_path / "s1", scheduler="sync")
    moved = tree.rename(tmp_path / "moved")
    _, second = codebatch.scan(moved, tmp_path / "s2", scheduler="sync")
    (moved / "pkg/copy_a.py").write_text("def other():\n    return 1\n")
    _, third = codebatch.scan(moved, tmp_path / "s3", scheduler="sync")
    assert first.result == second.result != third.result


@pytest.mark.slow
def test_first_shards_of_a_process_may_start_together(
    tree: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    """What a process sets up on first use, it sets up while two threads ask for it at once."""
    for number in range(10):
        words = (tree, "--store", tmp_path / f"s{number}", "--scheduler", "threads")
        done = cli("scan", *words, "--workers", 8, "--json")
        assert json.loads(done.stdout)["errors"] == []


# -- what is counted -----------------------------------------------------------------------------


def test_second_run_computes_nothing(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree), "full")
    first = batch.run("sync")
    before = written(store.path)
    second = batch.run("sync")
    total = 4 * len(batch.files())
    assert first.files["computed"] + first.files["reused"] == total
    assert second.files == {"computed": 0, "reused": total, "quarantined": 0}
    assert second.result == first.result
    assert written(store.path) == before


def written(store: Path) -> dict[Path, int]:
    """When each document was written, but those that say when a batch was asked for."""
    documents = (path for path in store.rglob("*.json") if path.name != "asked.json")
    return {path: path.stat().st_mtime_ns for path in documents}


def test_identical_files_are_computed_once(tmp_path: Path, store: codebatch.Store) -> None:
    names = [f"copy{number}.py" for number in range(5)]
    root = write_tree(
        tmp_path / "t", {**dict.fromkeys(names, "import os\n"), "other.py": "x = 1\n"}
    )
    batch = store.batch(store.snapshot(root), "full")
    report = batch.run("sync")
    assert report.files == {"computed": 4 * 2, "reused": 4 * 4, "quarantined": 0}
    found = [record["path"] for record in batch.sorted_records(code="L101")]
    assert found == names


def test_same_content_is_judged_by_its_name(tmp_path: Path, store: codebatch.Store) -> None:
    """Equal bytes alone do not make equal results: each name gets what it gets on its own."""
    code = "from os import path\n"
    names = ("a.py", "b/__init__.py", "c.pyi", "d.txt")
    root = write_tree(tmp_path / "t", dict.fromkeys(names, code))
    batch = store.batch(store.snapshot(root), "full")
    batch.run("sync")
    assert {record["path"] for record in batch.records(code="L101")} >= {"a.py"}
    assert {record["path"] for record in batch.records(kind="ast")} == set(names) - {"d.txt"}
    alone = {}
    for name in names:
        other = write_tree(tmp_path / name.replace("/", "-"), {name: code})
        single = store.batch(store.snapshot(other), "full")
        single.run("sync")
        alone[name] = single.sorted_records().to_list()
    assert list(batch.sorted_records()) == [record for name in names for record in alone[name]]


@pytest.mark.parametrize("shards", [16, 256, 4096])
def test_shards_partition_the_files(shards: int, tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree), "full", shards=shards)
    digits = {16: 1, 256: 2, 4096: 3}[shards]
    expected: dict[str, int] = {}
    for file in store.find_snapshot("latest").files:
        shard = file.object.removeprefix("sha256:")[:digits]
        expected[shard] = expected.get(shard, 0) + 1
    assert {row["shard_id"]: row["files"] for row in batch.shards()} == expected


def test_empty_tree_is_done(tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    (tmp_path / "t").mkdir()
    document = scan_json(cli, tmp_path / "t", "--store", tmp_path / "s")
    assert document["status"] == "done"
    assert document["shards"] == {"total": 0, "done": 0, "failed": 0}
    assert re.fullmatch("sha256:[0-9a-f]{64}", document["result"])
    for command in ("errors", "files", "shards"):
        assert json.loads(cli(command, "--store", tmp_path / "s", "--json").stdout) == []
    summary = json.loads(cli("summary", "--store", tmp_path / "s", "--json").stdout)
    assert (summary["status"], summary["result"]) == ("done", document["result"])


def test_tree_of_binaries_is_skipped_and_says_so(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(tmp_path / "t", {"a.png": b"\x89PNG\0", "b": b"\0" * 100, "c.py": b"\0\0"})
    batch = store.batch(store.snapshot(root), "full")
    assert batch.run("sync").status == "done"
    skips = {(record["task_id"], record["path"]) for record in batch.records(kind="skip")}
    tasks = ("parse", "analyze", "symbols", "lint")
    assert skips >= {(task, path) for task in tasks for path in ("a.png", "b")}
    kinds = {str(record["kind"]) for record in batch.records() if record["path"] != "c.py"}
    assert kinds == {"skip"}


def test_every_file_has_a_record_of_every_task_that_looks_at_it(scanned: Scanned) -> None:
    """Nothing is passed by in silence: tree, error or reason from ``parse``."""
    found = {str(record["path"]) for record in scanned.batch.records(task="parse")}
    assert found == {str(row["path"]) for row in scanned.batch.files()}


def test_progress_counts_every_shard(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree), "parse")
    seen: list[codebatch.RunProgress] = []
    report = batch.run("threads", workers=2, progress=seen.append)
    total = report.shards["total"]
    assert [(one.done, one.total) for one in seen] == [(n, total) for n in range(total + 1)]
    (task,) = seen[-1].tasks
    files = len(batch.files())
    assert (task.task_id, task.shards_done, task.files_done) == ("parse", total, files)
    assert (task.shards_total, task.files_total) == (total, files)


# -- failures --------------------------------------------------------------------------------------


def broken_task(error: Callable[[], BaseException]) -> Callable[..., Iterator[dict[str, object]]]:
    original = registry.find_task("symbols").function

    def run(file: Any, config: Any) -> Iterator[dict[str, object]]:
        if b"class Cart" in file.bytes:
            raise error()
        yield from original(file, config)

    return run


@pytest.mark.parametrize(
    "error",
    [
        lambda: RuntimeError("boom"),
        lambda: RecursionError("too deep"),
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        lambda: codebatch.CodeBatchError("of our own"),
        lambda: ValueError("lone \udcff and \x1b[31m"),
        lambda: GeneratorExit("no error"),
    ],
    ids="runtime recursion unicode own odd-text base".split(),
)
def test_task_that_fails_on_one_file_leaves_a_record(
    error: Callable[[], BaseException],
    tree: Path,
    store: codebatch.Store,
    scanned: Scanned,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace_task(monkeypatch, "symbols", function=broken_task(error))
    batch = store.batch(store.snapshot(tree), "full")
    assert batch.run("sync").status == "done"
    (found,) = batch.records(code="E0002")
    assert (found["path"], found["task_id"], found["severity"]) == (
        "pkg/cart.py",
        "symbols",
        "error",
    )
    assert type(error()).__name__ in str(found["message"])

    # Everything else is as it is without the failure.
    def others(records: Iterable[dict[str, object]]) -> list[dict[str, object]]:
        return [r for r in records if (r["path"], r["task_id"]) != ("pkg/cart.py", "symbols")]

    assert others(batch.sorted_records()) == others(scanned.batch.sorted_records())


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError, "MEMORY_EXHAUSTED"),
        (lambda: NoThreadError("no thread with a large stack"), "MEMORY_EXHAUSTED"),
        (lambda: OSError(errno.ENOMEM, "no memory"), "MEMORY_EXHAUSTED"),
        (lambda: OSError(errno.EAGAIN, "no process"), "MEMORY_EXHAUSTED"),
        (lambda: OSError(errno.EMFILE, "no descriptor"), "MEMORY_EXHAUSTED"),
        (lambda: OSError(errno.ENOSPC, "no room"), "DISK_EXHAUSTED"),
        (lambda: OSError(errno.EROFS, "nothing may be written"), "DISK_EXHAUSTED"),
    ],
    ids="memory thread enomem eagain emfile enospc erofs".split(),
)
def test_shortage_of_the_process_is_no_result(
    scheduler: str,
    error: Callable[[], BaseException],
    code: str,
    tree: Path,
    store: codebatch.Store,
    scanned: Scanned,
) -> None:
    batch = store.batch(store.snapshot(tree), "full")
    with pytest.MonkeyPatch.context() as patch:
        replace_task(patch, "symbols", function=broken_task(error))
        report = batch.run(scheduler)
    assert (report.status, report.result, report.shards["failed"]) == ("failed", None, 1)
    assert [found["code"] for found in report.errors] == [code]
    assert list(batch.records(code="E0002")) == []
    report = batch.run(scheduler)
    assert (report.status, report.result) == ("done", scanned.batch.load_status().result)


def test_shortage_of_a_process_is_no_state(
    tree: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may be able to: only the run, which asks others, says that it has failed."""
    batch = store.batch(store.snapshot(tree), "full")
    broken = broken_task(lambda: OSError(errno.ENOSPC, "no room"))
    replace_task(monkeypatch, "symbols", function=broken)
    with running_by(Runners()):  # in this process
        receipts = dask.get(batch.__dask_graph__(), batch.__dask_keys__())
    codes = [receipt.error["code"] for receipt in receipts if receipt.error]
    assert codes == ["DISK_EXHAUSTED"]
    assert batch.load_status().shards()["failed"] == 0


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_shard_that_fails_again_says_why_this_time(
    scheduler: str, tree: Path, store: codebatch.Store
) -> None:
    batch = store.batch(store.snapshot(tree), "full")
    attempts = []
    for number, code in ((errno.ENOSPC, "DISK_EXHAUSTED"), (errno.EMFILE, "MEMORY_EXHAUSTED")):
        failing = broken_task(lambda number=number: OSError(number, "not here"))
        with pytest.MonkeyPatch.context() as patch:
            replace_task(patch, "symbols", function=failing)
            report = batch.run(scheduler)
        assert [found["code"] for found in report.errors] == [code]
        failed = [state for state in batch.load_status().present() if state.status == "failed"]
        attempts.append({state.attempt for state in failed})
    assert attempts[0].isdisjoint(attempts[1])  # what other runs tell it by


@pytest.mark.parametrize("first", ["of a file", "of what a tool says"])
def test_no_room_for_temporary_files_is_no_result(
    first: str,
    tree: Path,
    store: codebatch.Store,
    scanned: Scanned,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tool ends with an error where it cannot write its findings, and cannot say why."""

    def no_room(**_: object) -> str:
        raise OSError(errno.ENOSPC, "no room")

    batch = store.batch(store.snapshot(tree), "full")
    with monkeypatch.context() as patch:
        if first == "of a file":
            patch.setattr(native_tool.tempfile, "mkdtemp", no_room)
        else:
            failing = shutil.which("sh")  # the tool's arguments are no script
            patch.setattr(native_tool.NativeTool, "binary", lambda _: failing)
            no_room_left = OSError(errno.ENOSPC, "no room")
            patch.setattr(native_tool.ToolRun, "_lack_of_room", lambda _: no_room_left)
        report = batch.run("sync")
    assert {found["code"] for found in report.errors} == {"DISK_EXHAUSTED"}
    report = batch.run("sync")
    assert (report.status, report.result) == ("done", scanned.batch.load_status().result)


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_task_that_wants_to_exit_does_not_end_the_run(
    scheduler: str, tree: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_task(monkeypatch, "symbols", function=broken_task(lambda: SystemExit(3)))
    batch = store.batch(store.snapshot(tree), "full")
    try:
        report = batch.run(scheduler)
    except SystemExit:
        pytest.fail("a task ended the process")
    assert report.shards["done"] >= report.shards["total"] - 1


def test_shard_that_fails_as_a_whole_is_resumed(
    tree: Path, store: codebatch.Store, scanned: Scanned
) -> None:
    def prepare(sources: Sequence[Any], config: Any) -> Any:
        if any(b"class Cart" in source.content for source in sources):
            raise OSError("the tool is not there")
        return original.prepare(sources, {**config, "rules": []})

    original = registry.find_task("lint")

    batch = store.batch(store.snapshot(tree), "full")
    with pytest.MonkeyPatch.context() as patch:
        replace_task(patch, "lint", prepare=prepare)
        report = batch.run("sync")
    assert (report.status, report.result) == ("failed", None)
    assert report.shards["failed"] == 1
    (error,) = report.errors
    assert "the tool is not there" in str(error["message"])
    status = batch.status()
    assert (status["status"], status["shards"]["failed"]) == ("failed", 1)
    # The other shards were linted by the broken task: throw them away, as another tool would.
    for path in store.path.glob("batches/*/tasks/lint/shards/*/state.json"):
        path.unlink()
    shutil.rmtree(store.path / "indexes")
    again = batch.run("sync")
    assert (again.status, again.result) == ("done", scanned.report.result)
    assert batch.status()["errors"] == []


def test_undeclared_kind_is_the_only_record_of_its_file(
    tree: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_task(monkeypatch, "symbols", function=lambda *_: [{"kind": "opinion"}])
    batch = store.batch(store.snapshot(tree), "full")
    assert batch.run("sync").status == "done"
    found = list(batch.records(task="symbols"))
    assert {record["code"] for record in found} == {"E0002"}
    assert len(found) == len(batch.files())
    assert all("kind 'opinion', which the task does not" in str(one["message"]) for one in found)


def test_failed_batch_in_the_command_line(
    tree: Path,
    store: codebatch.Store,
    main: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = OSError(errno.EMFILE, "no descriptor")
    replace_task(monkeypatch, "symbols", function=broken_task(lambda: error))
    words = ("scan", tree, "--store", store.path, "--scheduler", "sync")
    done = main(*words)
    assert done.code == 3
    assert "codebatch resume --batch" in done.out
    assert "no descriptor" in done.err
    assert json.loads(main(*words, "--json").stdout)["status"] == "failed"
    assert main(*words, "--fail-on", "info").code == 3


# -- killed and interrupted ----------------------------------------------------------------------


@dataclasses.dataclass
class Started:
    """A run in a process group of its own, and the store it writes."""

    process: subprocess.Popen[bytes]
    store: Path

    def states(self) -> int:
        return sum(1 for _ in self.store.glob("batches/*/tasks/*/shards/*/state.json"))

    def wait_for_states(self, number: int) -> None:
        deadline = time.monotonic() + 240
        while self.states() < number:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def signal(self, number: int) -> Outcome:
        os.killpg(self.process.pid, number)
        out, err = self.process.communicate(timeout=240)
        return Outcome(self.process.returncode, out, err)


@pytest.fixture
def start(planned: tuple[Path, str], tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start a run of the planned batch, in a new store or in one where it was begun.

    Whatever is left of the runs is killed at the end.
    """
    started: list[Started] = []

    def call(scheduler: str, store: Path | None = None) -> Started:
        if store is None:
            store = tmp_path / f"run{len(started)}"
            shutil.copytree(planned[0], store)
        process = subprocess.Popen(
            cli_command("run", "--store", store, "--scheduler", scheduler, "--workers", 2),
            env=cli_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(Started(process, store))
        return started[-1]

    yield call
    for run in started:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.communicate()


@pytest.fixture(scope="module")
def planned(small_library: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with a planned batch of the library, and the result that a run of it gives."""
    base = tmp_path_factory.mktemp("planned")
    store = codebatch.open_store(base / "store", create=True)
    store.batch(store.snapshot(small_library), "full", shards=256)
    shutil.copytree(base / "store", base / "done")
    report = codebatch.open_store(base / "done").find_batch("latest").run("threads")
    assert report.status == "done"
    return base / "store", str(report.result)


def check_resumes(run: Started, result: str, cli: Callable[..., Outcome]) -> None:
    status = json.loads(cli("status", "--store", run.store, "--json").stdout)
    assert status["shards"]["failed"] == 0, status["errors"]
    assert status["status"] in {"pending", "partial"}, "the run was over before it was stopped"
    done = json.loads(cli("resume", "--store", run.store, "--json").stdout)
    assert done["errors"] == []
    assert (done["status"], done["result"]) == ("done", result)
    assert done["files"]["computed"] > 0
    status = json.loads(cli("status", "--store", run.store, "--json").stdout)
    assert (status["status"], status["shards"]["pending"]) == ("done", 0)


@pytest.mark.parametrize(
    ("states", "scheduler"),
    [
        pytest.param(states, scheduler, marks=() if at_once else pytest.mark.slow)
        for states, scheduler, at_once in [
            (0, "processes", True),
            (1, "sync", False),
            (60, "threads", True),
            (60, "processes", False),
            (0, "sync", False),
            (0, "threads", False),
            (1, "threads", False),
            (1, "processes", False),
            (60, "sync", False),
        ]
    ],
)
def test_killed_run_is_resumed(
    states: int,
    scheduler: str,
    start: Callable[..., Started],
    planned: tuple[Path, str],
    cli: Callable[..., Outcome],
) -> None:
    run = start(scheduler)
    run.wait_for_states(states)
    assert run.signal(signal.SIGKILL).code == -signal.SIGKILL
    check_resumes(run, planned[1], cli)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_run_killed_again_and_again_gets_done(
    scheduler: str,
    start: Callable[..., Started],
    planned: tuple[Path, str],
    cli: Callable[..., Outcome],
) -> None:
    run = start(scheduler)
    for _ in range(10):
        run.wait_for_states(run.states() + 5)
        run.signal(signal.SIGKILL)
        run = start(scheduler, run.store)
    run.signal(signal.SIGKILL)
    check_resumes(run, planned[1], cli)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_interrupt_keeps_what_is_done_and_says_how_to_go_on(
    scheduler: str,
    start: Callable[..., Started],
    planned: tuple[Path, str],
    cli: Callable[..., Outcome],
) -> None:
    """Three times in a row, so that it meets a shard at different points of its work."""
    run = start(scheduler)
    for _ in range(3):
        run.wait_for_states(run.states() + 5)
        done = run.signal(signal.SIGINT)
        assert done.code == 130, done
        assert b"Traceback" not in done.stderr
        (printed,) = re.findall(r"codebatch (resume --batch batch-[0-9a-f]{16}.*)", done.out)
        before = run.states()
        time.sleep(0.1)
        assert run.states() == before, "something goes on writing after the command has ended"
        status = json.loads(cli("status", "--store", run.store, "--json").stdout)
        assert status["errors"] == []
        run = start(scheduler, run.store)
    run.signal(signal.SIGKILL)
    check_resumes(run, planned[1], cli)
    again = cli(*shlex.split(printed), "--json", env={"CODEBATCH_STORE": str(run.store)})
    assert json.loads(again.stdout)["result"] == planned[1]


def test_interrupt_with_json_prints_one_document(planned: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(planned[0], tmp_path / "store")
    process = subprocess.Popen(
        cli_command("run", "--store", tmp_path / "store", "--scheduler", "sync", "--json"),
        env=cli_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    run = Started(process, tmp_path / "store")
    run.wait_for_states(5)
    done = run.signal(signal.SIGINT)
    document = json.loads(done.stdout)
    assert (done.code, document["status"], document["result"]) == (130, "interrupted", None)


@pytest.mark.slow
def test_death_of_a_worker_process_costs_nothing(
    start: Callable[..., Started], planned: tuple[Path, str], cli: Callable[..., Outcome]
) -> None:
    """A worker is killed as the kernel kills when memory runs out."""
    run = start("processes")
    run.wait_for_states(5)
    (server,) = (
        process
        for process in psutil.Process(run.process.pid).children()
        if any("fork_server" in word for word in process.cmdline())
    )
    server.children()[-1].kill()
    out, err = run.process.communicate(timeout=600)
    assert run.process.returncode == 0, err.decode()
    done = json.loads(cli("resume", "--store", run.store, "--json").stdout)
    assert (done["result"], done["files"]["computed"]) == (planned[1], 0)
    assert b"Traceback" not in err
    assert planned[1].encode() in out


def test_run_of_a_plan_made_by_other_tools_is_refused(
    tree: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        replace_task(patch, "lint", toolchain=lambda: {"ruff": "0.0.1"})
        batch = store.batch(store.snapshot(tree), "full")
    done = main("run", "--batch", batch.id, "--store", store.path, "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.code, error["code"]) == (6, "TOOLCHAIN_MISMATCH")
    assert "0.0.1" in error["message"]
    assert store.batch("latest", "full").id != batch.id


def test_events_tell_the_story(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree), "parse")
    report = batch.run("sync")
    (path,) = store.path.glob("batches/*/events.jsonl")
    events = [json.loads(line) for line in path.read_text().splitlines()]
    names = [event["event"] for event in events]
    done = [name for name in ("shard-started", "shard-done") for _ in range(report.shards["total"])]
    assert names == ["run-started", *done, "run-finished"]
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_damaged_tree_of_an_unfinished_batch_is_made_again(scanned_copy: Scanned) -> None:
    """As a power cut leaves it: all states are there, an object they refer to is damaged."""
    batch, directory = scanned_copy.batch, scanned_copy.store.directory
    record = next(record for record in batch.records(kind="ast") if record["path"] == "pkg/cart.py")
    document = directory.batches.load(batch.id)
    directory.batches.save_document(batch.id, {**document, "result": None})
    (path,) = scanned_copy.path.glob(f"objects/*/*/*/{str(record['object'])[len('sha256:') :]}*")
    path.chmod(0o644)
    path.write_bytes(b"{}")
    report = batch.run("sync")
    assert (report.status, report.result) == ("done", scanned_copy.report.result)
    assert scanned_copy.store.verify(read_data=True).problems == ()
