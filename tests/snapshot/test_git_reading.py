"""What git ignores and tracks, read without git: git itself is the oracle, in trusted trees."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest
from conftest import write_tree
from repositories import (
    generate_repository,
    git,
    git_files,
    git_ignored,
    git_init,
    walk,
    without_own_settings,
)

import codebatch
from codebatch.snapshot.descriptors import Folder
from codebatch.snapshot.git.objects import Objects
from codebatch.snapshot.tree import open_tree
from codebatch.snapshot.walk import TreeWalk

SEED = 20261129
TREE: dict[str, str | bytes] = {
    ".gitignore": "*.o\n/build/\n",
    "a.py": "",
    "a.o": "",
    "build/out": "",
    "sub/.gitignore": "*.tmp\n!keep.o\n",
    "sub/x.tmp": "",
    "sub/keep.o": "",
    "sub/in/y.tmp": "",
    "sub/in/y.py": "",
    "other/z.py": "",
    "other/z.o": "",
}


@pytest.fixture(autouse=True)
def _own_git_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)


def check(root: Path) -> None:
    """A walk takes and skips what git does."""
    taken, skipped = walk(root)
    assert taken == git_files(root)
    assert {path for path, reason in skipped.items() if reason == "ignored"} == git_ignored(root)


@pytest.mark.parametrize(
    "files", [150, pytest.param(2000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_generated_ignore_files_mean_what_git_says(files: int, tmp_path: Path) -> None:
    number = count = 0
    while count < files:
        root = tmp_path / f"t{number}"
        count += generate_repository(root, random.Random(SEED + number))
        check(root)
        shutil.rmtree(root)
        number += 1


# -- the index ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2", "3", "4"])
@pytest.mark.parametrize("objects", ["sha1", "sha256"])
@pytest.mark.parametrize("split", [False, True])
def test_every_form_of_index_is_read(
    version: str, objects: str, split: bool, tmp_path: Path
) -> None:
    root = write_tree(tmp_path / "t", TREE)
    git(root, "init", "-q", f"--object-format={objects}")
    git(root, "config", "index.version", version)
    git(root, "add", "-f", "build/out", "a.o", "sub/x.tmp")
    git(root, "add", "-N", "a.py")  # to be added: an extended flag
    if split:
        git(root, "update-index", "--split-index")
        git(root, "rm", "-q", "--cached", "a.o")
        git(root, "add", "-f", "other/z.o")
        git(root, "update-index", "--chmod=+x", "sub/x.tmp")
    check(root)


def test_damaged_index_is_no_index(tmp_path: Path) -> None:
    """The ignore files alone decide then, and nothing else happens."""
    root = write_tree(tmp_path / "t", TREE)
    git(root, "init", "-q")
    alone, _ = walk(root)
    git(root, "add", "-f", "-A")
    whole, _ = walk(root)
    assert whole > alone
    index = root / ".git/index"
    data = index.read_bytes()
    dice = random.Random(SEED)
    damages = [data[:size] for size in range(0, len(data) - 20, 7)]
    for _ in range(200):
        place = dice.randrange(len(data) - 20)
        damages.append(data[:place] + bytes([dice.randrange(256)]) + data[place + 1 :])
    for damage in damages:
        index.write_bytes(damage)
        taken, _ = walk(root)
        assert alone <= taken <= whole
    index.write_bytes(b"DIRC\0\0\0\2\xff\xff\xff\xff" + bytes(100))
    assert walk(root)[0] == alone


def test_index_of_another_time_is_seen(tmp_path: Path, store: codebatch.Store) -> None:
    """A tree that is known is walked again as soon as something is tracked that was not."""
    root = write_tree(tmp_path / "t", TREE)
    git_init(root)
    time.sleep(0.2)
    before = store.snapshot(root)
    assert store.snapshot(root).id == before.id
    git(root, "add", "-f", "a.o")
    assert {file.path for file in store.snapshot(root).files} == {
        *(file.path for file in before.files),
        "a.o",
    }


# -- sparse checkouts --------------------------------------------------------------------------


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A checkout in which the ignore files of ``sub`` and ``sub/in`` are not written."""
    root = write_tree(tmp_path / "t", {**TREE, "sub/in/.gitignore": "*.py\n"})
    git_init(root)
    git(root, "sparse-checkout", "set", "--no-cone", "/a.py", "/other/", "/.gitignore")
    assert not (root / "sub/.gitignore").exists()
    return write_tree(
        root, {"sub/x.tmp": "", "sub/new": "", "sub/keep.o": "", "sub/in/z.py": "", "sub/in/w": ""}
    )


