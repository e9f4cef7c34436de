"""Names: they hold an id, are taken wherever one is, and keep what they hold."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, Scanned
from verifier import verify_store

import codebatch
from codebatch.model.errors import (
    BatchNotFoundError,
    CodeBatchError,
    InvalidIdError,
    NamedError,
    NameNotFoundError,
    SnapshotNotFoundError,
    StoreDamagedError,
)

Main = Callable[..., Outcome]


@pytest.fixture
def named(scanned_copy: Scanned) -> codebatch.Store:
    """A store with a batch called main and the snapshot called tree."""
    scanned_copy.store.names["main"] = scanned_copy.batch
    scanned_copy.store.names["tree"] = scanned_copy.store.find_snapshot("latest")
    return scanned_copy.store


def test_names_are_taken_where_ids_are(named: codebatch.Store) -> None:
    batch_id, snapshot_id = named.find_batch("latest").id, named.find_snapshot("latest").id
    assert dict(named.names) == {"main": batch_id, "tree": snapshot_id}
    assert named.find_batch("main").id == batch_id
    assert named.find_snapshot("tree").id == snapshot_id
    assert named.find_snapshot("main").id == snapshot_id
    assert named.find("main").id == batch_id
    assert named.find("tree").type == "snapshot"
    with pytest.raises(BatchNotFoundError, match=f"tree holds {snapshot_id}, which is no batch"):
        named.find_batch("tree")


def test_latest_counts_back(named: codebatch.Store) -> None:
    first = named.find_batch("latest").id
    second = named.batch("latest", "parse").id
    assert named.find_batch("latest").id == second
    assert named.find_batch("latest~0").id == second
    assert named.find_batch("latest~1").id == first
    assert named.find("latest~1").id == first
    with pytest.raises(BatchNotFoundError, match="no latest~2: the store has 2 batches"):
        named.find_batch("latest~2")
    with pytest.raises(SnapshotNotFoundError, match="no latest~1: the store has 1 snapshot"):
        named.find_snapshot("latest~1")
    with pytest.raises(InvalidIdError):
        named.find_batch("latest~-1")


@pytest.mark.parametrize(
    "name",
    [
        *("latest", "HEAD", "feed", "2024", "snap-x", "batch-1", "b", "snap", "batch", "a/b"),
        *("../x", "", ".x", "a..b", "a b", "ü", "x" * 101, "main\n"),
    ],
)
def test_a_name_means_nothing_else(named: codebatch.Store, name: str) -> None:
    before = sorted(os.listdir(named.path / "names"))
    with pytest.raises(InvalidIdError, match="not a valid name"):
        named.names[name] = "latest"
    assert sorted(os.listdir(named.path / "names")) == before


def test_a_name_is_pointed_again_as_a_whole(named: codebatch.Store, main: Main) -> None:
    first = named.names["main"]
    second = named.batch("main", "parse").id
    done = main("name", "set", "main", second[:12], "--store", named.path)
    assert (done.code, done.out) == (0, f"main  {second} (was {first})\n")
    assert sorted(os.listdir(named.path / "names")) == ["main", "tree"]
    before = (named.path / "names" / "main").read_bytes()
    done = main("name", "set", "main", "main", "--store", named.path, "--json")
    assert json.loads(done.stdout) == {"name": "main", "id": second, "before": second}
    assert (named.path / "names" / "main").read_bytes() == before
    assert verify_store(named.path)["names"] == 2


def test_name_of_what_is_not_there(named: codebatch.Store) -> None:
    gone = "batch-0123456789abcdef"
    with pytest.raises(BatchNotFoundError):
        named.directory.names.point("other", gone, "2026-01-01T00:00:00.000000+00:00")
    with pytest.raises(BatchNotFoundError):
        named.directory.names.point("main", gone, "2026-01-01T00:00:00.000000+00:00")
    assert named.names["main"] == named.find_batch("latest").id
    assert set(named.names) == {"main", "tree"}


def test_what_has_a_name_is_not_removed(named: codebatch.Store, main: Main) -> None:
    batch_id = named.names["main"]
    done = main("batch", "rm", "latest", "--store", named.path)
    assert (done.code, done.out) == (2, "")
    hint = f"give it to another, or remove it: codebatch name rm main --store {named.path}"
    assert done.err.splitlines() == [f"error: {batch_id} has the name main", f"  {hint}"]
    with pytest.raises(NamedError):
        named.remove_batch("main", dry_run=True)
    del named.names["main"]
    named.remove_batch(batch_id)
    with pytest.raises(NamedError, match="has the name tree"):
        named.remove_snapshot("tree")
    named.names.remove("tree")
    named.remove_snapshot("latest")


def test_removing_names(named: codebatch.Store, main: Main) -> None:
    done = main("name", "rm", "main", "nope", "--store", named.path)
    assert (done.code, done.err.splitlines()[0]) == (4, "error: no name nope in the store")
    assert set(named.names) == {"main", "tree"}
    assert main("name", "rm", "main", "tree", "--store", named.path).out.count("removed") == 2
    assert len(named.names) == 0
    with pytest.raises(KeyError):
        named.names["main"]
    with pytest.raises(NameNotFoundError):
        named.names.remove("main")


def test_commands_give_names(tree: Path, tmp_path: Path, main: Main) -> None:
    store = tmp_path / "store"
    done = main("scan", tree, "--store", store, "--name", "main", "-q", "--scheduler", "sync")
    batch_id = done.out.strip()
    assert f"main is {batch_id}\n" in done.err
    main("snapshot", tree, "--store", store, "--name", "tree", "-q")
    planned = main(
        *("batch", "init", "--snapshot", "tree", "--pipeline", "parse", "--name", "main"),
        *("--store", store, "-q"),
    )
    assert planned.err == f"main is {planned.out.strip()}, no longer {batch_id}\n"
    rows = json.loads(main("names", "--store", store, "--json").stdout)
    assert [row["name"] for row in rows] == ["main", "tree"]
    assert rows[0]["id"] == planned.out.strip()
    assert main("names", "--store", store).out.splitlines()[1].startswith("main  batch-")
    refused = main("scan", tree, "--store", tmp_path / "other", "--name", "a/b")
    assert (refused.code, (tmp_path / "other").exists()) == (2, False)


def test_a_damaged_name_is_found_and_never_followed(named: codebatch.Store) -> None:
    path = named.path / "names" / "main"
    whole = path.read_bytes()
    for data in (b"", whole[:-2], whole.replace(b"main", b"mine"), named.names["main"].encode()):
        path.write_bytes(data)
        with pytest.raises(StoreDamagedError):
            named.find_batch("main")
        report = named.verify()
        assert [problem.code for problem in report.problems] == ["NAME_DAMAGED"]
        assert not named.verify(repair=True).ok
    assert named.find_batch("latest")
    named.names["main"] = "latest"
    assert named.verify().ok
    shutil.copy(path, path.with_name("copy"))
    with pytest.raises(StoreDamagedError, match="not the document of that name"):
        named.find_batch("copy")
    named.names.remove("copy")
    assert named.verify().ok


def test_a_dangling_name(named: codebatch.Store) -> None:
    batch_id = named.names["main"]
    shutil.rmtree(named.path / "batches" / batch_id)
    (problem,) = named.verify().problems
    assert (problem.code, problem.path) == ("NAME_DANGLING", "names/main")
    with pytest.raises(BatchNotFoundError, match=r"the name main holds batch-.* not there"):
        named.find_batch("main")
    del named.names["main"]
    assert named.verify().ok


def test_names_out_of_place_are_foreign(named: codebatch.Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copy(named.path / "names" / "main", outside)
    for name in ("latest", "feed", "snap-0123456789abcdef", "a b"):
        shutil.copy(outside, named.path / "names" / name)
    (named.path / "names" / "folder").mkdir()
    (named.path / "names" / "link").symlink_to(outside)
    codes = {problem.path: problem.code for problem in named.verify().problems}
    assert codes == {
        "names/latest": "FOREIGN_FILE",
        "names/feed": "FOREIGN_FILE",
        "names/snap-0123456789abcdef": "FOREIGN_FILE",
        "names/a b": "FOREIGN_FILE",
        "names/folder": "NAME_DAMAGED",
        "names/link": "NAME_DAMAGED",
    }
    assert named.find_batch("main")
    with pytest.raises(CodeBatchError):
        named.find_batch("link")
    with pytest.raises(CodeBatchError):
        named.find_batch("folder")


def test_gc_keeps_what_has_a_name(named: codebatch.Store) -> None:
    """A batch that has lost its document and its states looks as if it was never begun."""
    folder = named.path / "batches" / named.names["main"]
    (folder / "batch.json").unlink()
    shutil.rmtree(folder / "tasks")
    named.gc(grace=0)
    assert folder.exists()
    del named.names["main"]
    named.gc(grace=0)
    assert not folder.exists()
