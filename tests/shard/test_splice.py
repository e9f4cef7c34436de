"""Outputs cut out of an earlier batch: the same bytes, states and counts as from scratch."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import write_tree

import codebatch
from codebatch.model.records import ShardState
from codebatch.tasks import registry

FILES = 160
TASKS = 4


def source(number: int, edition: int = 0) -> str:
    """A small module with a finding; every fifth one is equal to its neighbour."""
    name = number - 1 if number % 5 == 4 else number
    return f"import os\n\n\ndef f{name}(a):\n    return a + {edition}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    names = {f"p{n % 7}/m{n}.py": source(n) for n in range(FILES)}
    return write_tree(tmp_path / "tree", {**names, "notes.txt": "words \n", "empty.py": ""})


@pytest.fixture
def store(tmp_path: Path) -> codebatch.Store:
    return codebatch.open_store(tmp_path / "store", create=True)


def run(store: codebatch.Store, tree: Path) -> codebatch.RunReport:
    report = store.batch(store.snapshot(tree), "full", shards=16).run("sync")
    assert report.status == "done"
    return report


def forget(store: codebatch.Store) -> None:
    """Leave nothing to a run but the other batches."""
    shutil.rmtree(store.path / "indexes")


def states(store: codebatch.Store, batch_id: str) -> dict[tuple[str, str], ShardState | None]:
    """The states without what tells one run from another, and where the lines come from."""
    fixed = {"attempt": "", "started": "", "finished": "", "origins": "", "linked": None}
    return {
        (task_id, shard_id): state and replace(state, computed=0, reused=0, **fixed)
        for task_id, shards in store.find_batch(batch_id).load_status().states.items()
        for shard_id, state in shards.items()
    }


def check_equals_scratch(store: codebatch.Store, tree: Path, report: codebatch.RunReport) -> None:
    scratch = codebatch.open_store(store.path.with_name(f"scratch-{report.batch_id}"), create=True)
    expected = run(scratch, tree)
    assert (report.batch_id, report.result) == (expected.batch_id, expected.result)
    assert states(store, report.batch_id) == states(scratch, report.batch_id)


def edit(tree: Path, numbers: list[int], edition: int) -> None:
    write_tree(tree, {f"p{n % 7}/m{n}.py": source(n, edition) for n in numbers})


def test_edits_compute_what_was_edited_and_cut_out_the_rest(
    tree: Path, store: codebatch.Store
) -> None:
    run(store, tree)
    edit(tree, [0, 50, 100], 1)
    forget(store)
    forecast = store.forecast(store.snapshot(tree), "full")
    report = run(store, tree)
    assert report.files["computed"] == 3 * TASKS
    assert sum(task.compute for task in forecast.tasks) == 3 * TASKS
    check_equals_scratch(store, tree, report)
    batch = store.find_batch(report.batch_id)
    assert batch.recheck(100, "sync").differ == ()
    assert batch.explain("lint", "p1/m1.py")["origin"] in ("remembered", "linked")
    assert batch.explain("lint", "p0/m0.py")["origin"] == "computed"


def test_any_change_of_a_tree_gives_what_a_new_store_gives(
    tree: Path, store: codebatch.Store
) -> None:
    choice = random.Random(7)
    run(store, tree)
    for edition in (1, 2):
        paths = sorted(tree.rglob("*.py"))
        edit(tree, choice.sample(range(FILES), 4), edition)
        choice.choice(paths).unlink()
        moved = choice.choice([path for path in paths if path.exists()])
        moved.rename(moved.with_name(f"moved{edition}.py"))
        shutil.copy(choice.choice(sorted(tree.rglob("m*.py"))), tree / f"copy{edition}.py")
        if edition % 2:
            forget(store)
        check_equals_scratch(store, tree, run(store, tree))


def test_equal_files_are_computed_once_though_one_is_new(
    tree: Path, store: codebatch.Store
) -> None:
    run(store, tree)
    write_tree(tree, {"new.py": source(4)})  # equal to two that are there
    forget(store)
    report = run(store, tree)
    assert report.files["computed"] == TASKS
    check_equals_scratch(store, tree, report)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["outputs.index.jsonl.zst", "state.json", "inputs.index.jsonl"])
def test_a_damaged_batch_is_left_alone(damage: str, tree: Path, store: codebatch.Store) -> None:
    first = run(store, tree)
    for path in (store.path / "batches" / first.batch_id).rglob(damage):
        path.write_bytes(path.read_bytes()[:-2] + b"x\n")
    edit(tree, [10], 1)
    check_equals_scratch(store, tree, run(store, tree))


def test_what_a_task_failed_on_is_tried_again(
    tree: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = registry.find_task("symbols")

    def fail(source: object, context: object) -> list[dict[str, object]]:
        raise RuntimeError("not today")

    with monkeypatch.context() as patch:
        patch.setitem(registry.LOADED, "symbols", replace(original, function=fail))
        broken = run(store, tree)
    edit(tree, [10], 1)
    forget(store)
    report = run(store, tree)
    assert report.result != broken.result
    check_equals_scratch(store, tree, report)
