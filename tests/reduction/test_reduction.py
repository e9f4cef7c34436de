"""Batch tasks: one result wherever and however they run, values shared, failures that are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from census import broken, census, impure, words

import codebatch


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
    # Of the old content and the new one the leaf, what is above it, the root and the end.
    assert 3 <= second.nodes["computed"] <= 8
    assert second.nodes["reused"] > 20
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
    assert batch.explain("census", str(finding["path"]))["origin"] == "computed"
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
