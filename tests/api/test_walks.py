"""`Store.history` and `Store.blame`: batches along the commits of a repository."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from histories import Release, Repository, file_by_file, one_by_one, two_branches
from repositories import git

import codebatch
from codebatch.api.history import CUT, INTRODUCED, OUTSIDE, History
from codebatch.model.errors import (
    FilterInvalidError,
    FindingNotFoundError,
    RevisionNotFoundError,
    UsageError,
)
from codebatch.snapshot import take_tree
from codebatch.status import batch_status

KEPT = "import json\n\n\ndef kept(a, b):\n    if a and b:\n        return json\n    return None\n"
USED = "import os\nimport re\n\n\ndef use():\n    return os, re\n"
UNUSED = "import os\nimport re\n\n\ndef use():\n    return os\n"


def release(version: str, **files: str) -> Release:
    """A release of Python files in a package."""
    return Release(version, {f"pkg/{name}.py": text.encode() for name, text in files.items()})


RELEASES = [
    release("1", app=USED),
    release("2", app=UNUSED, other=KEPT),
    release("3", app="# moved\n" + UNUSED, other=KEPT),
    release("4", renamed="# moved\n" + UNUSED, other=KEPT),
    release("5", renamed="# moved\n" + UNUSED, other=KEPT + "\n\ndef more():\n    return kept\n"),
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return one_by_one(tmp_path_factory.mktemp("history") / "tree", RELEASES)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Store:
    """A store that all tests share: what each finds does not depend on what is in it."""
    return codebatch.open_store(tmp_path_factory.mktemp("shared") / "store", create=True)


def walk(store: codebatch.Store, repository: Repository, **options: Any) -> History:
    return store.history(repository.folder, scheduler="sync", **options)


def checkouts(repository: Repository, folder: Path) -> Iterator[tuple[str, Path]]:
    """The tree of each commit, checked out by git."""
    for commit in repository.commits:
        tree = folder / commit
        git(repository.folder, "worktree", "add", "-q", "--detach", str(tree), commit)
        yield commit, tree


def test_each_revision_has_the_batch_of_a_scan_of_its_checkout(
    repository: Repository, store: codebatch.Store, tmp_path: Path
) -> None:
    found = walk(store, repository, every=1)
    assert [one.commit for one in found] == repository.commits
    assert [one.tags for one in found] == [(name,) for name in "12345"]
    for one, (commit, tree) in zip(found, checkouts(repository, tmp_path), strict=True):
        batch, report = codebatch.scan(tree, tmp_path / f"store-{commit}", scheduler="sync")
        assert (one.batch_id, one.result) == (batch.id, report.result)
        summary: Any = batch.summary()
        assert one.counts.by_code == summary["diagnostics"]["by_code"]
        assert one.files == summary["files"]["total"]


def test_which_revisions(repository: Repository, store: codebatch.Store) -> None:
    commits = repository.commits
    chosen: list[tuple[dict[str, Any], list[int]]] = [
        ({"revs": "1..3"}, [1, 2]),
        ({"revs": "HEAD~2.."}, [3, 4]),
        ({"revs": "2"}, [0, 1]),
        ({"every": 3}, [1, 4]),
        ({"revs": "1..4", "every": 2}, [1, 3]),
        ({"tags": True, "revs": "3..5"}, [3, 4]),
    ]
    for options, places in chosen:
        found = [one.commit for one in walk(store, repository, **options)]
        assert found == [commits[place] for place in places], options


def test_what_is_no_choice_of_revisions_says_so(
    repository: Repository, store: codebatch.Store
) -> None:
    for options in ({}, {"revs": "1...3"}, {"revs": ""}, {"every": 0}):
        with pytest.raises(UsageError):
            walk(store, repository, **options)
    for options in ({"revs": "5..1"}, {"revs": "nothing..5"}):
        with pytest.raises(RevisionNotFoundError):
            walk(store, repository, **options)


def test_measures_and_changes(repository: Repository, store: codebatch.Store) -> None:
    metrics = ["complexity", "complexity:max", "complexity:mean", "function_complexity:count"]
    found = walk(store, repository, every=1, metrics=metrics, changes=True)
    assert [one.metrics["function_complexity:count"] for one in found] == [1, 2, 2, 2, 3]
    for one in found:
        values = [
            record["value"]
            for record in store.find_batch(one.batch_id).outputs(metric="complexity")
        ]
        assert one.metrics["complexity"] == sum(values)
        assert one.metrics["complexity:max"] == max(values)
        assert one.metrics["complexity:mean"] == sum(values) / len(values)
    assert [(one.new, one.fixed) for one in found] == [(None, None), (1, 0), *[(0, 0)] * 3]
    row = found.rows(["L101"])[1]
    assert (row["L101"], row["warning"], row["error"]) == (1, 1, 0)
    for metric in ("complexity:most", "language", "complexities"):
        with pytest.raises(FilterInvalidError):
            walk(store, repository, every=1, metrics=[metric])


def test_a_folder_of_the_repository_and_a_selection(
    repository: Repository, store: codebatch.Store
) -> None:
    inside = store.history(repository.folder / "pkg", revs="4..5", scheduler="sync")
    assert [one.files for one in inside] == [2]
    selected = walk(store, repository, revs="4..5", include=["other.py"])
    assert [one.files for one in selected] == [1]


def test_neither_the_repository_nor_states_are_read_again(
    repository: Repository, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = walk(store, repository, every=1)

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(take_tree, "open_history", refuse)
    monkeypatch.setattr(batch_status, "keep_totals", refuse)
    assert walk(store, repository, every=1) == expected


def test_a_walk_in_several_processes_comes_to_the_same(tmp_path: Path) -> None:
    dice = random.Random(5)
    texts = [KEPT, USED, UNUSED, "x = (\n", "a = 1 \n"]
    names = [f"m{number}" for number in range(12)]
    found = [
        release(
            str(number), **{name: dice.choice(texts) + f"\nN = {dice.random()}\n" for name in names}
        )
        for number in range(3)
    ]
    repository = file_by_file(tmp_path / "tree", found, 25)
    alone = codebatch.open_store(tmp_path / "alone", create=True)
    beside = codebatch.open_store(tmp_path / "beside", create=True)
    expected = walk(alone, repository, every=1)
    seen: list[tuple[str, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        seen.append((what, done, total))

    several = beside.history(
        repository.folder, every=1, scheduler="processes", workers=2, progress=progress
    )
    assert several == expected
    assert seen == [(what, n, 25) for what in ("plan", "run") for n in range(1, 26)]
    assert beside.verify(read_data=True).ok
    assert beside.find_batch("latest").id == expected.revisions[-1].batch_id


def places(store: codebatch.Store, repository: Repository, **options: Any) -> Any:
    return store.blame(folder_place(repository), repository.folder, scheduler="sync", **options)


def folder_place(repository: Repository) -> str:
    """Where the newest revision has the finding that the second has brought."""
    return "pkg/renamed.py:3:L101"


def test_blame_names_the_commit_that_brought_a_finding(
    repository: Repository, store: codebatch.Store
) -> None:
    found = places(store, repository)
    assert (found.how, found.commit.hash) == (INTRODUCED, repository.commits[1])
    assert (found.origin["path"], found.origin["line"]) == ("pkg/app.py", 2)
    assert (found.finding["path"], found.finding["line"]) == ("pkg/renamed.py", 3)
    assert found.merge is None
    assert found.revisions == 5
    fingerprint = str(found.finding["fingerprint"])
    for text in (fingerprint, fingerprint[:6], "renamed.py:3"):
        again = store.blame(text, repository.folder, scheduler="sync")
        assert again.as_document() == found.as_document()
    assert store.find_batch("latest").asking.checkout.commit == repository.commits[-1]


def test_blame_stays_in_its_range(repository: Repository, store: codebatch.Store) -> None:
    found = places(store, repository, revs="3..5")
    assert (found.how, found.commit.hash) == (OUTSIDE, repository.commits[3])
    assert places(store, repository, revs="1..5").how == INTRODUCED


def test_blame_of_what_is_no_finding(repository: Repository, store: codebatch.Store) -> None:
    for text in ("pkg/renamed.py:1", "ffffffffffffffff", "what", "pkg/renamed.py:3:L102"):
        with pytest.raises(FindingNotFoundError):
            store.blame(text, repository.folder, scheduler="sync")


def test_blame_goes_into_what_was_merged(tmp_path: Path, store: codebatch.Store) -> None:
    first = release("1", a=USED, b=USED)
    second = release("2", a=UNUSED, b=UNUSED)
    repository = two_branches(tmp_path / "tree", [first, second])
    _, mainline, side, merge = repository.commits
    for place, commit, merged_by in (("pkg/a.py:2", mainline, None), ("pkg/b.py:2", side, merge)):
        found = store.blame(place, repository.folder, scheduler="sync")
        assert (found.how, found.commit.hash) == (INTRODUCED, commit)
        assert (found.merge and found.merge.hash) == merged_by
    first_parents = walk(store, repository, every=1, first_parent=True)
    assert [one.commit for one in first_parents] == [repository.commits[0], mainline, merge]
    assert len(walk(store, repository, every=1)) == 4


def test_blame_in_a_shallow_clone(
    repository: Repository, store: codebatch.Store, tmp_path: Path
) -> None:
    url = f"file://{repository.folder}"
    git(tmp_path, "clone", "-q", "--depth", "2", url, str(tmp_path / "clone"))
    found = store.blame("renamed.py:3", tmp_path / "clone", scheduler="sync")
    assert (found.how, found.commit.hash) == (CUT, repository.commits[3])


def test_a_bare_repository(repository: Repository, store: codebatch.Store, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repository.folder), str(tmp_path / "bare"))
    bare = store.history(tmp_path / "bare", revs="3..5", scheduler="sync")
    assert bare.as_document() == walk(store, repository, revs="3..5").as_document()


def test_a_task_that_raises_is_no_end(repository: Repository, tmp_path: Path) -> None:
    own = codebatch.open_store(tmp_path / "store", create=True)
    task: Callable[..., Any] = refuse
    found = own.history(repository.folder, revs="3..5", tasks=[task], scheduler="sync")
    assert [one.status for one in found] == ["done", "done"]
    assert all(one.counts.by_code.get("E0002") for one in found)


@codebatch.task
def refuse(file: codebatch.File) -> Iterator[codebatch.Diagnostic]:
    raise ValueError(file.path)
    yield
