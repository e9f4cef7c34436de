"""What was asked for last: the latest, the tree it is about, and what every answer says of that."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import OBEYING_PERMISSIONS, Outcome, Scanned, write_tree
from repositories import git, git_init, without_own_settings

import codebatch
from codebatch.model.digest import compact, seal

Main = Callable[..., Outcome]


def scan(tree: Path, store: codebatch.Store) -> codebatch.Batch:
    batch, _ = codebatch.scan(tree, store.path, pipeline="parse", scheduler="sync")
    return batch


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Two trees; the second with a folder in it."""
    return (
        write_tree(tmp_path / "one", {"a.py": "a = 1\n"}),
        write_tree(tmp_path / "two", {"inner/b.py": "b = 1\n"}),
    )


def test_the_latest_is_the_one_asked_for_last(
    trees: tuple[Path, Path], store: codebatch.Store
) -> None:
    one, two = (scan(tree, store) for tree in trees)
    assert store.find_batch("latest").id == two.id
    snapshots = [store.find_snapshot("latest~1").id, store.find_snapshot("latest").id]
    assert scan(trees[0], store).id == one.id
    assert [store.find_batch(name).id for name in ("latest", "latest~1")] == [one.id, two.id]
    assert store.find_snapshot("latest").id == snapshots[0]
    assert [row["batch_id"] for row in store.batches()] == [two.id, one.id]
    two.run("sync")
    assert store.find_batch("latest").id == two.id
    store.batch(store.find_snapshot(snapshots[0]), "parse")
    assert store.find_batch("latest").id == one.id


def test_equal_trees_are_told_apart_by_where_they_were_taken(
    tmp_path: Path, store: codebatch.Store
) -> None:
    old, new = (write_tree(tmp_path / name, {"a.py": "a = 1\n"}) for name in ("old", "new"))
    first = scan(old, store)
    assert first.source_folder == old
    second = scan(new, store)
    assert second.id == first.id
    assert first.source_folder == second.source_folder == new
    first.run("sync")
    assert first.source_folder == new
    snapshot = store.snapshot(old)
    assert first.source_folder == new
    assert store.batch(snapshot.id, "parse").source_folder == old


def test_a_store_without_askings_has_those_of_its_snapshots(scanned_copy: Scanned) -> None:
    store, batch = scanned_copy.store, scanned_copy.batch
    for path in store.path.rglob("asked.json"):
        path.unlink()
    assert store.find_batch("latest").id == batch.id
    created = json.loads((store.path / "batches" / batch.id / "batch.json").read_bytes())["created"]
    assert batch.asking.asked == created
    assert (batch.source_folder, batch.asking.checkout.commit) == (scanned_copy.tree, None)
    assert store.verify().ok


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"asked": 1}', b"\xff\0"],
    ids=["empty", "half", "list", "other", "binary"],
)
def test_an_asking_that_is_not_whole_is_none(scanned_copy: Scanned, damage: bytes) -> None:
    store, batch = scanned_copy.store, scanned_copy.batch
    paths = sorted(store.path.rglob("asked.json"))
    for path in paths:
        path.write_bytes(damage)
    assert store.find_batch().id == batch.id
    assert batch.source_folder == scanned_copy.tree
    found = store.verify()
    assert [problem.code for problem in found.problems] == ["ASKED_DAMAGED"] * len(paths)
    assert not found.ok
    assert store.verify(repair=True).ok
    assert not any(path.exists() for path in paths)
    assert store.verify().ok


def test_an_asking_of_something_else_is_none(scanned_copy: Scanned) -> None:
    store, batch = scanned_copy.store, scanned_copy.batch
    (of_snapshot,) = store.path.glob("snapshots/*/asked.json")
    (store.path / "batches" / batch.id / "asked.json").write_bytes(of_snapshot.read_bytes())
    assert [problem.code for problem in store.verify().problems] == ["ASKED_DAMAGED"]
    batch.run("sync")
    assert store.verify().ok


def test_removing_a_batch_removes_its_asking(
    trees: tuple[Path, Path], store: codebatch.Store
) -> None:
    one, two = (scan(tree, store) for tree in trees)
    store.remove_batch(two)
    assert store.find_batch("latest").id == one.id
    store.gc(grace=0)
    assert len(list(store.path.rglob("batches/*/asked.json"))) == 1
    assert store.verify().ok