@pytest.mark.parametrize("packed", [False, True])
def test_unwritten_ignore_files_are_read_from_the_objects(packed: bool, sparse: Path) -> None:
    if packed:
        git(sparse, "repack", "-adfq")
        git(sparse, "prune-packed")
        assert not list((sparse / ".git/objects").glob("??/*"))
    check(sparse)
    taken, skipped = walk(sparse)
    assert {b"sub/new", b"sub/keep.o", b"sub/in/w"} <= taken
    assert {b"sub/x.tmp", b"sub/in/z.py"} <= skipped.keys()


def test_unwritten_ignore_file_that_is_missing_is_none(
    sparse: Path, store: codebatch.Store
) -> None:
    name = git(sparse, "rev-parse", ":sub/.gitignore").decode().strip()
    stored = sparse / ".git/objects" / name[:2] / name[2:]
    aside = sparse / ".git/aside"
    stored.rename(aside)
    time.sleep(0.2)
    paths = {file.path for file in store.snapshot(sparse).files}
    assert "sub/x.tmp" in paths
    aside.rename(stored)  # fetched by the user in the meantime
    expected = paths - {"sub/x.tmp", "sub/in/y.tmp"} | {"sub/keep.o"}
    assert {file.path for file in store.snapshot(sparse).files} == expected


def test_sparse_index_stands_for_what_is_in_its_folders(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "t", {**TREE, "sub/deep/er/t.o": "", "sub/deep/er/t.py": ""})
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "add", "-f", "sub/deep/er/t.o")
    git(root, "commit", "-q", "-m", "all")
    git(root, "sparse-checkout", "set", "--cone", "--sparse-index", "other")
    assert b"040000" in git(root, "ls-files", "--sparse", "-s")
    write_tree(root, {"sub/deep/er/t.o": "", "sub/deep/er/u.o": "", "sub/x.tmp": "", "sub/new": ""})
    taken, skipped = walk(root)
    assert {b"sub/deep/er/t.o", b"sub/new"} <= taken
    assert {b"sub/deep/er/u.o", b"sub/x.tmp"} <= skipped.keys()
    check(root)  # git may write the index anew


@pytest.mark.parametrize("objects", ["sha1", "sha256"])
def test_objects_are_read_as_git_reads_them(objects: str, tmp_path: Path) -> None:
    """Loose, packed, and in packs with deltas of deltas."""
    root = tmp_path / "t"
    root.mkdir()
    git(root, "init", "-q", f"--object-format={objects}")
    dice = random.Random(SEED)
    lines = [f"line {number}\n" for number in range(300)]
    for version in range(30):
        lines[dice.randrange(300)] = f"changed in {version}\n"
        (root / "text").write_text("".join(lines))
        (root / str(version)).write_bytes(dice.randbytes(300))
        git(root, "add", "-A")
    everything = ("cat-file", "--batch-check=%(objectname)", "--batch-all-objects")
    names = git(root, *everything).decode().split()
    expected = {name: git(root, "cat-file", "blob", name) for name in names}
    for packing in (
        (),
        ("-adfq", "--depth=50", "--window=50"),
        ("-adq", "--no-write-bitmap-index"),
    ):
        if packing:
            git(root, "commit", "-q", "--allow-empty", "-m", "all")
            git(root, "repack", "--keep-unreachable", *packing)
            git(root, "prune-packed")
        with Folder.at(os.fsencode(root / ".git/objects")) as folder:
            reader = Objects(folder, 20 if objects == "sha1" else 32)
            for name, content in expected.items():
                found = reader.read(bytes.fromhex(name))
                assert found is not None
                assert (found.type, found.data) == (b"blob", content)
            assert reader.read(bytes(20)) is None


