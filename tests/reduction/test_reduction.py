"""Batch tasks: one result wherever and however they run, values shared, failures that are named."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from census import broken, census, impure, unmade, words

import codebatch
from codebatch.model.records import Plan
from codebatch.reduction import values
from codebatch.reduction.scatter import is_packed
from codebatch.store.files import write_file
from codebatch.store.indexes.partials import Partial, PartialStore, load_pack


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A tree with so many files that most nodes have several children."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(40):
        (folder / f"f{number}.py").write_text(f"x = {number}\n" * (number % 7 + 1))
    return folder


def prepared(
    store: codebatch.Store, folder: Path, *tasks: codebatch.Task, shards: int = 16
) -> codebatch.Batch:
    """Return a batch of these tasks over a folder as it is now."""
    return store.batch(store.snapshot(folder), pipeline=[words, *tasks], shards=shards)


def configured(
    store: codebatch.Store, folder: Path, task: codebatch.Task, **config: str
) -> codebatch.Batch:
    """Return a batch of one task over a folder, with settings."""
    prepared(store, folder, task)  # from here on, a document can name it
    tasks = [
        {"id": "words", "task": "words"},
        {"id": task.name, "task": task.name, "needs": ["words"], "config": config},
    ]
    document = {"name": task.name, "tasks": tasks}
    return store.batch(store.snapshot(folder), pipeline=document, shards=16)


def test_one_result_whatever_runs_it_and_however_it_is_cut(many: Path, tmp_path: Path) -> None:
    results = set()
    for scheduler, shards in [
        *(("sync", 16), ("sync", 256), ("sync", 4096)),
        *(("threads", 16), ("threads", 4096), ("processes", 16), ("processes", 256)),
    ]:
        store = codebatch.open_store(tmp_path / f"{scheduler}{shards}", create=True)
        report = prepared(store, many, census, shards=shards).run(scheduler=scheduler)
        assert report.status == "done", report.errors
        assert report.files == {"computed": 40, "reused": 0, "quarantined": 0}
        results.add((report.result, report.nodes["computed"]))
    assert len(results) == 1


def test_what_did_not_change_is_not_mapped_again(many: Path, store: codebatch.Store) -> None:
    first = prepared(store, many, census).run(scheduler="sync")
    assert first.nodes["reused"] == 0
    (many / "f1.py").write_text("y = 1\n")
    batch = prepared(store, many, census)
    foretold = next(task for task in batch.forecast().tasks if task.task_id == "census")
    second = batch.run(scheduler="sync")
    assert foretold.unit == "nodes"
    assert second.nodes == {"computed": foretold.compute, "reused": foretold.reuse}
    assert set(foretold.reasons) == {"upstream"}
    assert second.nodes["computed"] == len(anew(many, b"x = 1\nx = 1\n", b"y = 1\n"))
    assert second.nodes["reused"] > 40
    (many / "f1.py").write_text("x = 1\nx = 1\n")
    third = prepared(store, many, census).run(scheduler="sync")
    assert (third.nodes["computed"], third.result) == (0, first.result)


def test_records_are_those_of_any_task(many: Path, store: codebatch.Store) -> None:
    batch = prepared(store, many, census)
    report = batch.run(scheduler="sync")
    places = [record for record in batch.outputs() if record["kind"] == "place"]
    assert sorted(record["number"] for record in places) == [*range(40)]
    (finding,) = (record for record in batch.outputs() if record["kind"] == "diagnostic")
    assert finding["task_id"] == "census"
    assert len(finding["fingerprint"]) == 16
    assert store.verify().ok
    assert batch.status()["status"] == "done"
    explained = batch.explain("census", str(finding["path"]))
    assert (explained["origin"], [*explained["upstream"]]) == ("computed", ["words"])
    text = str(explained["preimage"]).encode()
    assert explained["key"] == f"sha256:{hashlib.sha256(text).hexdigest()}"
    again = batch.run(scheduler="sync")
    assert (again.status, again.result) == ("done", report.result)
    assert again.nodes["computed"] == 0


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("map", "task broken failed in map at prefix"),
        ("combine", "task broken failed in combine"),
        ("finish", "task broken failed in finish: ValueError: no finish today"),
        ("path", "names 'no/such/file.py', no file of the snapshot"),
    ],
)
def test_a_failure_is_named(step: str, said: str, many: Path, store: codebatch.Store) -> None:
    batch = configured(store, many, broken, step=step)
    report = batch.run(scheduler="sync")
    assert report.status == "failed"
    assert {str(error["code"]) for error in report.errors} == {"E0002"}
    assert said in str(report.errors[0]["message"])
    assert len(list(batch.outputs(kind="metric"))) == 40
    assert batch.run(scheduler="sync").status == "failed"


@pytest.mark.parametrize(
    ("step", "how", "name", "scheduler"),
    [
        ("map", "cancel", "CancelledError", "sync"),
        ("combine", "close", "GeneratorExit", "threads"),
        ("finish", "own", "OwnExit", "sync"),
        ("finish", "exit", "SystemExit", "threads"),
        ("map", "own", "OwnExit", "processes"),
    ],
)
def test_what_is_no_exception_is_a_failure_as_well(
    step: str, how: str, name: str, scheduler: str, many: Path, store: codebatch.Store
) -> None:
    batch = configured(store, many, broken, step=step, how=how)
    report = batch.run(scheduler=scheduler)
    assert report.status == "failed"
    assert {str(error["code"]) for error in report.errors} == {"E0002"}
    assert f"failed in {step}" in str(report.errors[0]["message"])
    assert f"{name}: no {step} today" in str(report.errors[0]["message"])
    assert len(list(batch.outputs(kind="metric"))) == 40


def test_a_task_that_cannot_be_made_is_a_failure(many: Path, store: codebatch.Store) -> None:
    report = prepared(store, many, unmade).run(scheduler="sync")
    assert report.status == "failed"
    assert "task unmade failed in map" in str(report.errors[0]["message"])
    assert "OwnExit: not made" in str(report.errors[0]["message"])


@pytest.mark.slow
@pytest.mark.parametrize(("step", "scheduler"), [("map", "sync"), ("finish", "processes")])
def test_a_task_that_reads_the_clock_is_caught(
    step: str, scheduler: str, many: Path, store: codebatch.Store
) -> None:
    batch = configured(store, many, impure, step=step)
    result = batch.run(scheduler=scheduler).result
    report = batch.recheck(scheduler=scheduler)
    assert [one["task_id"] for one in report.differ] == ["impure"]
    assert report.checked == 80
    replaced = batch.recheck(scheduler=scheduler, replace=True)
    assert replaced.replaced
    assert batch.status()["status"] == "done"
    assert batch.summary()["result"] != result
    assert store.verify().ok


def test_a_pure_task_gives_the_same_again(
    many: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    batch = prepared(store, many, census)
    batch.run(scheduler="sync")
    report = batch.recheck(scheduler="threads")
    assert (report.checked, report.differ) == (80, ())
    assert len(list((tmp_path / "store/indexes/partials").iterdir())) == 1  # the others are gone


@pytest.mark.parametrize(
    ("step", "how", "code"),
    [("map", "crash", "E0003"), ("combine", "hang", "E0004"), ("finish", "crash", "E0003")],
)
def test_what_ends_a_process_fails_the_task_alone(
    step: str, how: str, code: str, many: Path, store: codebatch.Store
) -> None:
    batch = configured(store, many, broken, step=step, how=how)
    report = batch.run(scheduler="processes", file_timeout=1)
    assert report.status == "failed"
    assert {error["code"] for error in report.errors} == {code}
    assert {error["step"] for error in report.errors} <= {"map", step}  # as far as is known
    assert len(list(batch.outputs(kind="metric"))) == 40
    assert [task["status"] for task in batch.tasks()] == ["done", "failed"]


def test_a_task_that_ended_a_run_is_tried_in_a_child(many: Path, tmp_path: Path) -> None:
    """The first run ends with it, the next one does not."""
    store = codebatch.open_store(tmp_path / "store", create=True)
    batch = configured(store, many, broken, step="finish", how="crash")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import census, codebatch;"
        "store = codebatch.open_store(sys.argv[2]);"
        "tasks = [census.words, census.broken];"
        "store.find_batch(sys.argv[3]).run(scheduler='sync', tasks=tasks)"
    )
    arguments = [str(Path(__file__).parent), str(tmp_path / "store"), batch.id]
    done = subprocess.run([sys.executable, "-c", script, *arguments], check=False)
    assert done.returncode == 3  # that of the task
    report = batch.run(scheduler="sync")
    assert {error["code"] for error in report.errors} == {"E0003"}


def test_damaged_values_are_computed_again(
    many: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    batch = prepared(store, many, census)
    result = batch.run(scheduler="sync").result
    kept = sorted(path for path in (tmp_path / "store/indexes/partials").rglob("*.part*"))
    for number, path in enumerate(kept):
        data = bytearray(path.read_bytes())
        data[number % len(data)] ^= 1
        path.write_bytes(bytes(data))
    problems = store.verify().problems
    assert {problem.code for problem in problems} == {"INDEX_DAMAGED"}
    assert len(problems) == len(kept)
    for state in states_of(store, batch):
        state.unlink()
    report = batch.run(scheduler="sync")
    assert (report.result, report.nodes["reused"]) == (result, 0)
    assert store.verify().ok


POISON = {"no MessagePack": b"\xc1", "nothing": b"", "a key that is a list": b"\x81\x90\x01"}


@pytest.mark.parametrize("name", POISON)
def test_values_that_are_none_are_computed_again(
    name: str, many: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    """Their digests are right: whoever can write to a store can seal anything."""
    batch = prepared(store, many, census)
    result = batch.run(scheduler="sync").result
    kept = PartialStore(store.directory.layout, plan_of(batch).task("census").fingerprint)
    folder = tmp_path / "store/indexes/partials"
    above, packs = list(folder.rglob("*.part")), list(folder.rglob("*.parts"))
    assert above
    assert packs
    for path in above:
        kept.save({f"sha256:{path.stem}": Partial(1, POISON[name])})
    for path in packs:
        entries = load_pack(store.directory.layout.door, path)
        path.unlink()
        prefix = "".join(path.parent.parts[path.parts.index("packs") + 1 :])
        kept.add_pack(prefix, {key: Partial(1, POISON[name]) for key in entries})
    problems = store.verify().problems
    assert {problem.code for problem in problems} == {"INDEX_DAMAGED"}
    assert len(problems) == len(above) + len(packs)
    for state in states_of(store, batch):
        state.unlink()
    foretold = next(task for task in batch.forecast().tasks if task.task_id == "census")
    report = batch.run(scheduler="sync")
    assert (report.status, report.result, report.nodes["reused"]) == ("done", result, 0)
    assert (foretold.compute, foretold.reuse) == (report.nodes["computed"], 0)


def test_records_that_are_none_are_computed_again(many: Path, store: codebatch.Store) -> None:
    """Of what the task finished with, the bytes of one file are no MessagePack."""
    batch = prepared(store, many, census)
    result = batch.run(scheduler="sync").result
    kept = PartialStore(store.directory.layout, plan_of(batch).task("census").fingerprint)
    folder = store.directory.layout.partials
    keys = [f"sha256:{path.stem}" for path in folder.rglob("*.part")]
    (last,) = (key for key in keys if is_packed((kept.load(key) or Partial(1)).value))
    kept.save({last: Partial(1, values.pack([["f1.py", b"\xc1"]]))})
    for state in states_of(store, batch):
        state.unlink()
    report = batch.run(scheduler="sync")
    assert (report.status, report.result, report.nodes["computed"]) == ("done", result, 1)


@pytest.mark.parametrize(
    "step", [0, 7, *(pytest.param(step, marks=pytest.mark.slow) for step in range(1, 7))]
)
def test_a_run_goes_on_where_another_was_cut(
    step: int, many: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run ends before its n-th write of a value or of a state of the task."""
    batch = prepared(store, many, census, shards=16)
    batch.run(scheduler="sync")
    result = batch.summary()["result"]
    for state in states_of(store, batch):
        state.unlink()
    PartialStore(store.directory.layout, plan_of(batch).task("census").fingerprint).forget()
    left = 5 * step

    def write(door: Any, path: Path, data: bytes, **options: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        write_file(door, path, data, **options)

    with monkeypatch.context() as patch:
        patch.setattr("codebatch.store.indexes.partials.write_file", write)
        patch.setattr("codebatch.store.shards.write_file", write)
        with pytest.raises(codebatch.RunInterrupted):
            batch.run(scheduler="sync")
    report = batch.run(scheduler="sync")
    assert (report.status, report.result) == ("done", result)
    assert step == 0 or report.nodes["reused"] > 0
    assert store.verify().ok


def test_two_runs_share_the_work(many: Path, store: codebatch.Store) -> None:
    batch = prepared(store, many, census)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(batch.run, scheduler="threads") for _ in range(2)]
        reports = [run.result() for run in runs]
    assert {report.status for report in reports} == {"done"}
    total = reports[0].nodes["computed"] + reports[0].nodes["reused"]
    assert sum(report.nodes["computed"] for report in reports) == total


