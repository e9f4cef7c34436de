"""Snapshots: what is taken, under which id, and what is said of everything else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from conftest import OBEYING_PERMISSIONS, Outcome, cli_environment, make_tree, write_tree
from hypothesis import given, settings
from hypothesis import strategies as st
from repositories import git, git_files, git_init, without_own_settings

import codebatch
from codebatch.snapshot.take import SnapshotResult, take_snapshot


@pytest.fixture(autouse=True)
def _own_git_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_own_settings(tmp_path / "home", monkeypatch)


def taken_paths(snapshot: codebatch.Snapshot) -> list[bytes]:
    return [os.fsencode(file.path) for file in snapshot.files]


def skipped(snapshot: codebatch.Snapshot) -> dict[str, str]:
    assert snapshot.taken is not None
    return {file.path: file.reason for file in snapshot.taken.skipped}


def listing(root: Path) -> dict[str, tuple[int, int, str]]:
    """Every file of a store with its mtime, inode and content digest, but for the indexes, and
    for when things were asked for.
    """
    return {
        str(path.relative_to(root)): (
            path.stat().st_mtime_ns,
            path.stat().st_ino,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in root.rglob("*")
        if path.is_file() and root / "indexes" not in path.parents and path.name != "asked.json"
    }


def manifest_oracle(root: Path) -> list[tuple[bytes, str, int, str]]:
    """Path, digest, size and git mode of every file and link, by `os.walk` and hashlib."""
    rows = []
    base = os.fsencode(root)
    for folder, folders, files in os.walk(base):
        for name in files + [name for name in folders if os.path.islink(folder + b"/" + name)]:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                content, mode = os.readlink(path), "120000"
            else:
                with open(path, "rb") as stream:
                    content = stream.read()
                mode = "100755" if os.stat(path).st_mode & stat.S_IXUSR else "100644"
            relative = os.path.relpath(path, base)
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            rows.append((relative, digest, len(content), mode))
    return sorted(rows)


def manifest_rows(snapshot: codebatch.Snapshot) -> list[tuple[bytes, str, int, str]]:
    return [(os.fsencode(f.path), f.object, f.size, f.mode) for f in snapshot.files]


# -- identity --------------------------------------------------------------------------------


def test_manifest_is_what_the_file_system_says(tree: Path, store: codebatch.Store) -> None:
    snapshot = store.snapshot(tree)
    assert manifest_rows(snapshot) == manifest_oracle(tree)
    assert skipped(snapshot) == {}


def test_id_is_derived_from_the_manifest_alone(tree: Path, store: codebatch.Store) -> None:
    snapshot = store.snapshot(tree)
    manifest = (store.path / "snapshots" / snapshot.id / "files.index.jsonl").read_bytes()
    assert snapshot.id == "snap-" + hashlib.sha256(manifest).hexdigest()[:16]


def test_same_tree_elsewhere_has_the_same_id(
    tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    copy = tmp_path / "a place" / "with another name"
    umask = os.umask(0o077)
    try:
        # In the opposite order, so that the folders list their entries differently.
        for path in sorted(tree.rglob("*"), reverse=True):
            target = copy / path.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                target.symlink_to(os.readlink(path))
            elif path.is_file():
                shutil.copyfile(path, target)
                if path.stat().st_mode & stat.S_IXUSR:
                    target.chmod(0o700)
                os.utime(target, (1, 1))
        other = codebatch.open_store(tmp_path / "other", create=True)
        there = other.snapshot(copy)
    finally:
        os.umask(umask)
    assert there.id == store.snapshot(tree).id


def test_second_snapshot_writes_nothing(tree: Path, store: codebatch.Store) -> None:
    first = store.snapshot(tree)
    before = listing(store.path)
    second = store.snapshot(tree)
    assert (first.taken.created, second.taken.created) == (True, False)
    assert second.id == first.id
    assert listing(store.path) == before


def test_second_snapshot_of_a_large_file_writes_nothing(
    tmp_path: Path, store: codebatch.Store
) -> None:
    large = tmp_path / "tree" / "large.bin"
    large.parent.mkdir()
    with large.open("wb") as stream:
        stream.write(b"head")
        stream.truncate(33 * 2**20)
    store.snapshot(large.parent)
    before = listing(store.path)
    store.snapshot(large.parent)
    assert listing(store.path) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "pkg/empty.py").write_text(" "),
        lambda tree: (tree / "pkg/empty.py").rename(tree / "pkg/void.py"),
        lambda tree: (tree / "pkg/empty.py").unlink(),
        lambda tree: (tree / "pkg/empty.py").chmod(0o755),
        lambda tree: (tree / "new").write_bytes(b""),
        lambda tree: ((tree / "link.py").unlink(), (tree / "link.py").symlink_to("README.md")),
        lambda tree: (
            (tree / "link.py").unlink(),
            (tree / "link.py").write_text("pkg/cart.py"),
        ),
    ],
    ids="content name removal mode addition target link-to-file".split(),
)
def test_any_change_gives_another_id(
    change: Callable[[Path], object], tree: Path, store: codebatch.Store
) -> None:
    before = store.snapshot(tree)
    change(tree)
    assert store.snapshot(tree).id != before.id


def test_empty_folders_do_not_count(tree: Path, store: codebatch.Store) -> None:
    before = store.snapshot(tree)
    (tree / "nothing" / "in here").mkdir(parents=True)
    assert store.snapshot(tree).id == before.id


@pytest.mark.parametrize("files", [{}, {"a": b""}, {"a": b"", "b/c": b""}])
def test_empty_trees_and_files(
    files: dict[str, str | bytes], tmp_path: Path, store: codebatch.Store
) -> None:
    root = write_tree(tmp_path / "t", files)
    root.mkdir(exist_ok=True)
    snapshot = store.snapshot(root)
    assert manifest_rows(snapshot) == manifest_oracle(root)
    assert (snapshot.taken.file_count, snapshot.taken.total_bytes) == (len(files), 0)


# -- hypothesis: any names, any contents --------------------------------------------------------

NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: (
        not {b"/", b"\0"} & {bytes([byte]) for byte in name}
        and name not in (b".", b"..", b".git", b".gitignore", b".codebatchignore")
    )
)
TREES = st.dictionaries(NAMES, st.binary(max_size=300), max_size=8)


def materialise(root: bytes, files: dict[bytes, bytes]) -> None:
    os.makedirs(root)
    for index, (name, content) in enumerate(files.items()):
        folder = root + (b"/sub" if index % 3 == 2 and b"sub" not in files else b"")
        os.makedirs(folder, exist_ok=True)
        with open(folder + b"/" + name, "wb") as stream:
            stream.write(content)


@settings(max_examples=60)
@given(files=TREES)
def test_any_names_and_contents_survive(files: dict[bytes, bytes]) -> None:
    with tempfile.TemporaryDirectory() as base:
        root = Path(base, "tree")
        materialise(os.fsencode(root), files)
        store = codebatch.open_store(Path(base, "store"), create=True)
        snapshot = store.snapshot(root)
        expected = manifest_oracle(root)
        assert manifest_rows(snapshot) == expected
        read = store.find_snapshot(snapshot.id)  # from disk, not from memory
        assert manifest_rows(read) == expected


@settings(max_examples=40)
@given(one=TREES, other=TREES)
def test_ids_are_equal_exactly_for_equal_trees(
    one: dict[bytes, bytes], other: dict[bytes, bytes]
) -> None:
    with tempfile.TemporaryDirectory() as base:
        store = codebatch.open_store(Path(base, "store"), create=True)
        roots = [Path(base, name) for name in ("one", "again", "other")]
        for root, files in zip(roots, (one, one, other), strict=True):
            materialise(os.fsencode(root), files)
        ids = [store.snapshot(root).id for root in roots]
        assert ids[0] == ids[1]
        same = manifest_oracle(roots[0]) == manifest_oracle(roots[2])
        assert (ids[0] == ids[2]) == same


ODD_NAMES = {
    "not UTF-8": b"caf\xe9.py",
    "newline": b"new\nline.py",
    "colon": b"a:b",
    "backslash": b"back\\slash.py",
    "trailing space": b"space ",
    "leading dash": b"-rf",
    "two dots": b"..x",
    "255 bytes": b"n" * 255,
    "emoji": "\U0001f600.py".encode(),
    "composed": "\u00e9.py".encode(),
    "decomposed": "e\u0301.py".encode(),
    "encoded surrogate": b"\xed\xb3\xbf",
    "spelled escape": b"\\udcff",
    "lone byte": b"\xff",
    "escape sequence": b"\x1b[31mred\x1b[0m",
    "carriage return": b"a\rb",
    "next line": "a\u0085b\u2028c".encode(),
    "only spaces": b"   ",
    "quote": b"'\"`$(x)",
    "highest": "\U0010ffff".encode(),
}


def test_odd_names_are_taken_and_listed(
    tmp_path: Path, store: codebatch.Store, cli: Callable[..., Outcome]
) -> None:
    root = tmp_path / "odd"
    for folder in (b"", b"/-d \xff"):
        os.makedirs(os.fsencode(root) + folder)
        for name in ODD_NAMES.values():
            with open(os.fsencode(root) + folder + b"/" + name, "wb") as stream:
                stream.write(b"x = 1\n" + name)
    done = cli("scan", root, "--store", store.path, "--json", "--scheduler", "sync")
    assert done.code == 0, done.err
    found = json.loads(cli("files", "--store", store.path, "--json").stdout)
    expected = [(path, digest, size) for path, digest, size, _ in manifest_oracle(root)]
    assert [(os.fsencode(f["path"]), f["object"], f["size"]) for f in found] == expected


# -- links and special files ---------------------------------------------------------------------


def test_links_are_recorded_and_not_followed(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(tmp_path / "t", {"file": "content", "folder/inner": "inner"})
    targets = {
        "to-file": "file",
        "to-folder": "folder",
        "dangling": "nowhere",
        "loop": "loop",
        "upwards": "../..",
        "absolute": "/etc/passwd",
        "folder/back": "../folder",
    }
    for name, target in targets.items():
        (root / name).symlink_to(target)
    snapshot = store.snapshot(root)
    assert manifest_rows(snapshot) == manifest_oracle(root)
    links = {file.path: file.object for file in snapshot.files if file.mode == "120000"}
    assert links == {
        name: "sha256:" + hashlib.sha256(target.encode()).hexdigest()
        for name, target in targets.items()
    }


def test_root_may_be_a_link(tree: Path, tmp_path: Path, store: codebatch.Store) -> None:
    (tmp_path / "alias").symlink_to(tree)
    assert store.snapshot(tmp_path / "alias").id == store.snapshot(tree).id


def test_special_files_are_listed_with_their_kind(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="cb") as base:  # a socket's path must be short
        root = write_tree(Path(base, "t"), {"plain.py": "x = 1\n"})
        expected = {"pipe": "named pipe", "socket": "socket"}
        os.mkfifo(root / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(root / "socket"))
            if os.geteuid() == 0:
                try:
                    os.mknod(root / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
                    expected["null"] = "character device"
                except PermissionError:
                    pass  # a container without the right to make devices
            snapshot = codebatch.open_store(tmp_path / "s", create=True).snapshot(root)
    assert [file.path for file in snapshot.files] == ["plain.py"]
    assert skipped(snapshot) == expected


def test_unreadable_files_and_folders_are_listed(
    tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    root = write_tree(
        tmp_path / "t",
        {"open.py": "x = 1\n", "closed.py": "y = 2\n", "shut/in.py": "", "nolist/in.py": ""},
    )
    modes = {"closed.py": 0, "shut": 0, "nolist": 0o300}
    for name, mode in modes.items():
        (root / name).chmod(mode)
    store = tmp_path / "store"
    done = cli("scan", root, "--store", store, "-q", before=OBEYING_PERMISSIONS)
    shown = cli("snapshot", root, "--store", store, "--json", before=OBEYING_PERMISSIONS)
    for name in modes:
        (root / name).chmod(0o755)
    assert done.code == 0, done.err
    document = json.loads(shown.stdout)
    assert document["file_count"] == 1
    reasons = {entry["path"]: entry["reason"] for entry in document["skipped"]}
    assert reasons == {
        "closed.py": "unreadable file: permission denied",
        "nolist": "unreadable directory: permission denied",
        "shut": "unreadable directory: permission denied",
    }


def test_file_that_vanishes_is_listed(tmp_path: Path, store: codebatch.Store) -> None:
    """A progress call falls between two files: what is removed there is still to be read."""
    root = write_tree(tmp_path / "t", {"a.py": "x = 1\n", "b.py": "y = 2\n"})
    snapshot = store.snapshot(root, progress=lambda *_: (root / "b.py").unlink(missing_ok=True))
    assert skipped(snapshot) == {"b.py": "unreadable file: no such file or directory"}
    assert manifest_rows(snapshot) == manifest_oracle(root)


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_file_that_becomes_something_else_is_listed_and_not_waited_for(
    kind: str, tmp_path: Path, store: codebatch.Store
) -> None:
    root = write_tree(tmp_path / "t", {"a.py": "x = 1\n", "b.py": "y = 2\n"})
    make: dict[str, Callable[[Path], object]] = {
        "pipe": os.mkfifo,
        "link": lambda path: path.symlink_to("/etc/passwd"),
        "folder": os.mkdir,
    }

    def change(count: int, _: int) -> None:
        if count == 1:
            (root / "b.py").unlink()
            make[kind](root / "b.py")

    snapshot = store.snapshot(root, progress=change)
    assert [file.path for file in snapshot.files] in (["a.py"], ["a.py", "b.py"])
    for file in snapshot.files[1:]:  # it was seen as the link that it is by then
        assert (kind, file.mode) == ("link", "120000")
    assert len(snapshot.files) + len(skipped(snapshot)) == 2


def test_nearly_endless_path_never_aborts(tmp_path: Path, store: codebatch.Store) -> None:
    root = tmp_path / "deep"
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    try:
        for depth in range(25):  # 25 * 200 is beyond the 4,096 bytes a path may have
            for name in ("file.py", "d" * 199):
                if name == "file.py":
                    handle = os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=descriptor)
                    os.write(handle, b"x = %d\n" % depth)
                    os.close(handle)
                else:
                    os.mkdir(name, dir_fd=descriptor)
            inner = os.open("d" * 199, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
    finally:
        os.close(descriptor)
    snapshot = store.snapshot(root)
    taken = [file.path for file in snapshot.files]
    left = skipped(snapshot)
    assert len(taken) >= 19
    assert taken[0].count("/") == len(taken) - 1 or taken[-1].count("/") == 0
    # The first level that could not be looked at stands for everything below it.
    assert len(left) == 1
    (path,) = left
    assert "too long" in left[path]
    assert path.count("/") == len(taken) - 1 or path.rsplit("/", 1)[0].count("/") == len(taken) - 2
    shutil.rmtree(root, ignore_errors=True)


def test_large_file_is_streamed_and_reads_back(tmp_path: Path, store: codebatch.Store) -> None:
    root = tmp_path / "t"
    root.mkdir()
    block = hashlib.sha256(b"seed").digest() * 2**15
    with (root / "large.py").open("wb") as stream:
        for number in range(33):
            stream.write(bytes([number]) + block[1:])
    expected = subprocess.run(
        ["sha256sum", root / "large.py"], check=True, capture_output=True, text=True
    ).stdout.split()[0]
    (file,) = store.snapshot(root).files
    assert file.object == f"sha256:{expected}"
    assert file.size == 33 * 2**20
    (stored,) = (path for path in store.path.glob("objects/**/*") if path.is_file())
    assert stored.name == f"{expected}.zst"
    if shutil.which("zstd"):
        show = f"zstd -dc {stored} | sha256sum"
        raw = subprocess.run(show, shell=True, check=True, capture_output=True, text=True)
        assert raw.stdout.split()[0] == expected
    batch = store.batch("latest", "parse")
    assert batch.run("sync").status == "done"
    assert [record["reason"] for record in batch.records(kind="skip")] == ["too large"]


# -- what is ignored ------------------------------------------------------------------------------

IGNORED_TREE: dict[str, str | bytes] = {
    ".gitignore": "*.o\n/build/\n!keep.o\nlogs/*\n!logs/keep\n**/cache\n# comment\n\\#odd\n",
    "a.py": "",
    "a.o": "",
    "keep.o": "",
    "build/out.py": "",
    "build/tracked.py": "",
    "sub/.gitignore": "*.tmp\n!a.o\n/only-here\nbuild\n",
    "sub/a.o": "",
    "sub/b.o": "",
    "sub/x.tmp": "",
    "sub/only-here": "",
    "sub/deeper/only-here": "",
    "sub/build/x": "",
    "logs/one": "",
    "logs/keep": "",
    "deep/er/cache/x": "",
    "deep/er/cached": "",
    "#odd": "",
    "new.py": "",
    "d\u00e9j\u00e0/vu.o": "",
    "d\u00e9j\u00e0/vu.py": "",
}


def check_against_git(root: Path, store: codebatch.Store) -> codebatch.Snapshot:
    snapshot = store.snapshot(root)
    assert set(taken_paths(snapshot)) == git_files(root)
    check_complete(root, snapshot)
    return snapshot


def check_complete(root: Path, snapshot: codebatch.Snapshot) -> None:
    """Everything on disk is taken, or skipped, or below something skipped."""
    taken = set(taken_paths(snapshot))
    left = {os.fsencode(path) for path in skipped(snapshot)}
    for path, *_ in manifest_oracle(root):
        parts = path.split(b"/")
        above = {b"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
        assert (path in taken) != bool(above & left), path


def test_git_work_tree_is_taken_as_git_sees_it(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(tmp_path / "t", IGNORED_TREE)
    git(root, "init", "-q")
    git(root, "add", "a.py", ".gitignore", "sub")
    git(root, "add", "-f", "a.o", "build/tracked.py", "sub/x.tmp")
    git(root, "commit", "-q", "-m", "some")
    (root / "sub/b.o").unlink()
    (root / "a.py").unlink()  # tracked and deleted
    snapshot = check_against_git(root, store)
    paths = taken_paths(snapshot)
    assert {b"a.o", b"build/tracked.py", b"sub/x.tmp", b"keep.o"} <= set(paths)
    assert skipped(snapshot)[".git"] == "git metadata"
    assert skipped(snapshot)["build/out.py"] == "ignored"


def test_subfolder_of_a_repository(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(tmp_path / "t", IGNORED_TREE)
    git_init(root)
    git(root, "add", "-f", "build/tracked.py")
    for folder in ("sub", "logs", "deep/er", "d\u00e9j\u00e0"):
        check_against_git(root / folder, store)


def test_git_info_exclude_and_global_excludes_count(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(tmp_path / "t", {"a.py": "", "mine": "", "theirs": ""})
    git_init(root, add=False)
    (root / ".git/info/exclude").write_text("mine\n")
    excludes = tmp_path / "home/.config/git/ignore"
    excludes.parent.mkdir(parents=True)
    excludes.write_text("theirs\n")
    snapshot = check_against_git(root, store)
    assert taken_paths(snapshot) == [b"a.py"]


def test_nested_repositories_are_taken_by_their_own_rules(
    tmp_path: Path, store: codebatch.Store
) -> None:
    root = write_tree(tmp_path / "t", {**IGNORED_TREE, "nested/x.py": "", "nested/y.o": ""})
    write_tree(root / "nested", {"z.tmp": "", ".gitignore": "*.tmp\n", "in/ner/w.py": ""})
    git_init(root / "nested")
    git_init(root / "nested/in/ner")
    git_init(root)
    snapshot = store.snapshot(root)
    outer = {path for path in git_files(root) if not (root / os.fsdecode(path)).is_dir()}
    nested = {path for path in git_files(root / "nested") if path != b"in/ner/"}
    inner = git_files(root / "nested/in/ner")
    expected = outer | {b"nested/" + path for path in nested} - {b"nested/in/ner"}
    expected |= {b"nested/in/ner/" + path for path in inner}
    assert set(taken_paths(snapshot)) == expected
    assert b"nested/y.o" in expected
    check_complete(root, snapshot)


def test_root_that_an_enclosing_repository_ignores(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(
        tmp_path / "repo",
        {
            ".gitignore": "vendor/\n*.md\n",
            "vendor/lib/a.py": "",
            "vendor/lib/a.md": "",
            "vendor/lib/.gitignore": "*.o\n",
            "vendor/lib/a.o": "",
        },
    )
    git_init(root)
    snapshot = store.snapshot(root / "vendor/lib")
    assert taken_paths(snapshot) == [b".gitignore", b"a.md", b"a.py"]


def test_worktree_whose_git_is_a_file(tmp_path: Path, store: codebatch.Store) -> None:
    root = write_tree(tmp_path / "t", {"a.py": "", ".gitignore": "*.o\n"})
    git_init(root)
    git(root, "worktree", "add", "-q", str(tmp_path / "side"))
    (tmp_path / "side/b.o").write_text("")
    snapshot = check_against_git(tmp_path / "side", store)
    assert skipped(snapshot) == {".git": "git metadata", "b.o": "ignored"}


def as_git_would(root: Path, tmp_path: Path) -> set[bytes]:
    """What git takes of a copy of the tree that was made a repository."""
    copy = Path(tempfile.mkdtemp(dir=tmp_path)) / "copy"
    shutil.copytree(root, copy, symlinks=True)
    git_init(copy, add=False)
    return git_files(copy)


PATTERN_FILES = {
    "many rules": IGNORED_TREE[".gitignore"],
    "CRLF": b"*.o\r\nbuild/\r\n",
    "BOM": b"\xef\xbb\xbf*.o\nbuild/\n",
    "no final newline": b"*.o",
    "trailing spaces": b"*.o   \nkeep\\ \n",
    "not UTF-8": b"caf\xe9\n*.o\n",
    "form feed in a line": b"a\x0cb\n*.o\n",
    "line separator in a line": "sub\u2028deeper\n*.o\n".encode(),
    "next line in a line": "logs\u0085build\n*.o\n".encode(),
    "classes": b"[a-b].[!p]*\n[[:digit:]]*\n",
    "only negation": b"!*.o\n",
    "negated below an ignored folder": b"build/\n!build/tracked.py\n",
    "everything but": b"*\n!*/\n!*.py\n",
    "slash in the middle": b"sub/deeper\ner/cache\n",
    "double star": b"**/cache/**\nsub/**/only-here\nlogs/**\n",
    "bad patterns": b"[\n!\n/\n//\n\\\n***\n*.o\n",
    "escapes": b"\\!x\n\\#odd\n\\a.o\n",
}


@pytest.mark.parametrize("name", PATTERN_FILES)
def test_ignore_files_outside_git_mean_what_git_says(
    name: str, tmp_path: Path, store: codebatch.Store
) -> None:
    root = write_tree(tmp_path / "t", {**IGNORED_TREE, ".gitignore": PATTERN_FILES[name]})
    write_tree(root, {"keep ": "", "a\x0cb": "", "!x": "", "1": ""})
    (root / "build-link").symlink_to("build")
    snapshot = store.snapshot(root)
    assert set(taken_paths(snapshot)) == as_git_would(root, tmp_path)
    check_complete(root, snapshot)


PATTERNS = st.lists(
    st.text(alphabet="ab/*?![]\\.c-", min_size=1, max_size=7).map(lambda text: text + "\n"),
    min_size=1,
    max_size=4,
).map("".join)
SMALL_TREE = ("a", "b.c", "c", "ab/a", "ab/b.c", "ba/ab/c", "ba/ab/a.b", "ba/b", "c-a/a/b", "!a")


@settings(max_examples=60)
@given(outer=PATTERNS, inner=PATTERNS)
def test_random_ignore_files_outside_git_mean_what_git_says(outer: str, inner: str) -> None:
    with tempfile.TemporaryDirectory() as base:
        files: dict[str, str | bytes] = dict.fromkeys(SMALL_TREE, "")
        root = write_tree(Path(base, "t"), {**files, ".gitignore": outer, "ba/.gitignore": inner})
        store = codebatch.open_store(Path(base, "store"), create=True)
        snapshot = store.snapshot(root)
        assert set(taken_paths(snapshot)) == as_git_would(root, Path(base))
        check_complete(root, snapshot)


@pytest.mark.parametrize("in_git", [False, True])
def test_own_ignore_file_counts_everywhere(
    in_git: bool, tmp_path: Path, store: codebatch.Store
) -> None:
    root = write_tree(
        tmp_path / "t",
        {
            ".codebatchignore": "generated/\n*.sql\n!keep.sql\n",
            "generated/a.py": "",
            "a.sql": "",
            "keep.sql": "",
            "sub/.codebatchignore": "*.md\n!a.sql\n",
            "sub/a.md": "",
            "sub/a.sql": "",
            "b.md": "",
        },
    )
    if in_git:
        git_init(root)
    snapshot = store.snapshot(root)
    expected = [".codebatchignore", "b.md", "keep.sql", "sub/.codebatchignore", "sub/a.sql"]
    assert [file.path for file in snapshot.files] == expected
    check_complete(root, snapshot)


def test_no_ignore_takes_all_but_stores(tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    root = write_tree(tmp_path / "t", {**IGNORED_TREE, ".codebatchignore": "*.py\n"})
    git_init(root)
    for name in (".codebatch", "sub/results"):
        assert cli("init", root / name).code == 0
    everything = manifest_oracle(root)
    store = root / ".codebatch"
    done = cli("snapshot", root, "--store", store, "--no-ignore", "--json")
    document = json.loads(done.stdout)
    assert document["skipped"] == [
        {"path": ".codebatch", "reason": "codebatch store"},
        {"path": "sub/results", "reason": "codebatch store"},
    ]
    taken = taken_paths(codebatch.open_store(store).find_snapshot(document["snapshot_id"]))
    stores = (b".codebatch/", b"sub/results/")
    assert taken == [path for path, *_ in everything if not path.startswith(stores)]
    assert any(path.startswith(b".git/") for path in taken)


def test_folder_named_as_the_store_is_code_unless_it_is_one(
    tmp_path: Path, store: codebatch.Store
) -> None:
    root = write_tree(
        tmp_path / "t", {".codebatch/a.py": "", "x/store.json": '{"format": "other"}', "x/b": ""}
    )
    snapshot = store.snapshot(root)
    assert [file.path for file in snapshot.files] == [".codebatch/a.py", "x/b", "x/store.json"]


def test_scanning_twice_in_place_is_stable(tmp_path: Path, cli: Callable[..., Outcome]) -> None:
    """The store that the first scan makes inside the tree changes nothing for the second."""
    root = make_tree(tmp_path / "t")
    git_init(root)
    first = json.loads(cli("scan", ".", "--json", cwd=root).stdout)
    second = json.loads(cli("scan", ".", "--json", cwd=root).stdout)
    assert (first["errors"], second["errors"]) == ([], [])
    assert second["snapshot_id"] == first["snapshot_id"]
    assert second["result"] == first["result"]
    assert second["files"]["computed"] == 0
    status = subprocess.run(
        ["git", "status", "--porcelain"],
        cwd=root,
        env=cli_environment(),
        check=True,
        capture_output=True,
    )
    assert status.stdout == b""


@pytest.mark.parametrize("place", ["missing", "file/inner", "a\0b"])
def test_what_is_no_folder_is_refused(place: str, tmp_path: Path, store: codebatch.Store) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(codebatch.CodeBatchError) as refused:
        store.snapshot(tmp_path / place)
    assert (refused.value.code, refused.value.exit_code) == ("SOURCE_NOT_FOUND", 2)


def test_store_itself_is_no_source(store: codebatch.Store) -> None:
    """Its own growth would be part of what it records."""
    try:
        snapshot = store.snapshot(store.path)
    except codebatch.CodeBatchError:
        return
    assert snapshot.files == []


# -- the stat cache --------------------------------------------------------------------------

SETTLING_SECONDS = 0.15
_opened: list[str] = []
_listed: list[str] = []


def _note_opened(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes | Path):
        _opened.append(os.fsdecode(arguments[0]))
    elif event == "os.scandir" and isinstance(arguments[0], int):
        _listed.append(_path_of(arguments[0]))


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


sys.addaudithook(_note_opened)


def _open_and_note(
    path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None, open_: Any = os.open
) -> int:
    """An audit hook is not told the folder that a name is relative to."""
    if dir_fd is not None:
        _opened.append(os.path.join(_path_of(dir_fd), os.fsdecode(path)))
    return open_(path, flags, mode, dir_fd=dir_fd)  # type: ignore[no-any-return]


def files_read(root: Path, take: Callable[[], object]) -> set[str]:
    """The files below ``root``, not its folders, that are opened meanwhile."""
    _opened.clear()
    with mock.patch.object(os, "open", _open_and_note):
        take()
    below = [path for path in _opened if path.startswith(f"{root}/") and os.path.isfile(path)]
    return {os.path.relpath(path, root) for path in below}


def folders_listed(root: Path, take: Callable[[], object]) -> set[str]:
    """The folders of the tree whose entries are looked at meanwhile."""
    _listed.clear()
    take()
    return {os.path.relpath(path, root) for path in _listed if path.startswith(f"{root}/")}


def settle(store: codebatch.Store, root: Path, *, ignore: bool = True) -> SnapshotResult:
    """Snapshot a tree that nobody has touched for a while, so that it is known from then on."""
    time.sleep(SETTLING_SECONDS)
    return replace(take_snapshot(store.directory, root, ignore=ignore), created=False)


def take_anew(base: Path, root: Path, *, ignore: bool = True) -> SnapshotResult:
    """What a store says that has never seen the tree: the oracle."""
    number = len(list(base.glob("anew-*")))
    store = codebatch.open_store(base / f"anew-{number}", create=True)
    return replace(take_snapshot(store.directory, root, ignore=ignore), created=False)


def stat_caches(store: codebatch.Store) -> list[Path]:
    return sorted((store.path / "indexes" / "stat").iterdir())


def overwrite(path: Path, text: str) -> None:
    """Other content, and the times as they were."""
    before = path.stat()
    assert before.st_size == len(text)
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_file(path: Path, text: str) -> None:
    """Another file under the name, of the same size and with the same modification time."""
    other = path.with_name("other")
    other.write_text(text)
    before = path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


CACHED_TREE: dict[str, str | bytes] = {
    "a.py": "x = 1\n",
    "b.py": "y = 2\n",
    "pkg/c.py": "z = 3\n",
    "pkg/deep/d.py": "w = 4\n",
    "pkg/data.json": "{}",
    "twin/c.py": "z = 4\n",
    "twin/deep/d.py": "w = 5\n",
    "twin/data.json": "[]",
    "build/out.py": "o = 1\n",
    "build/kept.txt": "kept",
    ".gitignore": "build\n*.log\n",
    "pkg/.codebatchignore": "*.json\n.codebatchignore\n",
    "run.log": "log",
}
CACHED_RULES = (".gitignore", "pkg/.codebatchignore")
CACHED_FOLDERS = {"pkg", "pkg/deep", "twin", "twin/deep"}  # but for the root, and what is ignored


@pytest.fixture
def cached_tree(tmp_path: Path) -> Path:
    root = write_tree(tmp_path / "cached", CACHED_TREE)
    (root / "link").symlink_to("a.py")
    os.mkfifo(root / "pipe")
    return root


def test_unchanged_tree_is_not_read(cached_tree: Path, store: codebatch.Store) -> None:
    first = take_snapshot(store.directory, cached_tree)
    settled = settle(store, cached_tree)
    results = []
    steps = []
    take = partial(take_snapshot, store.directory, cached_tree, progress=lambda *s: steps.append(s))
    read = files_read(cached_tree, lambda: results.append(take()))
    assert read == set()
    assert results == [settled] == [replace(first, created=False)]
    assert steps == [(first.file_count, first.total_bytes)]


def test_only_what_changed_is_read(cached_tree: Path, store: codebatch.Store) -> None:
    settle(store, cached_tree)
    (cached_tree / "pkg/c.py").write_text("z = 9\n")
    take = partial(take_snapshot, store.directory, cached_tree)
    assert files_read(cached_tree, take) - {".gitignore", "pkg/.codebatchignore"} == {"pkg/c.py"}


@pytest.mark.parametrize(
    ("edit", "read", "listed"),
    [
        ("content", {"a.py"}, set()),
        ("same size and time", {"a.py"}, set()),
        ("executable", {"a.py"}, set()),
        ("touched", {"a.py"}, set()),
        ("deep", {"pkg/deep/d.py", "twin/c.py"}, set()),
        ("saved at once", {"pkg/deep/d.py", *CACHED_RULES}, CACHED_FOLDERS),
        ("folder touched", set(CACHED_RULES), CACHED_FOLDERS),
    ],
)
def test_edited_files_alone_are_looked_at(
    edit: str,
    read: set[str],
    listed: set[str],
    cached_tree: Path,
    tmp_path: Path,
    store: codebatch.Store,
) -> None:
    settle(store, cached_tree)
    EDITS[edit](cached_tree)
    time.sleep(SETTLING_SECONDS)
    results, reads, steps = [], [], []
    take = partial(take_snapshot, store.directory, cached_tree, progress=lambda *s: steps.append(s))
    take_and_note = partial(files_read, cached_tree, lambda: results.append(take()))
    assert folders_listed(cached_tree, lambda: reads.append(take_and_note())) == listed
    (taken,) = results
    assert reads == [read]
    assert steps[-1] == (taken.file_count, taken.total_bytes)
    assert len(steps) == (taken.file_count if listed else 1)
    assert replace(taken, created=False) == take_anew(tmp_path, cached_tree)
    assert len(store.find_snapshot(taken.snapshot_id).files) == taken.file_count
    assert folders_listed(cached_tree, lambda: reads.append(take_and_note())) == set()
    assert reads == [read, set()]


def test_tree_that_holds_its_store_is_not_walked_for_it(cached_tree: Path, tmp_path: Path) -> None:
    store = codebatch.open_store(cached_tree / "pkg" / "store", create=True)
    settle(store, cached_tree)
    (store.path / "batches").mkdir()
    (cached_tree / "a.py").write_text("x = 2\n")
    take = partial(take_snapshot, store.directory, cached_tree)
    assert folders_listed(cached_tree, take) == set()
    assert replace(take(), created=False) == take_anew(tmp_path, cached_tree)


@pytest.mark.sample(10)
@pytest.mark.parametrize("place", ["twin", "build"])
@pytest.mark.parametrize("was", ["store", "other"])
@pytest.mark.parametrize("edit", ["store", "other", "folder", "touched", "nothing"])
def test_what_marks_a_store_is_looked_at_again(
    place: str, was: str, edit: str, cached_tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    texts = {"store": (store.path / "store.json").read_text(), "other": "{}"}
    mark = cached_tree / place / "store.json"
    mark.write_text(texts[was])
    settle(store, cached_tree)
    if edit == "folder":
        mark.unlink()
        mark.mkdir()
    elif edit == "touched":
        os.utime(mark)
    elif edit != "nothing":
        mark.write_text(texts[edit])
    take = partial(take_snapshot, store.directory, cached_tree)
    assert (folders_listed(cached_tree, take) == set()) == (edit == "nothing")
    assert replace(take(), created=False) == take_anew(tmp_path, cached_tree)
    time.sleep(SETTLING_SECONDS)
    (cached_tree / "a.py").write_text("x = 9\n")
    assert replace(take(), created=False) == take_anew(tmp_path, cached_tree)


def test_without_the_cache_everything_is_read(cached_tree: Path, store: codebatch.Store) -> None:
    settled = settle(store, cached_tree)
    read = files_read(
        cached_tree, lambda: take_snapshot(store.directory, cached_tree, use_cache=False)
    )
    assert len(read - {"pkg/.codebatchignore"}) == settled.file_count - 1  # but for the link


EDITS: dict[str, Callable[[Path], object]] = {
    "content": lambda root: (root / "a.py").write_text("x = 1000\n"),
    "same size": lambda root: (root / "a.py").write_text("x = 2\n"),
    "same size and time": lambda root: overwrite(root / "a.py", "x = 2\n"),
    "another inode": lambda root: replace_file(root / "a.py", "x = 2\n"),
    "recreated": lambda root: ((root / "a.py").unlink(), (root / "a.py").write_text("x = 2\n")),
    "touched": lambda root: os.utime(root / "a.py"),
    "nothing": lambda root: None,
    "deep": lambda root: (
        (root / "pkg/deep/d.py").write_text("w = 44\n"),
        (root / "twin/c.py").write_text("z = 44\n"),
    ),
    "saved at once": lambda root: replace_file(root / "pkg/deep/d.py", "w = 5\n"),
    "folder touched": lambda root: os.utime(root / "pkg/deep"),
    "folder recreated": lambda root: (
        shutil.copytree(root / "twin", root / "t"),
        shutil.rmtree(root / "twin"),
        (root / "t").rename(root / "twin"),
    ),
    "file to folder": lambda root: ((root / "a.py").unlink(), (root / "a.py").mkdir()),
    "folder to file": lambda root: (shutil.rmtree(root / "twin"), (root / "twin").write_text("")),
    "ignored file to folder": lambda root: (
        (root / "run.log").unlink(),
        codebatch.open_store(root / "run.log", create=True),
    ),
    "ignored folder to file": lambda root: (
        shutil.rmtree(root / "build"),
        (root / "build").write_text(""),
    ),
    "ignored file to store": lambda root: (
        (root / "pkg/data.json").unlink(),
        codebatch.open_store(root / "pkg/data.json", create=True),
    ),
    "rules for folders": lambda root: (
        overwrite(root / ".gitignore", "build/\n*.log"),
        shutil.rmtree(root / "build"),
        (root / "build").write_text(""),
    ),
    "executable": lambda root: (root / "a.py").chmod(0o755),
    "file to link": lambda root: (
        (root / "a.py").unlink(),
        (root / "a.py").symlink_to("b.py"),
    ),
    "link target": lambda root: (
        (root / "link").unlink(),
        (root / "link").symlink_to("b.py"),
    ),
    "link to file": lambda root: ((root / "link").unlink(), (root / "link").write_text("a.py")),
    "removed": lambda root: (root / "pkg/deep/d.py").unlink(),
    "renamed": lambda root: (root / "a.py").rename(root / "aa.py"),
    "exchanged": lambda root: (
        (root / "a.py").rename(root / "t"),
        (root / "b.py").rename(root / "a.py"),
        (root / "t").rename(root / "b.py"),
    ),
    "added": lambda root: (root / "pkg/deep/e.py").write_text(""),
    "folder exchanged": lambda root: (
        (root / "pkg").rename(root / "t"),
        (root / "twin").rename(root / "pkg"),
    ),
    "folder to link": lambda root: (
        (root / "pkg").rename(root / "t"),
        (root / "pkg").symlink_to("twin"),
    ),
    "folder gone": lambda root: shutil.rmtree(root / "twin"),
    "empty folder": lambda root: (root / "empty").mkdir(),
    "rules": lambda root: (root / ".gitignore").write_text("pkg\n*.log\n"),
    "rules gone": lambda root: (root / ".gitignore").unlink(),
    "rules that ignore themselves": lambda root: overwrite(
        root / "pkg/.codebatchignore", "d.py  \n.codebatchignore\n"
    ),
    "rules added": lambda root: (root / "twin/.gitignore").write_text("*.py\n"),
    "in an ignored folder": lambda root: (root / "build/more.py").write_text(""),
    "store": lambda root: codebatch.open_store(root / "s", create=True),
    "store in an ignored folder": lambda root: shutil.copytree(
        codebatch.open_store(root.parent / "s", create=True).path,
        root / "build",
        dirs_exist_ok=True,
    ),
    "special file": lambda root: ((root / "pipe").unlink(), (root / "pipe").write_text("")),
    "repository": lambda root: git(root, "init", "-q"),
    "inner repository": lambda root: (
        git(root / "pkg", "init", "-q"),
        (root / "pkg/.git/info/exclude").write_text("deep\n"),
    ),
    "repository around": lambda root: (
        git(root.parent, "init", "-q"),
        (root.parent / ".git/info/exclude").write_text("/cached/a.py\n"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("ignore", [True, False], ids=["ignore", "all"])
def test_edits_are_seen_as_without_a_cache(
    edit: str, ignore: bool, cached_tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    settle(store, cached_tree, ignore=ignore)
    EDITS[edit](cached_tree)
    seen = take_snapshot(store.directory, cached_tree, ignore=ignore)
    expected = take_anew(tmp_path, cached_tree, ignore=ignore)
    assert replace(seen, created=False) == expected
    assert take_snapshot(store.directory, cached_tree, ignore=ignore) == expected
    assert settle(store, cached_tree, ignore=ignore) == expected


@pytest.mark.parametrize(
    "edit",
    [
        lambda root: git(root, "add", "-f", "run.log"),
        lambda root: git(root, "rm", "-q", "--cached", "build/kept.txt"),
        lambda root: (root / ".git/info/exclude").write_text("b.py\n"),
        lambda root: (
            (Path.home() / ".config/git").mkdir(parents=True),
            (Path.home() / ".config/git/ignore").write_text("twin\n"),
        ),
        lambda root: (
            (root / ".git/excludes").write_text("twin\n"),
            git(root, "config", "core.excludesFile", ".git/excludes"),
        ),
        lambda root: shutil.rmtree(root / ".git"),
    ],
    ids=["added by force", "untracked", "exclude", "global", "configured", "no repository"],
)
def test_what_git_ignores_by_now_is_asked_again(
    edit: Callable[[Path], object], cached_tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    git_init(cached_tree, add=False)
    git(cached_tree, "add", "-f", "build/kept.txt")
    before = settle(store, cached_tree)
    assert take_snapshot(store.directory, cached_tree) == before
    edit(cached_tree)
    expected = take_anew(tmp_path, cached_tree)
    assert expected.snapshot_id != before.snapshot_id
    assert replace(take_snapshot(store.directory, cached_tree), created=False) == expected


def test_file_that_changes_as_fast_as_it_is_read_is_seen(
    cached_tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    """Within one tick of the clock, size and times of both contents are equal."""
    settle(store, cached_tree)
    path = cached_tree / "a.py"
    for number in range(60):
        with path.open("r+") as stream:
            stream.write(f"x = {number % 10}\n")
        snapshot = store.snapshot(cached_tree)
        (found,) = (file.object for file in snapshot.files if file.path == "a.py")
        assert found == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_file_from_the_future_is_read_each_time(cached_tree: Path, store: codebatch.Store) -> None:
    path = cached_tree / "a.py"
    os.utime(path, (2**32, 2**32))
    settle(store, cached_tree)
    take = partial(take_snapshot, store.directory, cached_tree)
    assert "a.py" in files_read(cached_tree, take)


def test_file_that_leaves_for_the_future_is_read_each_time(
    cached_tree: Path, store: codebatch.Store
) -> None:
    settle(store, cached_tree)
    os.utime(cached_tree / "a.py", (2**32, 2**32))
    take = partial(take_snapshot, store.directory, cached_tree)
    assert [files_read(cached_tree, take) for _ in range(2)] == [{"a.py"}] * 2


def test_times_before_1970_do_no_harm(
    cached_tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    os.utime(cached_tree / "a.py", (-5, -5))
    settled = settle(store, cached_tree)
    assert (
        take_snapshot(store.directory, cached_tree) == settled == take_anew(tmp_path, cached_tree)
    )
    overwrite(cached_tree / "a.py", "x = 2\n")
    seen = take_snapshot(store.directory, cached_tree)
    assert replace(seen, created=False) == take_anew(tmp_path, cached_tree) != settled


def test_trees_of_one_store_do_not_mix(
    cached_tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    other = tmp_path / "other"
    shutil.copytree(cached_tree / "pkg", other, symlinks=True)
    (other / "c.py").write_text("z = 0\n")
    roots = [(cached_tree, True), (cached_tree, False), (cached_tree / "pkg", True), (other, True)]
    expected = [take_anew(tmp_path, root, ignore=ignore) for root, ignore in roots]
    for _ in range(3):
        assert [settle(store, root, ignore=ignore) for root, ignore in roots] == expected
    assert len(stat_caches(store)) == len(roots)


def test_root_by_another_name_is_the_same_tree(
    cached_tree: Path, tmp_path: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = settle(store, cached_tree)
    (tmp_path / "alias").symlink_to(cached_tree)
    monkeypatch.chdir(cached_tree / "pkg")
    for name in (tmp_path / "alias", Path(".."), cached_tree / "twin" / ".."):
        assert take_snapshot(store.directory, name) == settled
    (tmp_path / "alias").unlink()
    (tmp_path / "alias").symlink_to(cached_tree / "pkg")
    there = take_snapshot(store.directory, tmp_path / "alias")
    assert replace(there, created=False) == take_anew(tmp_path, cached_tree / "pkg")


def without_checksum(data: bytes) -> tuple[dict[str, Any], bytes]:
    header, _, blocks = data[64:].partition(b"\n")
    return json.loads(header), blocks


def with_checksum(header: object, blocks: bytes) -> bytes:
    body = (header if isinstance(header, bytes) else json.dumps(header).encode()) + b"\n" + blocks
    return hashlib.sha256(body).hexdigest().encode() + body


def forged(**changes: object) -> Callable[[bytes], bytes]:
    """A cache whose header was changed by someone who knows how to compute the checksum."""

    def forge(data: bytes) -> bytes:
        header, blocks = without_checksum(data)
        return with_checksum({**header, **changes}, blocks)

    return forge


CACHE_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "no end": lambda data: data[:-1],
    "longer": lambda data: data + b"\0a.py",
    "first bit": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "middle bit": lambda data: data[:900] + bytes([data[900] ^ 1]) + data[901:],
    "last bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "foreign": lambda data: b"SQLite format 3\0" * 100,
    "no JSON": lambda data: with_checksum(b"{", b""),
    "a number": lambda data: with_checksum(b"1", b""),
    "nothing": lambda data: with_checksum({}, b""),
    "deep": lambda data: with_checksum(b"[" * 100_000, b""),
    "another format": forged(format="codebatch-stat-cache/2"),
    "another reader": forged(circumstances={"reader": {}, "git": {}}),
    "no circumstances": forged(circumstances=None),
    "odd repository": lambda data: with_checksum(
        {
            **without_checksum(data)[0],
            "circumstances": {
                **without_checksum(data)[0]["circumstances"],
                "git": {"": "", "a\0b": "", "../x": "", "\ud800": 1},
            },
        },
        without_checksum(data)[1],
    ),
    "no answer": forged(answer={}),
    "odd answer": forged(answer=[1]),
    "outside": forged(answer={"snapshot_id": "../..", "total_bytes": 1, "skipped": []}),
    "unknown snapshot": forged(answer={"snapshot_id": "snap-0", "total_bytes": 1, "skipped": []}),
    "odd skips": forged(answer={"snapshot_id": "snap-0", "total_bytes": [], "skipped": 3}),
    "too many": forged(counts=[10**9, 10**9, 10**9]),
    "negative": forged(bytes=[-1, -1, -1]),
    "no lengths": forged(bytes=None),
    "no blocks": lambda data: with_checksum(without_checksum(data)[0], b""),
    "paths outside": lambda data: with_checksum(
        without_checksum(data)[0], without_checksum(data)[1].replace(b"pkg/c.py", b"../../ab")
    ),
    "odd objects": lambda data: with_checksum(
        without_checksum(data)[0], without_checksum(data)[1].replace(b".zst", b"/../")
    ),
}


@pytest.mark.parametrize("how", CACHE_DAMAGES)
def test_damaged_cache_is_no_cache(how: str, cached_tree: Path, store: codebatch.Store) -> None:
    (cached_tree / "long.py").write_text("x = 1\n" * 100)
    settled = settle(store, cached_tree)
    (path,) = stat_caches(store)
    whole = path.read_bytes()
    path.write_bytes(CACHE_DAMAGES[how](whole))
    assert path.read_bytes() != whole
    assert take_snapshot(store.directory, cached_tree) == settled
    assert path.read_bytes() == whole


@pytest.mark.parametrize("other", [{"a.py": "x = 1\n"}, {f"{name}-": "" for name in range(9)}])
def test_cache_that_names_the_snapshot_of_another_tree_is_no_cache(
    other: dict[str, str | bytes], cached_tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    settled = settle(store, cached_tree)
    (path,) = stat_caches(store)
    foreign = store.snapshot(write_tree(tmp_path / "other", other)).taken
    assert foreign is not None
    assert foreign.file_count in (1, settled.file_count)
    answer = {"snapshot_id": foreign.snapshot_id, "total_bytes": 6, "skipped": []}
    header, blocks = without_checksum(path.read_bytes())
    answer["skipped"] = header["answer"]["skipped"]
    path.write_bytes(with_checksum({**header, "answer": answer}, blocks))
    (cached_tree / "a.py").write_text("x = 2\n")
    seen = take_snapshot(store.directory, cached_tree)
    assert replace(seen, created=False) == take_anew(tmp_path, cached_tree)


@pytest.mark.parametrize("edit", ["nothing", "same size and time", "removed"])
def test_deleting_the_indexes_changes_nothing_else(
    edit: str, cached_tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    settle(store, cached_tree)
    EDITS[edit](cached_tree)
    shutil.rmtree(store.path / "indexes")
    seen = take_snapshot(store.directory, cached_tree)
    assert replace(seen, created=False) == take_anew(tmp_path, cached_tree)


def test_where_the_cache_cannot_be_kept_nothing_is_remembered(
    cached_tree: Path, tmp_path: Path, store: codebatch.Store
) -> None:
    (store.path / "indexes").write_text("in the way")
    settle(store, cached_tree)
    settled = settle(store, cached_tree)
    assert settled == take_anew(tmp_path, cached_tree)


@pytest.mark.parametrize("known", [True, False])
def test_unchanged_tree_and_a_store_that_cannot_be_written(
    known: bool, cached_tree: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    store = codebatch.open_store(tmp_path / "closed", create=True)
    settled = settle(store, cached_tree)
    if not known:
        shutil.rmtree(store.path / "indexes")
    folders = [store.path, *(path for path in store.path.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    done = cli("snapshot", cached_tree, "--store", store.path, "-q", before=OBEYING_PERMISSIONS)
    for path in folders:
        path.chmod(0o755)
    assert (done.code, done.stdout.strip()) == (0, settled.snapshot_id.encode())


def object_of(store: codebatch.Store, content: bytes) -> Path:
    name = hashlib.sha256(content).hexdigest()
    (path,) = (store.path / "objects").rglob(f"{name}*")
    return path


def test_missing_object_is_restored(cached_tree: Path, store: codebatch.Store) -> None:
    settled = settle(store, cached_tree)
    path = object_of(store, b"z = 3\n")
    content = path.read_bytes()
    path.unlink()
    assert take_snapshot(store.directory, cached_tree) == settled
    assert path.read_bytes() == content


@pytest.mark.parametrize("stored", ["raw", "compressed"])
def test_damaged_object_is_restored_without_the_cache(
    stored: str, cached_tree: Path, store: codebatch.Store
) -> None:
    text = b"x = 1\n" * (1 if stored == "raw" else 100)
    (cached_tree / "new.py").write_bytes(text)
    settled = settle(store, cached_tree)
    path = object_of(store, text)
    content = path.read_bytes()
    assert (path.suffix == ".zst") == (stored == "compressed")
    for damage in (b"", content[:-1], content + b"\0", b"\0" * len(content)):
        path.chmod(0o644)
        path.write_bytes(damage)
        assert take_snapshot(store.directory, cached_tree, use_cache=False) == settled
        assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["files.index.jsonl", "snapshot.json"])
@pytest.mark.parametrize("how", ["missing", "shorter"])
def test_damaged_snapshot_is_restored(
    name: str, how: str, cached_tree: Path, store: codebatch.Store
) -> None:
    settled = settle(store, cached_tree)
    path = store.path / "snapshots" / settled.snapshot_id / name
    path.unlink() if how == "missing" else path.write_bytes(path.read_bytes()[:-5])
    again = take_snapshot(store.directory, cached_tree)
    assert again == replace(settled, created=True)
    assert len(store.find_snapshot(settled.snapshot_id).files) == settled.file_count


def test_file_that_could_not_be_read_is_tried_again(
    cached_tree: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    """Who may read what is not in a status: another user reads the same tree."""
    store = codebatch.open_store(tmp_path / "shared", create=True)
    words = ("snapshot", cached_tree, "--store", store.path, "--json")
    (cached_tree / "a.py").chmod(0)
    time.sleep(SETTLING_SECONDS)
    first, second = (cli(*words, before=OBEYING_PERMISSIONS) for _ in range(2))
    assert first.code == 0, first.err
    reasons = {file["path"]: file["reason"] for file in json.loads(second.stdout)["skipped"]}
    assert reasons["a.py"] == "unreadable file: permission denied"
    (cached_tree / "a.py").chmod(0o644)
    third = json.loads(cli(*words, before=OBEYING_PERMISSIONS).stdout)
    assert third["file_count"] == json.loads(first.stdout)["file_count"] + 1


def test_snapshots_at_once_do_no_harm(cached_tree: Path, store: codebatch.Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        taken = pool.map(lambda _: take_snapshot(store.directory, cached_tree), range(12))
    assert len({result.snapshot_id for result in taken}) == 1
    assert not list(store.path.rglob(".tmp*"))
    settled = settle(store, cached_tree)
    assert files_read(cached_tree, lambda: take_snapshot(store.directory, cached_tree)) == set()
    assert take_snapshot(store.directory, cached_tree) == settled


def test_portions_of_a_large_snapshot_appear_early(
    cached_tree: Path, tmp_path: Path, store: codebatch.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many files and large ones are renamed in portions, streamed ones among them."""
    monkeypatch.setattr("codebatch.store.write_group._GROUP_BYTES", 10)
    for name, head in {"one": b"1", "two": b"2", "same": b"1"}.items():
        with (cached_tree / name).open("wb") as stream:
            stream.write(head)
            stream.truncate(33 * 2**20)
    snapshot = store.snapshot(cached_tree, ignore=False)
    with_pipe = list(manifest_rows(snapshot))
    (cached_tree / "pipe").unlink()
    assert with_pipe == manifest_oracle(cached_tree)
    assert not list(store.path.rglob(".tmp*"))


