"""What is known of objects of git: it may be lost or damaged, and changes no snapshot."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, write_tree
from repositories import git, git_init, without_own_settings

import codebatch


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three revisions of a few folders."""
    without_own_settings(tmp_path / "home", monkeypatch)
    files = {f"d{n % 4}/e{n % 3}/f{n}.py": f"x = {n}\n" for n in range(40)}
    root = write_tree(tmp_path / "work", files)
    git_init(root, options=("-b", "main"))
    for change in ({"d1/e1/f1.py": "y\n"}, {"d2/new.py": "new\n", ".codebatchignore": "f2*\n"}):
        write_tree(root, change)
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "change")
    return root


REVS = ("HEAD", "HEAD~1", "HEAD~2")


@pytest.fixture
def expected(work: Path, tmp_path: Path) -> dict[str, str]:
    other = codebatch.open_store(tmp_path / "other", create=True)
    return {rev: other.snapshot(work, rev=rev).id for rev in REVS}


CRLF = "c/*.txt text eol=crlf\n"
MOVED = [  # what one file says, by where it is
    (".gitattributes", CRLF, ("a", "a/b"), "."),
    (".gitattributes", CRLF, ("a", "a/b"), "a/b/c"),
    (".codebatchignore", "c/x.txt\n", ("a", "a/b"), "."),
    (".gitattributes", "[attr]m text eol=crlf\n*.txt m\n", ("", "a"), "."),
]


@pytest.mark.parametrize(("name", "text", "folders", "place"), MOVED)
def test_rules_that_are_moved_hold_elsewhere(
    work: Path,
    store: codebatch.Store,
    tmp_path: Path,
    name: str,
    text: str,
    folders: tuple[str, str],
    place: str,
) -> None:
    write_tree(work, {"a/b/c/x.txt": "1\n2\n", "a/c/x.txt": "1\n2\n"})
    for folder in folders:
        for one in ("", "a", "a/b"):
            (work / one / name).unlink(missing_ok=True)
        write_tree(work, {os.path.join(folder, name): text})
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", f"in {folder}")
        found = store.snapshot(work / place, rev="HEAD").id
        other = codebatch.open_store(tmp_path / f"fresh{len(folder)}", create=True)
        assert found == other.snapshot(work / place, rev="HEAD").id
    assert store.snapshot(work / place, rev="HEAD~1").id != found


def known(store: codebatch.Store) -> list[Path]:
    return sorted(path for path in (store.path / "indexes/git").iterdir() if path.is_file())


def ids(store: codebatch.Store, work: Path) -> dict[str, str]:
    return {rev: store.snapshot(work, rev=rev).id for rev in REVS}


def test_what_is_known_is_not_read_again(
    work: Path, store: codebatch.Store, expected: dict[str, str]
) -> None:
    assert ids(store, work) == expected
    name = git(work, "rev-parse", "HEAD~1:d0/e0/f0.py").decode().strip()
    (work / ".git/objects" / name[:2] / name[2:]).unlink()
    assert ids(store, work) == expected
    assert store.snapshot(work / "d0", rev="HEAD~1").id  # of other folders, by the blobs
    write_tree(work, {"d3/more.py": "more\n"})
    git(work, "add", "d3")
    tree = git(work, "write-tree", "--missing-ok").decode().strip()
    head = git(work, "commit-tree", tree, "-p", "HEAD", "-m", "more").decode().strip()
    git(work, "update-ref", "refs/heads/more", head)
    assert store.snapshot(work, rev="more").id == store.snapshot(work, staged=True).id


@pytest.mark.parametrize("seed", range(4))
def test_damage_costs_time_alone(
    work: Path, store: codebatch.Store, expected: dict[str, str], seed: int
) -> None:
    dice = random.Random(seed)
    ids(store, work)
    for path in known(store):
        data = bytearray(path.read_bytes())
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data[: dice.randint(1, len(data))] if seed % 2 else data)
    assert ids(store, work) == expected
    for path in known(store):
        body = dice.choice(
            [b"", b"{}", b"[]\n", b'{"format": "codebatch-git-trees/1"}\n{"roots": 1}']
        )
        path.write_bytes(hashlib.sha256(body).hexdigest().encode() + body)
    assert ids(store, work) == expected
    shutil.rmtree(store.path / "indexes/git")
    assert ids(store, work) == expected


def test_objects_and_snapshots_that_are_gone_are_made_again(
    work: Path, store: codebatch.Store, expected: dict[str, str]
) -> None:
    ids(store, work)
    for rev in ("HEAD", "HEAD~1"):
        store.remove_snapshot(expected[rev])
    store.gc(grace=0)
    assert ids(store, work) == expected
    assert store.verify().ok
    for object_file in (store.path / "objects/sha256").rglob("*"):
        if object_file.is_file():
            object_file.unlink()
    assert {rev: store.snapshot(work, rev=rev, use_cache=False).id for rev in REVS} == expected
    assert store.verify().ok


def test_verify_drops_what_is_damaged_and_gc_what_is_old(
    work: Path, store: codebatch.Store, main: Callable[..., Outcome]
) -> None:
    ids(store, work)
    first = known(store)[0]
    first.write_bytes(first.read_bytes()[:-1])
    assert main("verify", "--store", store.path).code == 1
    assert main("verify", "--repair", "--store", store.path).code == 0
    assert first not in known(store)
    assert known(store)
    for path in known(store):
        os.utime(path, (1, 1))
    store.gc()
    assert not known(store)


def test_a_store_that_cannot_be_written_still_answers(
    work: Path, store: codebatch.Store, expected: dict[str, str]
) -> None:
    (store.path / "indexes").mkdir(exist_ok=True)
    (store.path / "indexes/git").write_text("in the way")
    assert ids(store, work) == expected
    assert ids(store, work) == expected
