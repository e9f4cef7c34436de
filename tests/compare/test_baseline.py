"""Baseline files: one entry a line, whatever a path is made of, and merged without conflict."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from conftest import Note, write_tree
from repositories import git, git_init, without_own_settings

import codebatch
from codebatch.compare.baseline import Baseline, Entry, read_baseline, write_baseline
from codebatch.model.errors import BaselineInvalidError, BatchUnfinishedError

PATHS = [
    "pkg/a.py",
    "with space.py",
    "space at the end ",
    "line\nend\r\t.py",
    "back\\slash\\u0041.py",
    "nul\x01esc\x1b[31m.py",
    "latin\udce9.py",
    "\u2028\u202eturned.py",
    "# no comment",
    "日本語/🐍.py",
]


def entries(paths: list[str]) -> Baseline:
    return frozenset(Entry(f"{n:016x}", "L101", path) for n, path in enumerate(paths))


def test_any_path_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "baseline.txt"
    write_baseline(str(file), entries(PATHS))
    assert read_baseline(str(file)) == entries(PATHS)
    head, *lines = file.read_bytes().decode().split("\n")
    assert head.startswith("#")
    assert lines == [*sorted(lines[:-1]), ""]
    assert len(lines) == len(PATHS) + 1
    assert lines[0] == "0000000000000000 L101 pkg/a.py"
    assert not any(set(line) & set("\r\t\x1b\u2028") for line in lines)


def test_what_a_merge_leaves_is_read(tmp_path: Path) -> None:
    file = tmp_path / "baseline.txt"
    write_baseline(str(file), entries(PATHS))
    lines = file.read_text().splitlines(keepends=True)
    random.Random(1).shuffle(lines)
    file.write_bytes("".join([*lines, "\n", *lines]).replace("\n", "\r\n").encode())
    assert read_baseline(str(file)) == entries(PATHS)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"0123456789abcde L101 a.py", "no entry"),
        (b"0123456789abcdef L101 ", "no entry"),
        (b"0123456789abcdef L1\x0001 a.py", "no entry"),
        (b"0123456789abcdef L101 a\\b.py", "no entry"),
        (b"<<<<<<< HEAD", "no entry"),
        (b"0123456789abcdef L101 \xff.py", "not UTF-8"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes, words: str) -> None:
    file = tmp_path / "baseline.txt"
    file.write_bytes(b"# head\n0123456789abcdef L101 a.py\n" + line + b"\n")
    with pytest.raises(BaselineInvalidError, match=f"line 3: .*{words}") as raised:
        read_baseline(str(file))
    if line.startswith(b"<<<"):
        assert "conflict" in raised.value.hints[0]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # of which nothing is waited for
    for name in ("pipe", "missing", "."):
        with pytest.raises(BaselineInvalidError, match=r"cannot be read|no file"):
            read_baseline(str(tmp_path / name))


# -- from a batch ----------------------------------------------------------------------------------


def scan(tree: Path, store: Path) -> codebatch.Batch:
    batch, _ = codebatch.scan(tree, store, scheduler="sync")
    return batch


def test_entries_come_and_go_with_findings(tmp_path: Path) -> None:
    file, store = tmp_path / "baseline.txt", tmp_path / "store"
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\nimport re\n", "b.py": "import os\n"})
    made = scan(tree, store).write_baseline(file)
    assert (made.entries, len(made.added), made.removed) == (3, 3, ())
    with pytest.raises(BaselineInvalidError, match="already there"):
        scan(tree, store).write_baseline(file)
    write_tree(tree, {"a.py": "\n\nimport os\nimport io\n"})
    (tree / "b.py").unlink()
    batch = scan(tree, store)
    pruned = batch.write_baseline(file, "prune")
    assert (pruned.entries, pruned.added) == (1, ())
    assert [entry.path for entry in pruned.removed] == ["tree/a.py", "tree/b.py"]
    updated = batch.write_baseline(file, "update")
    assert (updated.entries, len(updated.added), updated.removed) == (2, 1, ())
    before = file.stat().st_mtime_ns
    assert batch.write_baseline(file, "update").added == ()
    assert file.stat().st_mtime_ns == before


def test_findings_of_a_file_that_does_not_parse_are_not_stale(tmp_path: Path) -> None:
    file, store = tmp_path / "baseline.txt", tmp_path / "store"
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\n"})
    scan(tree, store).write_baseline(file)
    write_tree(tree, {"a.py": "import os\ndef (:\n"})
    assert scan(tree, store).write_baseline(file, "prune").removed == ()


def test_a_batch_has_to_be_done(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\n"})
    store = codebatch.open_store(tmp_path / "store", create=True)
    batch = store.batch(store.snapshot(tree))
    with pytest.raises(BatchUnfinishedError):
        batch.write_baseline(tmp_path / "baseline.txt")


# -- merges ----------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which a baseline file was made."""
    without_own_settings(tmp_path / "home", monkeypatch)
    tree = write_tree(tmp_path / "tree", {"a.py": "import os\n"})
    git_init(tree, options=("-b", "main"))
    report = scan(tree, tmp_path / "store").write_baseline(tree / "known.txt")
    assert report.attributes == str(tree / ".gitattributes")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "baseline")
    return tree