# -- where a repository is ---------------------------------------------------------------------


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A repository with a submodule that has one itself."""
    inner = write_tree(tmp_path / "inner", {"i.py": "", ".gitignore": "*.x\n"})
    git_init(inner)
    middle = write_tree(tmp_path / "middle", {"m.py": "", ".gitignore": "*.y\n"})
    git_init(middle)
    git(middle, "submodule", "--quiet", "add", str(inner), "inner")
    git(middle, "commit", "-q", "-m", "inner")
    root = write_tree(tmp_path / "outer", TREE)
    git_init(root)
    git(root, "submodule", "--quiet", "add", str(middle), "lib/middle")
    git(root, "submodule", "--quiet", "update", "--init", "--recursive")
    git(root, "commit", "-q", "-m", "middle")
    for folder in ("", "lib/", "lib/middle/", "lib/middle/inner/"):
        write_tree(root, {f"{folder}new.{end}": "" for end in "oxy"})
    return root


def test_submodules_count_by_their_own_rules(modules: Path) -> None:
    expected = git_files(modules) - {b"lib/middle"}
    for folder in (b"lib/middle", b"lib/middle/inner"):
        inside = git_files(modules / os.fsdecode(folder)) - {b"inner"}
        expected |= {folder + b"/" + path for path in inside}
    taken, _ = walk(modules)
    assert taken == expected
    for folder in ("lib/middle", "lib/middle/inner"):
        here, _ = walk(modules / folder)
        start = os.fsencode(folder) + b"/"
        assert here == {p[len(start) :] for p in expected if p.startswith(start)}


def test_submodule_that_is_not_checked_out_is_said_nothing_of(modules: Path) -> None:
    git(modules, "submodule", "--quiet", "deinit", "--force", "lib/middle")
    write_tree(modules, {"lib/middle/new.o": ""})
    taken, _ = walk(modules)
    assert b"lib/middle/new.o" in taken


def test_worktrees_inside_and_outside_of_their_repository(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "t", TREE)
    git_init(root)
    for place in ("inside", "../outside"):
        git(root, "worktree", "add", "-q", "--detach", place)
        side = root / place
        write_tree(side, {"new.o": "", "new.py": "", "sub/new.tmp": ""})
        git(side, "add", "-f", "sub/new.tmp")
        check(side)
        check(side / "sub")


def test_worktree_that_was_copied_is_not_believed(tmp_path: Path) -> None:
    """Its folder elsewhere names another work tree."""
    root = write_tree(tmp_path / "t", TREE)
    git_init(root)
    git(root, "worktree", "add", "-q", "--detach", "../side")
    git(tmp_path / "side", "add", "-f", *(write_tree(tmp_path / "side", {"b.o": ""}), "b.o")[1:])
    assert b"b.o" in walk(tmp_path / "side")[0]
    shutil.copytree(tmp_path / "side", tmp_path / "copy")
    assert b"b.o" not in walk(tmp_path / "copy")[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("where", ["around", "here"])
def test_repository_of_another_user_counts_unless_it_is_around(where: str, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "t", TREE)
    git_init(root)
    git(root, "add", "-f", "sub/x.tmp")
    os.chown(root, 12345, 12345)
    os.chown(root / ".git", 12345, 12345)
    taken, _ = walk(root / "sub" if where == "around" else root)
    assert ({b"x.tmp", b"sub/x.tmp"} & taken != set()) == (where == "here")


# -- what the user has set ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[core]\n\texcludesFile = ~/mine\n",
        '[core] excludesFile = "~/mine" ; a comment\n',
        "[core]\n\texcludesFile = /nowhere\n[Core]\n\tExcludesFile = ~/mi\\\nne\n",
        "[include]\n\tpath = more\n",
        '[includeIf "gitdir:~/../t/"]\n\tpath = more\n',
        '[includeIf "gitdir:**/t/.git"]\n\tpath = ~/more\n',
        '[includeIf "gitdir:/elsewhere/"]\n\tpath = more\n',
        '[includeIf "gitdir/i:**/T/"]\n\tpath = more\n',
        "[core]\n\texcludesFile =\n",
        "",
    ],
)
def test_excludes_of_the_user_count_as_git_has_them(text: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_tree(home, {"mine": "a.py\n", "more": "[core]\n\texcludesFile = ~/mine\n"})
    write_tree(home, {".config/git/ignore": "z.py\n", ".gitconfig": text})
    root = write_tree(tmp_path / "t", TREE)
    git_init(root, add=False)
    check(root)


def test_folders_of_which_all_is_ignored_are_skipped_as_a_whole(tmp_path: Path) -> None:
    root = write_tree(
        tmp_path / "t",
        {
            ".gitignore": "*.o\n",
            "all/x.o": "",
            "all/in/y.o": "",
            "some/x.o": "",
            "some/in/y": "",
            "tracked/x.o": "",
            "tracked/y": "",
            "with-empty/x.o": "",
            "with-repository/x.o": "",
        },
    )
    (root / "with-empty/empty").mkdir()
    git_init(root, add=False)
    git(root, "add", "tracked/y")
    git(tmp_path, "init", "-q", str(root / "with-repository/nested"))
    (root / "tracked/y").unlink()
    _, skipped = walk(root)
    assert {path for path, reason in skipped.items() if reason == "ignored"} == git_ignored(root)
    assert b"all" in skipped


# -- descriptors ---------------------------------------------------------------------------------


def test_deep_trees_take_few_descriptors(tmp_path: Path) -> None:
    """Branches at many depths, so that folders have to be opened again on the way back."""
    root = tmp_path / "deep"
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    for depth in range(400):
        for name in ("d", "e"):
            os.mkdir(name, dir_fd=descriptor)
        os.close(os.open(f"e/{depth % 7}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=descriptor))
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    with open_tree(root) as tree:
        found = TreeWalk(tree)
        count = 0
        for _ in found.entries():
            count += 1
            most = max(most, len(os.listdir("/proc/self/fd")) - before)
    assert count == 400
    assert not found.skipped
    assert most < 100
    assert len(os.listdir("/proc/self/fd")) == before
