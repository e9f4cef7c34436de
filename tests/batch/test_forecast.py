"""`plan` foretells what a run does, `explain` tells what it did; neither writes anything."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TREE, Outcome, Scanned, write_tree

import codebatch
from codebatch.model.errors import FileNotInBatchError, TaskNotFoundError
from codebatch.model.resources import load_graph

FILES = len(TREE) + 1


def forecast(store: codebatch.Store, pipeline: Any = "full", **options: Any) -> dict[str, Any]:
    found = store.forecast("latest", pipeline, **options)
    return {task.task_id: (task.compute, task.reuse, dict(task.reasons)) for task in found.tasks}


def lint_config(**config: object) -> dict[str, Any]:
    document = load_graph("full")
    document["tasks"][3]["config"] = config
    return document


def test_first_run(tree: Path, store: codebatch.Store) -> None:
    store.snapshot(tree)
    found = forecast(store)
    assert found["parse"] == (FILES - 1, 1, {"first": FILES - 1})
    assert not list((store.path / "batches").glob("*"))
    report = store.batch("latest").run("sync")
    assert report.files["computed"] == sum(compute for compute, _, _ in found.values())


def test_equal_files_are_counted_once_for_each_language(
    store: codebatch.Store, tmp_path: Path
) -> None:
    """Also where files in another language stand between them."""
    names = ("a.py", "b.txt", "c.py", "d.js", "e.txt", "f.py")
    store.snapshot(write_tree(tmp_path / "tree", dict.fromkeys(names, "")))
    assert forecast(store)["analyze"] == (3, 3, {"first": 3})
    report = store.batch("latest").run("sync")
    assert report.files == {"computed": 12, "reused": 12, "quarantined": 0}


def test_nothing_to_do(scanned: Scanned) -> None:
    assert set(forecast(scanned.store)) == {"parse", "analyze", "symbols", "lint"}
    assert all(found == (0, FILES, {}) for found in forecast(scanned.store).values())


def test_content(scanned_copy: Scanned, tmp_path: Path) -> None:
    tree = tmp_path / "changed"
    shutil.copytree(scanned_copy.tree, tree, symlinks=True)
    write_tree(tree, {"pkg/cart.py": "import os\n"})
    store = scanned_copy.store
    store.snapshot(tree)
    found = forecast(store)
    assert found["parse"] == (1, FILES - 1, {"content": 1})
    assert found["lint"] == (1, FILES - 1, {"content": 1})
    assert store.forecast("latest").against == scanned_copy.batch.id
    report = store.batch("latest").run("sync")
    assert report.files["computed"] == sum(compute for compute, _, _ in found.values())


def test_config(scanned: Scanned) -> None:
    found = forecast(scanned.store, lint_config(max_line_length=40))
    assert found["parse"] == (0, FILES, {})
    computed, reused, reasons = found["lint"]
    assert computed + reused == FILES
    assert reasons == {"config": computed}


def test_upstream(scanned: Scanned) -> None:
    document = load_graph("full")
    document["tasks"][0]["config"] = {"max_bytes": 1000}
    found = forecast(scanned.store, document)
    assert set(found["parse"][2]) == {"config"}
    assert set(found["symbols"][2]) == {"upstream"}


def test_toolchain_and_version(scanned: Scanned, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses  # noqa: PLC0415 - for this one place

    from codebatch.tasks import registry  # noqa: PLC0415 - to be patched

    lint, symbols = registry.find_task("lint"), registry.find_task("symbols")
    versions = {**lint.toolchain(), "ruff": "99"}
    changed = {
        "lint": dataclasses.replace(lint, toolchain=lambda: versions),
        "symbols": dataclasses.replace(symbols, version=99),
    }
    monkeypatch.setattr(registry, "LOADED", {**registry.LOADED, **changed})
    found = forecast(scanned.store)
    assert set(found["lint"][2]) == {"toolchain"}
    assert set(found["symbols"][2]) == {"version"}
    assert found["analyze"] == (0, FILES, {})


def test_forgotten(scanned_copy: Scanned) -> None:
    shutil.rmtree(scanned_copy.path / "indexes")
    for state in scanned_copy.path.rglob("lint/shards/*/state.json"):
        state.unlink()
    # The batch itself is what is looked at, so there is no earlier one to compare with.
    found = forecast(scanned_copy.store)
    assert found["parse"] == (0, FILES, {})
    assert set(found["lint"][2]) == {"first"}
    for state in scanned_copy.path.rglob("state.json"):
        state.unlink()
    document = {**load_graph("full"), "description": "the same under another id"}
    found = forecast(scanned_copy.store, document)
    assert (set(found["parse"][2]), set(found["lint"][2])) == ({"forgotten"}, {"upstream"})


def test_plan_command(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    done = main("plan", "--store", scanned.path, "--json")
    document = json.loads(done.stdout)
    assert document["batch_id"] == scanned.batch.id
    parse = {"task_id": "parse", "compute": 0, "reuse": FILES, "reasons": {}, "unit": "files"}
    assert document["tasks"][0] == parse
    shown = main("plan", "--batch", "latest", "--store", scanned.path)
    head = [line.split() for line in shown.out.splitlines()]
    assert ["task", "compute", "reuse", "because", "of"] in head
    both = main("plan", "--batch", "latest", "--snapshot", "latest", "--store", scanned.path)
    assert both.code == 2


# -- explain -------------------------------------------------------------------------------------


def test_explain_computed(scanned: Scanned) -> None:
    document = scanned.batch.explain("lint", "pkg/cart.py")
    assert (document["origin"], document["status"]) == ("computed", "done")
    assert document["object"] == scanned.batch.inspect("pkg/cart.py")["object"]
    preimage = str(document["preimage"])
    assert document["key"] == "sha256:" + hashlib.sha256(preimage.encode()).hexdigest()
    lines = preimage.splitlines()
    assert f"task {document['fingerprint']}" in lines
    assert f"object {document['object']}" in lines
    assert "facet module_role module" in lines
    assert f"upstream parse {document['upstream']['parse']}" in lines  # type: ignore[index]


def test_explain_equal(scanned: Scanned) -> None:
    one = scanned.batch.explain("parse", "pkg/copy_a.py")
    other = scanned.batch.explain("parse", "pkg/copy_b.py")
    assert (one["origin"], other["origin"]) == ("computed", "equal")
    assert other["source"] == {"path": "pkg/copy_a.py"}
    assert one["key"] == other["key"]


def test_explain_remembered_and_linked(scanned_copy: Scanned, tmp_path: Path) -> None:
    store = scanned_copy.store
    tree = tmp_path / "changed"
    shutil.copytree(scanned_copy.tree, tree, symlinks=True)
    write_tree(tree, {"pkg/cart.py": "import os\n"})
    batch = store.batch(store.snapshot(tree))
    batch.run("sync")
    origins = {path: batch.explain("analyze", path) for path in (*TREE, "link.py")}
    assert origins["pkg/cart.py"]["origin"] == "computed"
    assert {str(one["origin"]) for one in origins.values()} >= {"computed", "linked"}
    for one in origins.values():
        if one["origin"] in ("linked", "remembered"):
            assert one["source"] == {"batch_id": scanned_copy.batch.id}
    config = lint_config(max_line_length=40)
    shutil.rmtree(store.path / "batches")
    again = store.batch(store.snapshot(tree), config)
    again.run("sync")
    remembered = again.explain("analyze", "pkg/cart.py")
    assert (remembered["origin"], remembered["source"]) == ("remembered", {"batch_id": batch.id})


def test_explain_pending(tree: Path, store: codebatch.Store) -> None:
    batch = store.batch(store.snapshot(tree))
    first, second = batch.explain("parse", "pkg/cart.py"), batch.explain("lint", "pkg/cart.py")
    assert (first["status"], first["origin"]) == ("pending", None)
    assert first["key"] is not None
    assert (second["key"], second["upstream"]) == (None, {"parse": None})


def test_explain_what_is_not_there(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    with pytest.raises(FileNotInBatchError):
        scanned.batch.explain("lint", "pkg/none.py")
    with pytest.raises(TaskNotFoundError):
        scanned.batch.explain("none", "pkg/cart.py")
    for words in ((), ("--task", "lint"), ("--file", "x"), ("run", "--task", "lint")):
        done = main("explain", *words, "--store", scanned.path)
        assert done.code == 2


def test_explain_command_for_a_result(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    words = ("explain", "--task", "lint", "--file", "pkg/cart.py", "--store", scanned.path)
    document = json.loads(main(*words, "--json").stdout)
    assert document["task_id"] == "lint"
    shown = main(*words).out
    assert str(document["key"]) in shown
    assert "computed by this batch" in shown


def test_neither_writes(scanned: Scanned, main: Callable[..., Outcome]) -> None:
    def listing() -> dict[Path, int]:
        files = (path for path in scanned.path.rglob("*") if path.is_file())
        return {path: path.stat().st_mtime_ns for path in files}

    before = listing()
    main("plan", "--store", scanned.path)
    main("explain", "--task", "lint", "--file", "pkg/cart.py", "--store", scanned.path)
    assert listing() == before
