"""Revisions of git where an id is taken: what has just the files of a commit, read without git."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import write_tree
from repositories import git, git_init, without_own_settings

import codebatch
from codebatch.model.errors import (
    BatchNotFoundError,
    InvalidIdError,
    NotFetchedError,
    NothingStagedError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    SnapshotNotFoundError,
)
from codebatch.snapshot.git.history import Head, find_head, open_history


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree with three commits on main, a branch and tags, as the current folder."""
    without_own_settings(tmp_path / "home", monkeypatch)
    root = write_tree(tmp_path / "work", {"pkg/a.py": "import os\n", "run": "#!/bin/sh\n"})
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("pkg/a.py")
    git_init(root, options=("-b", "main"))
    git(root, "tag", "-a", "v1", "-m", "first")
    write_tree(root, {"pkg/b.py": "import sys\n"})
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "second")
    git(root, "branch", "feature/x")
    write_tree(root, {"pkg/b.py": "import re\n"})
    git(root, "commit", "-q", "-a", "-m", "third")
    monkeypatch.chdir(root)
    return root


def resolved(text: str, here: Path) -> str | None:
    with open_history(os.fsencode(here)) as history:
        return history.resolve(text)


REVISIONS = [
    *("HEAD", "@", "main", "heads/main", "refs/heads/main", "HEAD~1", "@^", "main~2", "HEAD^^"),
    *("HEAD^1~1", "HEAD^0", "v1", "tags/v1", "feature/x", "feature/x~1", "HEAD~"),
]


@pytest.mark.parametrize("packed", [False, True])
def test_revisions_are_what_git_says(work: Path, packed: bool) -> None:
    if packed:
        git(work, "gc", "-q", "--aggressive", "--prune=now")
    for text in REVISIONS:
        expected = git(work, "rev-parse", f"{text}^{{commit}}").decode().strip()
        assert resolved(text, work / "pkg") == expected
    whole = git(work, "rev-parse", "HEAD~1").decode().strip()
    assert resolved(whole, work) == whole


@pytest.mark.parametrize(
    "text",
    [
        *("nope", "HEAD~3", "HEAD^2", "../HEAD", "refs/../HEAD", "config", "a b", "HEAD:run", ""),
        *("-x", "0" * 40, "refs/heads", "HEAD\n", "a\0b", "@{1}", "ü"),
    ],
)
def test_what_is_no_revision(text: str, work: Path) -> None:
    assert resolved(text, work) is None


