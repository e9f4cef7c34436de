"""Reading a batch that is not done, and Ctrl-C in a program that runs batches."""

from __future__ import annotations

import io
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TREE, Interrupt, Scanned, write_tree

import codebatch
from codebatch.model.errors import BatchUnfinishedError

View = Callable[[codebatch.Batch], object]
READERS: dict[str, View] = {
    "records": lambda batch: list(batch.records()),
    "outputs": lambda batch: batch.outputs().to_list(),
    "sorted_records": lambda batch: batch.sorted_records().to_list(),
    "files": lambda batch: batch.files(),
    "skipped": lambda batch: batch.skipped(),
    "stats": lambda batch: batch.stats(),
    "top": lambda batch: batch.top(),
    "sql": lambda batch: batch.sql("SELECT 1"),
    "sql_schema": lambda batch: batch.sql_schema(),
    "export": lambda batch: batch.export("jsonl", io.BytesIO()),
    "check_outputs": lambda batch: batch.check_outputs(),
    "report": lambda batch: batch.report(io.BytesIO()),
}
# What tells by itself how far the batch is, is about its inputs alone, or runs it.
OTHERS = {
    *(
        "apply",
        "compute",
        "dask",
        "explain",
        "forecast",
        "load_readable",
        "load_status",
        "persist",
        "path",
    ),
    *(
        "annotated",
        "give_tasks",
        "import_sarif",
        "inspect",
        "lines",
        "recheck",
        "run",
        "run_async",
        "source",
    ),
    *("shards", "status", "submit", "summary", "take_graph", "tasks", "to_bag", "tree"),
    *("asking", "source_folder", "to_dask_dataframe", "value", "visualize", "write_baseline"),
}
LOOP = """
import sys
import codebatch

store = codebatch.open_store(sys.argv[1])
for pipeline in ("full", "parse", "analyze"):
    print(pipeline, flush=True)
    batch = store.batch("latest", pipeline, shards=256)
    batch.run(sys.argv[2], workers=2, progress=lambda _: print("shard", flush=True))
"""


@pytest.fixture
def partial(scanned_copy: Scanned) -> codebatch.Batch:
    next(scanned_copy.path.glob("batches/*/tasks/lint/shards/*/state.json")).unlink()
    return scanned_copy.batch


def test_every_reader_of_records_is_known() -> None:
    public = {name for name in dir(codebatch.Batch) if not name.startswith("_")}
    assert public - OTHERS == READERS.keys()


@pytest.mark.parametrize("name", READERS)
def test_reading_what_was_never_run_is_an_error(
    name: str, store: codebatch.Store, tmp_path: Path
) -> None:
    batch = store.batch(store.snapshot(write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})))
    with pytest.raises(BatchUnfinishedError) as raised:
        READERS[name](batch)
    assert "in Python: batch.run()" in raised.value.hints


@pytest.mark.parametrize("name", READERS)
def test_reading_what_is_not_done_warns_where_it_is_read(
    name: str, partial: codebatch.Batch
) -> None:
    with pytest.warns(codebatch.UnfinishedBatchWarning) as told:
        READERS[name](partial)
    assert {(Path(warning.filename).name, len(told)) for warning in told} == {
        (Path(__file__).name, 1)
    }


def test_streams_of_what_was_never_run_are_the_same_error(
    store: codebatch.Store, tmp_path: Path
) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    pytest.importorskip("duckdb", reason="the extra sql is not installed")
    batch = store.batch(store.snapshot(write_tree(tmp_path / "tree", {"a.py": "x = 1\n"})))
    found = batch.records()
    for read in (found.record_batches, found.to_duckdb, lambda: arrow.table(found)):
        with pytest.raises(BatchUnfinishedError):
            read()
    with pytest.raises(BatchUnfinishedError):
        arrow.table(batch.sorted_records())


def test_a_stream_of_what_is_not_done_warns_where_it_is_read(partial: codebatch.Batch) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    found = partial.records()
    with pytest.warns(codebatch.UnfinishedBatchWarning) as told:
        arrow.table(found)
    assert [Path(warning.filename).name for warning in told] == [Path(__file__).name]


def test_the_page_about_a_file_tells_where_its_shard_is_not_done(
    partial: codebatch.Batch,
) -> None:
    missing = next(row["shard_id"] for row in partial.shards("lint") if row["status"] != "done")
    told: list[str] = []
    partial.on_unfinished = told.append
    found = [(path, partial.inspect(path)["shard_id"]) for path in TREE]
    assert len(told) == [shard for _, shard in found].count(missing) > 0


def test_an_interrupted_run_raises_with_its_report(
    store: codebatch.Store, library: Path, interrupt: Interrupt
) -> None:
    batch = store.batch(store.snapshot(library), "parse", shards=16)
    with pytest.raises(KeyboardInterrupt) as raised:
        batch.run("threads", progress=lambda _: interrupt())
    assert isinstance(raised.value, codebatch.RunInterrupted)
    report = pickle.loads(pickle.dumps(raised.value)).report
    assert (report.batch_id, report.status) == (batch.id, "interrupted")
    assert batch.status()["shards"]["done"] == report.shards["done"]  # type: ignore[index]
    assert f"of {report.shards['total']} shards are done" in str(raised.value)
    assert batch.run("threads").status == "done"


@pytest.mark.parametrize("scheduler", ["sync", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_loop_over_batches_ends_at_an_interrupt(
    scheduler: str, library: Path, store: codebatch.Store
) -> None:
    store.snapshot(library)
    command = [sys.executable, "-c", LOOP, str(store.path), scheduler]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert b"RunInterrupted: batch-" in err
    assert b"analyze" not in b"".join(lines) + out
    assert process.returncode == 1