def test_values_are_shared_by_batches_of_other_widths(many: Path, store: codebatch.Store) -> None:
    prepared(store, many, census, shards=16).run(scheduler="sync")
    old = (many / "f2.py").read_bytes()
    (many / "f2.py").write_text("new = 2\n")
    report = prepared(store, many, census, shards=4096).run(scheduler="sync")
    assert report.nodes["computed"] == len(anew(many, old, b"new = 2\n"))


def test_gc_removes_values_of_tasks_that_no_batch_has(
    many: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    batch = prepared(store, many, census)
    batch.run(scheduler="sync")
    kept = len(list((tmp_path / "store/indexes/partials").rglob("*.part*")))
    assert store.gc().removed["partials"] == 0
    assert {kind.kind for kind in store.stats().kinds} > {"partials"}
    store.remove_batch(batch.id)
    assert store.gc().removed["partials"] == kept


def anew(folder: Path, *contents: bytes) -> set[str]:
    """Return the nodes, by prefix, that follow from files with these contents: leaves, those above
    that have several children, and the end.
    """
    leaves = {hashlib.sha256(path.read_bytes()).hexdigest()[:3] for path in folder.iterdir()}
    prefixes = {leaf[:digits] for leaf in leaves for digits in range(3)}
    below = {p: {leaf[: len(p) + 1] for leaf in leaves if leaf.startswith(p)} for p in prefixes}
    nodes = leaves | {prefix for prefix, children in below.items() if len(children) > 1}
    touched = {hashlib.sha256(content).hexdigest()[:3] for content in contents}
    on_the_way = {leaf[:digits] for leaf in touched for digits in range(4)}
    return (nodes & on_the_way) | {"end"}


def plan_of(batch: codebatch.Batch) -> Plan:
    """Return the plan of a batch."""
    return batch.load_status().plan


def states_of(store: codebatch.Store, batch: codebatch.Batch) -> list[Path]:
    """Return the paths of the states of the batch task."""
    folder = store.directory.layout.batches / batch.id
    found = list(folder.glob("tasks/census/shards/*/state.json"))
    assert found
    return found
