"""The export of patches: git and patch take it, whatever the names of files are."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

import codebatch
from codebatch.model.errors import PatchConflictError, UsageError

NAMES = [
    b"plain.py",
    b"in a folder/with blanks.py",
    b'quo"ted.py',
    b"back\\slash.py",
    b"tab\tand\nline.py",
    "café.py".encode(),
    b"latin-\xe9.py",
    b" leading",
    b"-dash",
    b"a/b/a/b",
]
BEFORE, AFTER = b"one\r\ntwo\xff\n1\nthree", b"one\r\ntwo\xff\n2\nthree\n"


@codebatch.task
def count(file: codebatch.File) -> object:
    """Write 2 for 1, and end the last line."""
    yield codebatch.Patch.of(file.bytes, file.bytes.replace(b"1", b"2") + b"\n")
    yield codebatch.Diagnostic("X001", "info", 1, "found")


@codebatch.task
def other(file: codebatch.File) -> object:
    """Add a line in front."""
    yield codebatch.Patch.of(file.bytes, b"zero\n" + file.bytes)


def write(folder: Path, content: bytes = BEFORE) -> Path:
    for name in NAMES:
        path = os.path.join(os.fsencode(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
    return folder


def contents(folder: Path) -> dict[bytes, bytes]:
    return {
        os.fsencode(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    folder = tmp_path_factory.mktemp("exported")
    store = codebatch.open_store(folder / "store", create=True)
    made = store.batch(store.snapshot(write(folder / "tree")), [count, other])
    assert made.run(scheduler="sync").status == "done"
    return made


def exported(batch: codebatch.Batch, **chosen: str) -> bytes:
    stream = io.BytesIO()
    batch.export("patch", stream, **chosen)
    return stream.getvalue()


@pytest.mark.parametrize(
    "program",
    [["git", "apply", "-p1"], ["git", "apply", "-p1", "--check"], ["patch", "-sp1", "--binary"]],
)
def test_other_programs_take_it(program: list[str], batch: codebatch.Batch, tmp_path: Path) -> None:
    tree = write(tmp_path / "tree")
    diff = exported(batch, task="count")
    done = subprocess.run(program, input=diff, cwd=tree, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    changed = dict.fromkeys(NAMES, BEFORE if "--check" in program else AFTER)
    assert contents(tree) == changed


def test_it_is_what_git_writes(batch: codebatch.Batch, tmp_path: Path) -> None:
    tree = write(tmp_path / "tree")
    git = ["git", "-c", "core.autocrlf=false", "-C", str(tree)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    write(tree, AFTER)
    asked = [*git, "diff", "--no-ext-diff", "--text", "--src-prefix=a/", "--dst-prefix=b/"]
    said = subprocess.run(asked, capture_output=True, check=True).stdout
    lines = [line for line in said.split(b"\n") if not line.startswith(b"index ")]
    assert b"\n".join(lines) == exported(batch, task="count")


def test_apply_makes_the_same(batch: codebatch.Batch, tmp_path: Path) -> None:
    tree = write(tmp_path / "tree")
    batch.apply(tree, task="count")
    assert contents(tree) == dict.fromkeys(NAMES, AFTER)


def test_conditions_choose_files(batch: codebatch.Batch) -> None:
    diff = exported(batch, task="count", path="plain.py")
    assert diff.count(b"diff --git") == 1
    assert diff.startswith(b"diff --git a/plain.py b/plain.py\n--- a/plain.py\n+++ b/plain.py\n@@ ")
    assert exported(batch, task="count", kind="patch").count(b"diff --git") == len(NAMES)


def test_two_tasks_with_one_file(batch: codebatch.Batch) -> None:
    with pytest.raises(PatchConflictError):
        exported(batch)


@pytest.mark.parametrize("chosen", [{"kind": "diagnostic"}, {"severity": "info"}])
def test_other_records_are_no_patches(batch: codebatch.Batch, chosen: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="holds patches"):
        exported(batch, **chosen)


def test_on_the_command_line(
    batch: codebatch.Batch, main: Callable[..., Outcome], tmp_path: Path
) -> None:
    words = ("export", "--format", "patch", "--task", "count", "--store", batch.directory.root)
    assert main(*words).stdout == exported(batch, task="count")
    done = main(*words, "--output", tmp_path / "out.patch", "--json")
    assert (done.code, f'"written": {len(NAMES)}' in done.out) == (0, True)
    assert (tmp_path / "out.patch").read_bytes() == exported(batch, task="count")