def set_time(path: Path, key: str, moment: str) -> None:
    """Have a document say another time, sealed again."""
    document = json.loads(path.read_bytes())
    del document["digest"]
    path.write_bytes(compact(seal({**document, key: moment})))


FUTURE = "2100-01-01T00:00:00.000000+00:00"


@pytest.mark.parametrize("names", [["asked.json"], ["batch.json"], ["asked.json", "batch.json"]])
def test_a_time_in_the_future_is_not_believed(
    names: list[str], trees: tuple[Path, Path], store: codebatch.Store, main: Main
) -> None:
    wrong, right = (scan(tree, store) for tree in trees)
    for name in names:
        key = "asked" if name == "asked.json" else "created"
        set_time(store.path / "batches" / wrong.id / name, key, FUTURE)
    assert store.find_batch("latest").id == right.id
    assert [row["batch_id"] for row in store.batches()] == [wrong.id, right.id]
    if "asked.json" in names:
        done = main("errors", "--store", store.path, "--batch", wrong.id)
        assert header(done) == "one  in the future"
    wrong.run("sync")
    assert store.find_batch("latest").id == wrong.id
    assert header(main("errors", "--store", store.path)) == "one  just now"


def test_after_the_clock_was_set_back_the_latest_stays_the_latest(
    trees: tuple[Path, Path], store: codebatch.Store
) -> None:
    batches = [scan(tree, store) for tree in trees]
    for earlier, later in (batches, batches[::-1]):
        for one, year in ((earlier, "2099"), (later, "2100")):
            folder = store.path / "batches" / one.id
            set_time(folder / "asked.json", "asked", FUTURE.replace("2100", year))
            set_time(folder / "batch.json", "created", FUTURE.replace("2100", "2098"))
        assert store.find_batch("latest").id == later.id


def test_times_are_compared_as_instants(trees: tuple[Path, Path], store: codebatch.Store) -> None:
    moments = ("2026-01-01T12:00:00+05:00", "2026-01-01T08:00:00+00:00")  # 7 and 8 o'clock
    batches = [scan(tree, store) for tree in trees]
    for earlier, later in (batches, batches[::-1]):
        for one, moment in zip((earlier, later), moments, strict=True):
            folder = store.path / "batches" / one.id
            set_time(folder / "asked.json", "asked", moment)
            set_time(folder / "batch.json", "created", "2025-01-01T00:00:00+00:00")
        assert store.find_batch("latest").id == later.id
        assert [row["batch_id"] for row in store.batches()] == [earlier.id, later.id]


def test_asking_does_not_bring_back_what_was_removed(
    trees: tuple[Path, Path], store: codebatch.Store
) -> None:
    batch = scan(trees[0], store)
    asking, folder = batch.asking, store.path / "batches" / batch.id
    store.remove_batch(batch)
    store.directory.batches.ask(batch.id, asking)
    assert not folder.exists()
    assert store.verify().ok


def test_many_ask_at_once(trees: tuple[Path, Path], store: codebatch.Store) -> None:
    batches = [scan(tree, store) for tree in trees]
    threads = [
        threading.Thread(target=lambda one=one: [one.run("sync") for _ in range(5)])
        for one in batches * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.source_folder for one in batches} == {*trees}
    assert store.verify().ok


def test_what_is_done_is_asked_for_where_nothing_can_be_written(
    scanned_copy: Scanned, cli: Main
) -> None:
    folders = [scanned_copy.path, *(p for p in scanned_copy.path.rglob("*") if p.is_dir())]
    for path in folders:
        path.chmod(0o555)
    done = cli("run", "--store", scanned_copy.path, "-q", before=OBEYING_PERMISSIONS)
    for path in folders:
        path.chmod(0o755)
    assert (done.code, done.out.strip()) == (0, scanned_copy.batch.id)


# -- what answers say ------------------------------------------------------------------------------


def header(done: Outcome) -> str:
    assert done.code == 0, done
    return done.err.splitlines()[0]