def merged(tree: Path, base: Baseline, ours: Baseline, theirs: Baseline) -> Baseline:
    """What git makes of a file that two branches have changed."""
    file = str(tree / "known.txt")
    write_baseline(file, base)
    git(tree, "commit", "-qam", "base", "--allow-empty")
    git(tree, "checkout", "-qB", "theirs")
    write_baseline(file, theirs)
    git(tree, "commit", "-qam", "theirs", "--allow-empty")
    git(tree, "checkout", "-q", "main")
    write_baseline(file, ours)
    git(tree, "commit", "-qam", "ours", "--allow-empty")
    git(tree, "merge", "-q", "--no-edit", "theirs")  # fails on a conflict
    return read_baseline(file)


def check_merges(tree: Path, number: int, seed: int) -> None:
    dice = random.Random(seed)

    def some(most: int) -> Baseline:
        return frozenset(
            Entry(f"{dice.getrandbits(64):016x}", "L101", dice.choice(PATHS))
            for _ in range(dice.randrange(most + 1))
        )

    for _ in range(number):
        base = some(dice.choice([0, 2, 30]))
        gone = [frozenset(e for e in base if dice.random() < dice.choice([0, 0.3])) for _ in "ab"]
        ours, theirs = (base - one | some(4) for one in gone)
        kept = (ours & theirs) | (ours - base) | (theirs - base)
        found = merged(tree, base, ours, theirs)
        assert kept <= found
        # An entry that one branch dropped may stay beside one that the other has added.
        assert found - kept <= base
        if not any(gone):
            assert found == ours | theirs


def test_two_branches_merge_without_conflict(repository: Path) -> None:
    check_merges(repository, 8, seed=1)


@pytest.mark.slow
def test_many_branches_merge_without_conflict(repository: Path, note: Note) -> None:
    seed = int(os.environ.get("MERGE_SEED", "2"))
    check_merges(repository, 200, seed)
    note(f"200 merges of baseline files, seed {seed}")


def test_git_is_told_once(repository: Path, tmp_path: Path) -> None:
    attributes = repository / ".gitattributes"
    assert attributes.read_text() == "/known.txt merge=union\n"
    write_tree(repository, {"b.py": "import re\n"})
    batch = scan(repository, tmp_path / "store")
    assert batch.write_baseline(repository / "known.txt", "update").attributes is None
    attributes.write_bytes(b"*.png binary")
    (repository / "known.txt").unlink()
    assert batch.write_baseline(repository / "known.txt").attributes == str(attributes)
    assert attributes.read_text() == "*.png binary\n/known.txt merge=union\n"


def test_what_git_says_elsewhere_is_left_alone(repository: Path, tmp_path: Path) -> None:
    """Nothing is written through a link, outside of a repository, or where it is not wanted."""
    attributes, outside = repository / ".gitattributes", tmp_path / "outside"
    batch = codebatch.open_store(tmp_path / "store").find_batch()
    outside.write_text("mine\n")
    attributes.unlink()
    attributes.symlink_to(outside)
    assert batch.write_baseline(repository / "other.txt").attributes is None
    assert outside.read_text() == "mine\n"
    attributes.unlink()
    assert batch.write_baseline(repository / "more.txt", attributes=False).attributes is None
    assert batch.write_baseline(tmp_path / "more.txt").attributes is None
    assert not attributes.exists()
