"""The Python face: what the shell can do, in a script, and as a Dask collection."""

from __future__ import annotations

import inspect
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import pytest
from conftest import Scanned
from dask.base import is_dask_collection, tokenize

import codebatch

SCRIPT = """
import sys
import codebatch

print("top of the script")
batch, report = codebatch.scan(sys.argv[1], sys.argv[2], scheduler="processes", workers=2)
print(report.status)
"""


@pytest.fixture
def batch(tree: Path, store: codebatch.Store) -> codebatch.Batch:
    return store.batch(store.snapshot(tree))


def test_a_script_without_a_main_guard_runs_in_processes(tree: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tree), str(tmp_path / "new store")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["top of the script", "done"]


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_dask_computes_a_batch(batch: codebatch.Batch, scheduler: str) -> None:
    (report,) = dask.compute(batch, scheduler=scheduler)
    assert report.status == "done"
    assert report.result == batch.summary()["result"]
    assert report.files["computed"] > 0


def late(graph: Any, keys: Any, **_: Any) -> Any:
    """A scheduler that waits a second before it begins."""
    time.sleep(1)
    return dask.get(graph, keys)


def test_the_time_of_a_computation_is_that_of_all_of_it(batch: codebatch.Batch) -> None:
    began = time.monotonic()
    (report,) = dask.compute(batch, scheduler=late)
    assert 1 <= report.seconds <= time.monotonic() - began + 0.1


def test_the_time_of_what_was_persisted_is_without_what_passed_then(batch: codebatch.Batch) -> None:
    began = time.monotonic()
    persisted = batch.persist(scheduler=late)
    passed = time.monotonic() - began
    time.sleep(0.5)
    began = time.monotonic()
    report = persisted.compute(scheduler="sync")
    assert 1 <= report.seconds <= passed + time.monotonic() - began + 0.1


def test_a_batch_is_a_dask_collection_with_a_stable_token(batch: codebatch.Batch) -> None:
    assert is_dask_collection(batch)
    assert tokenize(batch) == tokenize(codebatch.open_store(batch.path).find_batch(batch.id))


def test_a_batch_that_is_done_has_nothing_to_compute(batch: codebatch.Batch) -> None:
    batch.run("sync")
    assert codebatch.open_store(batch.path).find_batch(batch.id).__dask_keys__() == []
    (report,) = dask.compute(codebatch.open_store(batch.path).find_batch(batch.id))
    assert report.files["computed"] == 0


def test_records_are_those_of_the_command_line(batch: codebatch.Batch) -> None:
    batch.run("sync")
    codes = [record["code"] for record in batch.sorted_records(kind="diagnostic")]
    assert codes.count("E0001") == batch.summary()["diagnostics"]["by_code"]["E0001"]  # type: ignore[index,call-overload]


def test_a_user_s_mistake_is_one_exception_type(store: codebatch.Store) -> None:
    with pytest.raises(codebatch.CodeBatchError, match="no batch nope"):
        store.find_batch("nope")


def test_a_store_survives_a_change_of_folder(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = codebatch.open_store("relative", create=True)
    batch = store.batch(store.snapshot(tree))
    batch.run("sync")
    monkeypatch.chdir("/")
    assert batch.summary()["status"] == "done"


def test_scan_uses_the_store_of_the_environment(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODEBATCH_STORE", str(tmp_path / "named"))
    batch, _ = codebatch.scan(tree, scheduler="sync")
    assert batch.path == tmp_path / "named"
    assert not (tmp_path / ".codebatch").exists()


def test_an_argument_that_a_run_does_not_have_is_refused(scanned: Scanned) -> None:
    wrong: Any = {"file_timeouts": 1}
    with pytest.raises(TypeError, match="file_timeouts"):
        scanned.batch.run("sync", **wrong)
    with pytest.raises(TypeError, match="file_timeouts"):
        scanned.batch.recheck(scheduler="sync", **wrong)


@pytest.mark.parametrize("method", [codebatch.Batch.run, codebatch.Batch.recheck])
def test_the_arguments_of_a_run_are_shown_by_name(method: Callable[..., Any]) -> None:
    """As notebooks complete them and `help` lists them."""
    parameters = inspect.signature(method).parameters
    assert not [one for one in parameters.values() if one.kind is one.VAR_KEYWORD]
    assert {"scheduler", "workers", "client", "memory_limit", "transport"} <= set(parameters)
    assert parameters["workers"].default is None