def test_more_revisions_that_git_knows(work: Path) -> None:
    head = git(work, "rev-parse", "HEAD").decode().strip()
    git(work, "update-ref", "refs/remotes/origin/main", "HEAD~1")
    git(work, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    parents = []
    for number in range(11):
        made = git(work, "commit-tree", "HEAD^{tree}", "-p", head, "-m", str(number))
        parents += ["-p", made.decode().strip()]
    octopus = git(work, "commit-tree", "HEAD^{tree}", *parents, "-m", "all").decode().strip()
    git(work, "branch", "octopus", octopus)
    for text in (
        "octopus^10",
        "octopus^11~1",
        "origin",
        "origin~1",
        head.upper(),
        head[:9].upper(),
    ):
        expected = git(work, "rev-parse", f"{text}^{{commit}}").decode().strip()
        assert resolved(text, work) == expected
    assert resolved("octopus^12", work) is None


def test_errors_say_what_is_wrong_with_a_revision(work: Path, store: codebatch.Store) -> None:
    git(work, "tag", "of-a-file", "HEAD:run")
    words = {
        "": "no commit '' in the repository",
        "of-a-file": "of-a-file is a blob and not a commit",
        "HEAD@{1}": "no commit HEAD@{1}",
    }
    for rev, message in words.items():
        with pytest.raises(RevisionNotFoundError, match=re.escape(message)) as caught:
            store.snapshot(work, rev=rev)
    assert "the log of refs is not read" in caught.value.hints[0]
    write_tree(work, {"d/e/.gitattributes": "* text\n"})
    git(work, "add", "-A")
    name = git(work, "rev-parse", ":d/e/.gitattributes").decode().strip()
    path = work / ".git/objects" / name[:2] / name[2:]
    path.unlink()
    path.write_bytes(b"x")
    with pytest.raises(NotFetchedError, match=r"what git has of d/e/\.gitattributes is damaged"):
        store.snapshot(work, staged=True)
    (work / ".git/index").unlink()
    os.mkfifo(work / ".git/index")
    with pytest.raises(NothingStagedError, match="cannot be read: not a regular file"):
        store.snapshot(work, staged=True)


def test_the_same_folder_of_another_clone(
    work: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", str(work), str(tmp_path / "other"))
    taken = store.snapshot(tmp_path / "other/pkg").id
    assert store.snapshot(work / "pkg").id == taken
    assert store.find_snapshot("HEAD").id == taken


def test_a_batch_of_a_commit(work: Path, store: codebatch.Store) -> None:
    third = store.batch(store.snapshot(work), "parse").id
    git(work, "checkout", "-q", "HEAD~1")
    second = store.batch(store.snapshot(work), "parse").id
    newer = store.batch(store.snapshot(work), "analyze").id
    assert store.find_batch("main").id == third
    assert store.find_batch("main~1").id == newer
    assert second != newer
    assert store.find("main").id == third
    assert store.find_snapshot("feature/x").id == store.find_snapshot("latest").id
    with pytest.raises(BatchNotFoundError, match=r"has the files of v1 \(commit [0-9a-f]{12}\)"):
        store.find_batch("v1")
    with pytest.raises(SnapshotNotFoundError, match="has the files of v1"):
        store.find("v1")
    with pytest.raises(BatchNotFoundError, match="no batch nope"):
        store.find_batch("nope")
    with pytest.raises(InvalidIdError):
        store.find_batch("HEAD~9")


def test_only_just_the_files_of_a_commit(work: Path, store: codebatch.Store) -> None:
    write_tree(work, {"new.py": "x = 1\n"})
    store.snapshot(work)
    with pytest.raises(SnapshotNotFoundError):
        store.find_snapshot("HEAD")
    (work / "new.py").unlink()
    (work / "run").chmod(0o644)
    store.snapshot(work)
    with pytest.raises(SnapshotNotFoundError):
        store.find_snapshot("HEAD")
    (work / "run").chmod(0o755)
    taken = store.snapshot(work).id
    assert store.find_snapshot("HEAD").id == taken


def test_a_folder_of_a_commit_and_a_copy_elsewhere(
    work: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    taken = store.snapshot(work / "pkg").id
    assert store.find_snapshot("HEAD").id == taken
    shutil.copytree(work, tmp_path / "copy", symlinks=True, ignore=lambda *_: {".git"})
    elsewhere = store.snapshot(tmp_path / "copy").id
    assert store.find_snapshot("HEAD").id == elsewhere


def test_a_snapshot_of_which_patterns_left_something_out(
    work: Path, store: codebatch.Store
) -> None:
    without = store.snapshot(work, exclude=["*.py"]).id
    assert store.find_snapshot("HEAD").id == without
    only = store.snapshot(work, rev="HEAD", include=["*.py"]).id
    assert store.find_snapshot("HEAD").id == only
    assert store.find_snapshot("v1").id == without  # where it would leave out the same
    (work / "run").write_text("changed\n")
    store.snapshot(work, exclude=["*.py"])
    assert store.find_snapshot("HEAD").id == only


def test_files_of_submodules_do_not_count(
    work: Path, store: codebatch.Store, tmp_path: Path
) -> None:
    inner = write_tree(tmp_path / "inner", {"i.py": "i"})
    git_init(inner)
    git(work, "submodule", "--quiet", "add", str(inner), "mod")
    git(work, "commit", "-q", "-m", "submodule")
    taken = store.snapshot(work)
    assert "mod/i.py" in {file.path for file in taken.files}
    assert store.find_snapshot("HEAD").id == taken.id
    (work / "run").write_text("changed\n")
    store.snapshot(work)
    assert store.find_snapshot("HEAD").id == taken.id


def test_batches_of_revisions_that_were_never_checked_out(
    work: Path, store: codebatch.Store
) -> None:
    old = store.batch(store.snapshot(work, rev="v1"), "parse").id
    new = store.batch(store.snapshot(work, rev="HEAD"), "parse").id
    assert store.find_batch("HEAD~2").id == old
    assert store.find_batch(git(work, "rev-parse", "--short", "HEAD").decode().strip()).id == new
    git(work, "gc", "-q", "--prune=now")
    assert store.find_batch("v1").id == old


def test_ids_and_names_come_first(work: Path, store: codebatch.Store) -> None:
    first = store.batch(store.snapshot(work), "parse").id
    second = store.batch("latest", "analyze").id
    assert store.find_batch("HEAD").id == second
    store.names["main"] = first
    assert store.find_batch("main").id == first
    assert store.find_batch("heads/main").id == second
    git(work, "tag", "latest", "v1")
    assert store.find_batch("latest").id == second


def test_what_is_missing_or_hostile_names_nothing(work: Path, store: codebatch.Store) -> None:
    folder = work / ".git"
    (folder / "refs/heads/loop").write_text("ref: refs/heads/loop\n")
    (folder / "refs/heads/bad").write_text("nonsense\n")
    os.mkfifo(folder / "refs/heads/pipe")
    (folder / "refs/heads/out").symlink_to("/etc/passwd")
    for name in ("loop", "bad", "pipe", "out"):
        assert resolved(name, work) is None
    store.snapshot(work)
    tree = git(work, "rev-parse", "HEAD^{tree}").decode().strip()
    (folder / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(NotFetchedError, match="the top folder is missing"):
        store.find_snapshot("HEAD")
    with pytest.raises(SnapshotNotFoundError, match="has the files of HEAD~1"):
        store.find_snapshot("HEAD~1")


def refuse(git_folder: Path, how: str) -> None:
    if how == "extension":
        git(git_folder, "config", "core.repositoryformatversion", "1")
        git(git_folder, "config", "extensions.foo", "1")
    else:
        (git_folder / how).unlink(missing_ok=True)
        os.mkfifo(git_folder / how)


@pytest.mark.parametrize("how", ["extension", "config", "shallow", "commondir"])
def test_a_refused_repository_is_not_passed_by(
    work: Path, store: codebatch.Store, how: str
) -> None:
    inner = write_tree(work / "inner", {"own.py": "own = 1\n"})
    git_init(inner, options=("-b", "main"))
    refuse(inner / ".git", how)
    words = "extensions.foo" if how == "extension" else "not a regular file"
    with pytest.raises(RepositoryNotFoundError, match=f"{inner} is not read: .*{words}"):
        store.snapshot(inner, rev="main")
    assert find_head(os.fsencode(inner)) == Head()


def test_the_repository_of_another_user_is_named_to_be_read(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody, users = 65534, {os.fsencode(work): 65534}
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if os.fsencode(path) in users:
            return os.stat_result((*status[:4], nobody, *status[5:]))
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    assert resolved("main", work) is not None
    with pytest.raises(RepositoryNotFoundError, match=f"{work} is not read: it is of another user"):
        resolved("main", work / "pkg")
    users[os.fsencode(work / "pkg")] = nobody  # which is no other one than that of the folder
    assert resolved("main", work / "pkg") is not None


@pytest.mark.parametrize("packed", [False, True])
def test_head_is_what_git_says(work: Path, packed: bool, tmp_path: Path) -> None:
    if packed:
        git(work, "pack-refs", "--all")
    commit = git(work, "rev-parse", "HEAD").decode().strip()
    assert find_head(os.fsencode(work / "pkg")) == Head("main", commit)
    git(work, "switch", "-q", "feature/x")
    before = git(work, "rev-parse", "HEAD").decode().strip()
    assert find_head(os.fsencode(work)) == Head("feature/x", before)
    git(work, "worktree", "add", "-q", "-b", "beside", str(tmp_path / "beside"), "main")
    assert find_head(os.fsencode(tmp_path / "beside")) == Head("beside", commit)
    git(work, "switch", "-q", "--detach", "main")
    assert find_head(os.fsencode(work)) == Head(None, commit)
    git(work, "switch", "-q", "--orphan", "unborn")
    assert find_head(os.fsencode(work)) == Head("unborn", None)


@pytest.mark.parametrize(
    "head", [b"", b"ref: refs/heads/../../config\n", b"ref: /etc/passwd\n", b"\xff\n", b"x" * 9999]
)
def test_head_that_leads_nowhere_is_none(work: Path, head: bytes) -> None:
    (work / ".git/HEAD").write_bytes(head)
    assert find_head(os.fsencode(work)).commit is None