def test_an_answer_is_about_the_tree_of_the_current_folder(
    trees: tuple[Path, Path], store: codebatch.Store, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, one = scan(trees[1], store), scan(trees[0], store)
    where = ("--store", store.path)
    assert header(main("errors", *where)) == "one  just now"
    monkeypatch.chdir(trees[1] / "inner")
    assert header(main("errors", *where)) == "two  just now  (of this folder; latest is one)"
    assert json.loads(main("status", *where, "--json").stdout)["batch_id"] == two.id
    assert header(main("errors", *where, "--batch", "latest")) == "one  just now"
    assert store.find_batch().id == two.id
    monkeypatch.chdir(trees[1].parent)  # which holds both
    assert header(main("errors", *where)) == "one  just now"
    assert store.find_batch().id == one.id


@pytest.mark.parametrize(
    "words",
    [
        *("summary", "status", "errors", "top", "files", "tasks", "shards", "query outputs"),
        *("query symbols", "query stats", "inspect cart.py", "sql VALUES(1)", "plan"),
        *("explain --task lint --file pkg/cart.py", "export --format jsonl --output {out}"),
        *("diff latest latest", "regressions latest latest", "improvements latest latest"),
    ],
)
def test_every_answer_for_people_names_its_tree(
    words: str, scanned: Scanned, main: Main, tmp_path: Path
) -> None:
    arguments = [word.format(out=tmp_path / "out.jsonl") for word in words.split()]
    done = main(*arguments, "--store", scanned.path)
    assert done.said == ""
    assert header(done).startswith("tree  ")
    assert (header(done).count("tree  ") == 2) == ("latest latest" in words)
    assert main(*arguments, "--store", scanned.path, "--json").stderr == b""


@pytest.mark.parametrize("form", ["jsonl", "csv", "json", "md"])
def test_an_answer_for_programs_has_no_more_than_it_had(
    form: str, scanned: Scanned, main: Main
) -> None:
    assert main("errors", "--store", scanned.path, "--format", form).stderr == b""


def test_branch_and_commit_are_named(
    tmp_path: Path, store: codebatch.Store, main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)
    root = write_tree(tmp_path / "work", {"pkg/a.py": "a = 1\n"})
    git_init(root, options=("-b", "main"))
    scan(root, store)
    first = git(root, "rev-parse", "HEAD").decode()[:7]
    where = ("--store", store.path)
    assert header(main("errors", *where)) == f"work  main@{first}  just now"
    git(root, "switch", "-q", "-c", "fix/1")
    write_tree(root, {"pkg/a.py": "a = 2\n"})
    git(root, "commit", "-q", "-a", "-m", "second")
    main("scan", root / "pkg", *where, "--name", "sub", "--scheduler", "sync")
    second = git(root, "rev-parse", "HEAD").decode().strip()
    assert header(main("errors", *where)) == f"pkg  fix/1@{second[:7]}  just now"
    rows = json.loads(main("batches", *where, "--json").stdout)
    assert [(row["source"], row["branch"]) for row in rows] == [
        (str(root), "main"),
        (str(root / "pkg"), "fix/1"),
    ]
    assert (rows[1]["commit"], rows[1]["names"]) == (second, ["sub"])
    listed = main("batches", *where).out.splitlines()
    assert f"pkg   fix/1@{second[:7]}  sub" in listed[-1]
    assert [line.split()[1] for line in main("snapshots", *where).out.splitlines()[1:]] == [
        "work",
        "pkg",
    ]


def test_listings_are_sorted_and_cut(
    trees: tuple[Path, Path], store: codebatch.Store, main: Main
) -> None:
    one, two = (scan(tree, store) for tree in trees)
    where = ("--store", store.path, "--json")
    assert [row["batch_id"] for row in json.loads(main("batches", *where).stdout)] == [
        one.id,
        two.id,
    ]
    (latest,) = json.loads(main("batches", *where, "--limit", 1).stdout)
    assert latest["batch_id"] == two.id
    by_source = json.loads(main("snapshots", *where, "--sort=-source", "--limit", 1).stdout)
    assert [row["source"] for row in by_source] == [str(trees[1])]
    assert main("batches", *where, "--sort", "colour").code == 2


def test_a_store_in_a_folder_above_is_named(
    trees: tuple[Path, Path], main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CODEBATCH_STORE", raising=False)
    monkeypatch.chdir(trees[1])
    main("scan", ".", "--pipeline", "parse", "--scheduler", "sync")
    assert main("errors").err.splitlines() == ["two  just now"]
    monkeypatch.chdir(trees[1] / "inner")
    for words in (["errors"], ["batches"], ["scan", ".", "--pipeline", "parse"], ["verify"]):
        done = main(*words)
        assert done.err.splitlines()[0] == "store: ../.codebatch"
        assert done.err.count("store: ") == 1
    assert main("errors", "--json").stderr == b""
    assert "store: " not in main("errors", "--store", "../.codebatch").err
    monkeypatch.setenv("CODEBATCH_STORE", "../.codebatch")
    assert "store: " not in main("errors").err