EDIT = st.tuples(
    st.sampled_from(
        "write overwrite save remove rename exchange chmod link touch rules store".split()
    ),
    st.sampled_from(["a", "b", "d/a", "d/b", "d/e/a"]),
    st.sampled_from(["a", "b", "d/a", "d/c", "d/e/b"]),
    st.integers(0, 3),
)


def apply_edit(root: Path, edit: tuple[str, str, str, int]) -> None:
    what, name, other, number = edit
    path, target = root / name, root / other
    path.parent.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    there = path.is_file() and not path.is_symlink()
    if what == "write" and not path.is_symlink() and not path.is_dir():
        path.write_text(f"{number}\n" * number)
    elif what == "overwrite" and there:
        overwrite(path, chr(97 + number) * path.stat().st_size)
    elif what == "save" and there:
        path.with_name("saved").write_text(f"{number}\n" * number)
        path.with_name("saved").rename(path)
    elif what == "exchange" and there:
        path.unlink()
        path.mkdir()
    elif what == "exchange" and path.is_dir():
        shutil.rmtree(path)
        path.write_text("")
    elif what == "store" and path.is_dir():
        codebatch.open_store(path, create=True)
    elif what == "remove" and not path.is_dir():
        path.unlink(missing_ok=True)
    elif what == "rename" and there and not target.is_dir():
        path.rename(target)
    elif what == "chmod" and there:
        path.chmod(0o755 if number % 2 else 0o644)
    elif what == "link" and not os.path.lexists(path):
        path.symlink_to("ab"[number % 2])
    elif what == "touch" and there:
        os.utime(path, ns=(number, number))
    elif what == "rules":
        (path.parent / ".gitignore").write_text("ab"[number % 2])


@pytest.mark.slow
@settings(max_examples=25)
@given(rounds=st.lists(st.tuples(st.booleans(), st.lists(EDIT, max_size=5)), max_size=5))
def test_any_edits_give_the_same_with_and_without_a_cache(
    rounds: list[tuple[bool, list[tuple[str, str, str, int]]]],
) -> None:
    with tempfile.TemporaryDirectory() as base:
        root = write_tree(Path(base, "tree"), {"a": "1", "b": "22", "d/a": "333", "d/e/a": ""})
        store = codebatch.open_store(Path(base, "store"), create=True)
        other = codebatch.open_store(Path(base, "other"), create=True)
        for pause, edits in [(True, []), *rounds]:
            for edit in edits:
                apply_edit(root, edit)
            if pause:
                time.sleep(SETTLING_SECONDS)
            cached = take_snapshot(store.directory, root)
            plain = take_snapshot(other.directory, root, use_cache=False)
            assert cached == plain
            rows = [
                (os.fsencode(f.path), f.object, f.size, f.mode)
                for f in store.find_snapshot(cached.snapshot_id).files
            ]
            assert set(rows) <= set(manifest_oracle(root))
