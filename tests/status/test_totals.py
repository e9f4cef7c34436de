"""Kept totals: they answer for the states, and never once a file is not what it was."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, write_tree

import codebatch
from codebatch.store.shards import Shards

Main = Callable[..., Outcome]
VIEWS = ("status", "summary", "tasks", "batches", "top --by code")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    """A batch with so many states that totals are kept."""
    root = tmp_path_factory.mktemp("totals")
    write_tree(root / "tree", {f"m{n}.py": f"import os\nx = {n}   \n" for n in range(120)})
    write_tree(root / "tree", {"broken.py": "def f(:\n", "data.bin": b"\0\1"})
    batch, report = codebatch.scan(root / "tree", root / "store", scheduler="sync", shards=256)
    assert report.shards["total"] * 4 >= 256
    return batch


@pytest.fixture
def batch(finished: codebatch.Batch, tmp_path: Path) -> codebatch.Batch:
    """A copy of it without any index, whose files are older than now."""
    shutil.copytree(finished.path, tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "indexes", ignore_errors=True)
    time.sleep(0.02)  # a tick of the file system's clock
    return codebatch.open_store(tmp_path / "store").find_batch(finished.id)


def answers(main: Main, batch: codebatch.Batch) -> list[bytes]:
    done = [main(*view.split(), "--json", "--store", batch.path) for view in VIEWS]
    assert [outcome.code for outcome in done] == [0] * len(VIEWS)
    return [outcome.stdout for outcome in done]


def kept(batch: codebatch.Batch) -> Path:
    return batch.path / "indexes" / "totals" / f"{batch.id}.json"


def test_answers_are_the_same_with_and_without(main: Main, batch: codebatch.Batch) -> None:
    first = answers(main, batch)
    assert kept(batch).is_file()
    assert answers(main, batch) == first
    shutil.rmtree(batch.path / "indexes")
    assert answers(main, batch) == first


def test_no_state_is_read_where_totals_are_kept(
    batch: codebatch.Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = batch.summary()

    def refuse(*_: object) -> None:
        raise AssertionError("a state is read")

    monkeypatch.setattr(Shards, "load_state", refuse)
    assert batch.summary() == expected
    assert batch.status()["status"] == "done"


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 9)


def flip(path: Path) -> None:
    """Other bytes of the same length, with the times set back."""
    seen = path.stat()
    with path.open("r+b") as stream:
        data = stream.read()
        stream.seek(0)
        stream.write(data.replace(b"sha256:", b"sha265:"))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("state.json", remove),
        ("state.json", truncate),
        ("state.json", flip),
        ("outputs.index.jsonl.zst", remove),
        ("outputs.index.jsonl.zst", truncate),
    ],
)
def test_a_changed_file_is_noticed(
    name: str, change: Callable[[Path], None], batch: codebatch.Batch
) -> None:
    assert batch.status()["status"] == "done"
    assert kept(batch).is_file()
    change(next((batch.path / "batches" / batch.id / "tasks" / "lint" / "shards").iterdir()) / name)
    assert batch.status()["status"] == "partial"
    assert batch.summary()["result"] is None


@pytest.mark.parametrize("damage", ["cut", "flip", "checksum", "other"])
def test_damaged_totals_count_as_absent(damage: str, batch: codebatch.Batch) -> None:
    expected = batch.summary()
    path = kept(batch)
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        path.write_bytes(data.replace(b'"done": ', b'"done": 1'))
    elif damage == "checksum":
        path.with_name(f"{path.name}.sha256").unlink()
    else:
        path.write_text(json.dumps({"layout": 1}))
    assert batch.summary() == expected
    assert path.read_bytes() == data


def test_an_unfinished_batch_keeps_none(batch: codebatch.Batch) -> None:
    state = next((batch.path / "batches" / batch.id).rglob("state.json"))
    state.unlink()
    assert batch.status()["status"] == "partial"
    assert not kept(batch).exists()
    assert not list((batch.path / "indexes").rglob("*.json"))
