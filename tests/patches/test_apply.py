"""``apply``: all changes or none, over files that are as they were, whatever happens meanwhile."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Outcome
from faults import REFUSED, Server

import codebatch
from codebatch.model.digest import digest_bytes
from codebatch.model.errors import (
    BatchUnfinishedError,
    LockedError,
    OutputError,
    PatchConflictError,
    PatchRefusedError,
    SourceNotFoundError,
    StoreDamagedError,
    TaskNotFoundError,
)
from codebatch.model.resources import load_schema, schema_errors
from codebatch.patches import tree as patched_trees

Main = Callable[..., Outcome]

FILES = {
    "a.py": b"x = 1\ny = 2\n",
    "pkg/b.py": b"x = 1\r\nz = 3",
    "pkg/deep/c.bin": b"1\0\xff",
    "pkg/empty": b"",
    "pkg/gone": b"delete me\n",
    "same.py": b"z = 3\n",
    os.fsdecode(b'caf\xe9 "1".py'): b"1\n",
}
CHANGED = {
    **FILES,
    "a.py": b"x = 2\ny = 2\n",
    "pkg/b.py": b"x = 2\r\nz = 3",
    "pkg/deep/c.bin": b"2\0\xff",
    "pkg/empty": b"# new\n",
    "pkg/gone": b"",
    os.fsdecode(b'caf\xe9 "1".py'): b"2\n",
}
TO_CHANGE = sorted(path for path, content in FILES.items() if CHANGED[path] != content)


@codebatch.task
def change(file: codebatch.File) -> object:
    """Write 2 for 1."""
    after = file.bytes.replace(b"1", b"2") or b"# new\n"
    yield codebatch.Patch.of(file.bytes, b"" if after == b"delete me\n" else after)


@codebatch.task
def comment(file: codebatch.File) -> object:
    """Add a comment to one file."""
    if file.bytes == FILES["a.py"]:
        yield codebatch.Patch.of(file.bytes, file.bytes + b"# end\n")


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, hidden files too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> codebatch.Batch:
    folder = tmp_path_factory.mktemp("apply")
    store = codebatch.open_store(folder / "store", create=True)
    batch = store.batch(store.snapshot(write(folder / "tree", FILES)), [change, comment])
    assert batch.run(scheduler="sync").status == "done"
    return batch


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write(tmp_path / "tree", FILES)


def refused(batch: codebatch.Batch, tree: Path) -> dict[str, str]:
    """Apply the changes, which is refused and changes nothing; say why, by path."""
    before = contents(tree)
    for dry_run in (True, False):
        with pytest.raises(PatchRefusedError) as error:
            batch.apply(tree, task="change", dry_run=dry_run)
    assert contents(tree) == before
    files = error.value.details["files"]
    assert isinstance(files, list)
    return {file["path"]: file["reason"] for file in files}


def test_all_files_are_changed(made: codebatch.Batch, tree: Path) -> None:
    report = made.apply(tree, task="change")
    assert contents(tree) == CHANGED
    assert [file.path for file in report.changed] == sorted(TO_CHANGE, key=os.fsencode)
    again = made.apply(tree, task="change")
    assert again.changed == ()
    assert len(again.files) == len(TO_CHANGE)
    assert contents(tree) == CHANGED


def test_a_dry_run_changes_nothing(made: codebatch.Batch, tree: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in [tree, *tree.rglob("*")]}
    report = made.apply(tree, task="change", dry_run=True)
    assert report.dry_run
    assert len(report.changed) == len(TO_CHANGE)
    assert {path: path.stat().st_mtime_ns for path in [tree, *tree.rglob("*")]} == times


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o444, 0o640])
def test_permissions_are_kept(made: codebatch.Batch, tree: Path, mode: int) -> None:
    (tree / "a.py").chmod(mode)
    made.apply(tree, task="change")
    assert stat.S_IMODE((tree / "a.py").stat().st_mode) == mode


def test_a_part_that_is_done_is_completed(made: codebatch.Batch, tree: Path) -> None:
    write(tree, {path: CHANGED[path] for path in TO_CHANGE[::2]})
    report = made.apply(tree, task="change")
    assert {file.path for file in report.files if file.was_done} == {*TO_CHANGE[::2]}
    assert contents(tree) == CHANGED


def test_two_tasks_with_one_file_are_a_conflict(made: codebatch.Batch, tree: Path) -> None:
    with pytest.raises(PatchConflictError) as error:
        made.apply(tree)
    assert error.value.details == {"files": [{"path": "a.py", "tasks": ["change", "comment"]}]}
    assert contents(tree) == FILES
    made.apply(tree, task="comment")
    assert contents(tree) == {**FILES, "a.py": FILES["a.py"] + b"# end\n"}


def test_a_task_that_is_not_there(made: codebatch.Batch, tree: Path) -> None:
    with pytest.raises(TaskNotFoundError):
        made.apply(tree, task="other")


def test_a_folder_that_is_not_there(made: codebatch.Batch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("nowhere", "file"):
        with pytest.raises(SourceNotFoundError):
            made.apply(tmp_path / name, task="change")


def test_a_batch_that_is_not_done(made: codebatch.Batch, tree: Path, tmp_path: Path) -> None:
    store = codebatch.open_store(tmp_path / "store", create=True)
    batch = store.batch(store.snapshot(tree), [change])
    with pytest.raises(BatchUnfinishedError):
        batch.apply(tree)


# -- trees that are others -------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"x = 1\ny = 3\n", b"", b"x = 1\ny = 2\n\n"])
def test_a_file_that_has_changed(made: codebatch.Batch, tree: Path, content: bytes) -> None:
    (tree / "a.py").write_bytes(content)
    assert refused(made, tree) == {"a.py": "its content is another"}


def test_a_file_that_is_gone(made: codebatch.Batch, tree: Path) -> None:
    (tree / "a.py").unlink()
    (tree / "pkg/b.py").unlink()
    assert {*refused(made, tree)} == {"a.py", "pkg/b.py"}


def test_a_file_that_is_a_link_now(made: codebatch.Batch, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(FILES["a.py"])
    (tree / "a.py").unlink()
    (tree / "a.py").symlink_to(tmp_path / "outside")
    assert refused(made, tree) == {"a.py": "it is a link"}
    assert (tmp_path / "outside").read_bytes() == FILES["a.py"]


def test_a_folder_that_is_a_link_now(made: codebatch.Batch, tree: Path, tmp_path: Path) -> None:
    (tree / "pkg").rename(tmp_path / "outside")
    (tree / "pkg").symlink_to(tmp_path / "outside")
    found = refused(made, tree)
    assert {*found} == {path for path in TO_CHANGE if path.startswith("pkg/")}
    assert {*found.values()} == {"a folder above it is none, or a link"}
    assert (tmp_path / "outside/b.py").read_bytes() == FILES["pkg/b.py"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_waited_for(made: codebatch.Batch, tree: Path, kind: str) -> None:
    (tree / "a.py").unlink()
    if kind == "pipe":
        os.mkfifo(tree / "a.py")
    elif kind == "folder":
        (tree / "a.py").mkdir()
    else:
        try:
            os.mknod(tree / "a.py", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("needs root")
    assert refused(made, tree) == {"a.py": "it is no regular file"}


def test_the_root_may_be_a_link(made: codebatch.Batch, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tree)
    made.apply(tmp_path / "here", task="change")
    assert contents(tree) == CHANGED


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(made: codebatch.Batch, tree: Path) -> None:
    (tree / "pkg").chmod(0o555)
    with pytest.raises(OutputError):
        made.apply(tree, task="change")
    (tree / "pkg").chmod(0o755)
    assert contents(tree) == FILES


def test_another_apply_at_work(made: codebatch.Batch, tree: Path) -> None:
    descriptor = os.open(tree, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(LockedError):
            made.apply(tree, task="change")
    finally:
        os.close(descriptor)
    assert contents(tree) == FILES


# -- trees that change meanwhile -------------------------------------------------------------------


Meddle = Callable[[Path], object]
MEDDLERS: dict[str, Meddle] = {
    "written": lambda tree: (tree / "pkg/gone").write_bytes(b"keep me\n"),
    "written as it was": lambda tree: (tree / "pkg/gone").write_bytes(FILES["pkg/gone"]),
    "made executable": lambda tree: (tree / "pkg/gone").chmod(0o755),
    "replaced by a link": lambda tree: (
        (tree / "pkg/gone").rename(tree / "other"),
        (tree / "pkg/gone").symlink_to("../other"),
    ),
    "removed": lambda tree: (tree / "pkg/gone").unlink(),
    "in a folder that is moved": lambda tree: (
        (tree / "pkg").rename(tree.parent / "outside"),
        (tree / "pkg").symlink_to(tree.parent / "outside"),
    ),
}


@pytest.mark.parametrize("meddle", MEDDLERS.values(), ids=MEDDLERS)
@pytest.mark.parametrize("when", ["write_beside", "replace"])
def test_what_changes_meanwhile_stops_it(
    made: codebatch.Batch,
    tree: Path,
    meddle: Meddle,
    when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the first file is written, or has taken its place."""
    real = getattr(patched_trees.Tree, when)
    left: list[dict[str, bytes]] = []

    def meddling(self: object, path: bytes, *rest: object, **more: object) -> None:
        real(self, path, *rest, **more)
        if not left:
            meddle(tree)
            left.append(contents(tree.parent))

    monkeypatch.setattr(patched_trees.Tree, when, meddling)
    with pytest.raises((PatchRefusedError, OutputError)):
        made.apply(tree, task="change")
    (as_left,) = left
    for name, content in contents(tree.parent).items():
        place = name.replace("outside/", "tree/pkg/").removeprefix("tree/")
        if ".codebatch-apply-" in name:  # in a folder that is out of reach
            assert name.startswith("outside/")
        else:
            assert content == (as_left[name] if place in ("pkg/gone", "other") else FILES[place]), (
                name
            )


# -- faults ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


def command(batch: codebatch.Batch, tree: Path) -> tuple[object, ...]:
    store = batch.directory.root
    return ("apply", tree, "--task", "change", "--store", store, "--json")


def steps_of(batch: codebatch.Batch, server: Server, tmp_path: Path) -> int:
    tree = write(tmp_path / "counted", FILES)
    done = server.run(*command(batch, tree), root=tree)
    assert (done.code, contents(tree)) == (0, CHANGED), done
    return len(done.steps)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "tear"])
def test_a_kill_at_every_step_leaves_files_old_or_new(
    action: str, made: codebatch.Batch, server: Server, tmp_path: Path
) -> None:
    steps = steps_of(made, server, tmp_path)
    # Create, write (one is empty), close, and rename each; to sync all before and after that.
    assert steps == 4 * len(TO_CHANGE) - 1 + 2
    for at in range(1, steps + 1):
        tree = write(tmp_path / f"{at}", FILES)
        assert server.run(*command(made, tree), at=at, action=action, root=tree).code == -9
        found = contents(tree)
        for path, content in FILES.items():
            assert found[path] in (content, CHANGED[path]), (at, path)
        done = server.run(*command(made, tree), root=tree)
        assert done.code == 0, (at, done)
        assert contents(tree) == CHANGED, at
        shutil.rmtree(tree)


@pytest.mark.slow
@pytest.mark.parametrize("action", sorted(REFUSED))
def test_a_disk_that_refuses_changes_nothing(
    action: str, made: codebatch.Batch, server: Server, tmp_path: Path
) -> None:
    for at in range(1, steps_of(made, server, tmp_path) + 1):
        tree = write(tmp_path / f"{at}", FILES)
        done = server.run(*command(made, tree), at=at, action=action, root=tree)
        found = contents(tree)
        assert "Traceback" not in done.stderr
        for path, content in FILES.items():
            assert found[path] in (content, CHANGED[path]), (at, path)
        if done.code:
            error = done.json["error"]
            assert (done.code, error["code"]) == (2, "OUTPUT_FAILED"), done
            left = {path for path in FILES if found[path] != FILES[path]}
            assert left <= set(error["details"].get("files", [])), (at, done)
        else:
            assert found == CHANGED
        assert server.run(*command(made, tree), root=tree).code == 0
        assert contents(tree) == CHANGED
        shutil.rmtree(tree)


def test_only_its_own_leftovers_are_removed(made: codebatch.Batch, tree: Path) -> None:
    own = ".codebatch-apply-" + digest_bytes(b"a.py").removeprefix("sha256:")[:32]
    strangers = {
        ".codebatch-apply-notes.txt": b"mine",
        ".codebatch-apply-" + "0" * 32: b"mine too",
        "pkg/" + own: b"there is no a.py here",
    }
    write(tree, {own: b"half", **strangers})
    made.apply(tree, task="change", dry_run=True)
    assert (tree / own).exists()
    made.apply(tree, task="change")
    assert contents(tree) == {**CHANGED, **strangers}


def test_a_link_in_the_place_of_a_leftover(made: codebatch.Batch, tree: Path) -> None:
    own = ".codebatch-apply-" + digest_bytes(b"a.py").removeprefix("sha256:")[:32]
    (tree.parent / "outside").write_bytes(b"untouched")
    (tree / own).symlink_to(tree.parent / "outside")
    with pytest.raises(OutputError):
        made.apply(tree, task="change")
    assert (tree.parent / "outside").read_bytes() == b"untouched"
    (tree / own).unlink()
    assert contents(tree) == FILES


# -- hostile stores --------------------------------------------------------------------------------


def object_of(store: Path, digest: str) -> Path:
    (found,) = store.rglob(f"{digest.removeprefix('sha256:')}*")
    return found


@pytest.fixture
def copied(made: codebatch.Batch, tmp_path: Path) -> codebatch.Batch:
    shutil.copytree(made.directory.root, tmp_path / "store")
    return codebatch.open_store(tmp_path / "store").find_batch(made.id)


@pytest.mark.parametrize("which", ["diff", "source"])
@pytest.mark.parametrize("damage", ["lost", "other", "empty"])
def test_a_damaged_object_changes_nothing(
    which: str, damage: str, copied: codebatch.Batch, tree: Path
) -> None:
    (record,) = copied.records(kind="patch", task="change", path="a.py")
    digest = str(record["object"]) if which == "diff" else digest_bytes(FILES["a.py"])
    path = object_of(copied.directory.root, digest)
    path.chmod(0o644)
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else b"@@ -1 +1 @@\n-x = 1\n+evil\n")
    with pytest.raises(codebatch.CodeBatchError) as error:
        copied.apply(tree, task="change")
    assert error.value.exit_code == 4
    assert contents(tree) == FILES


def test_a_diff_that_lies_changes_nothing(
    copied: codebatch.Batch, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose digest is right, but which is another than its record says."""
    from codebatch.patches import collect  # noqa: PLC0415 - to be changed

    for diff in (b"@@ -1 +1 @@\n-x = 1\n+evil\n", b"@@ -1 +1 @@\n-other\n+evil\n", b"junk"):
        monkeypatch.setattr(collect, "load_value", lambda *_, diff=diff: diff)
        with pytest.raises(StoreDamagedError):
            copied.apply(tree, task="change")
    assert contents(tree) == FILES


# -- the command line ------------------------------------------------------------------------------


def test_the_answer_has_its_schema(made: codebatch.Batch, tree: Path, main: Main) -> None:
    for more in (["--dry-run"], [], []):
        done = main(*command(made, tree), *more)
        assert done.code == 0
        assert not schema_errors(json.loads(done.stdout), load_schema("cli.apply"))
    assert contents(tree) == CHANGED


def test_the_answer_for_people(made: codebatch.Batch, tree: Path, main: Main) -> None:
    words = command(made, tree)[:-1]
    said = main(*words, "--dry-run").out.splitlines()
    assert said[0] == " a.py           | 2 +-"
    assert said[-1] == " 6 files would change, 5 insertions(+), 5 deletions(-)"
    assert main(*words).out.splitlines()[-1] == said[-1].replace("would change", "changed")
    assert main(*words).out.splitlines() == [" 0 files changed", " 6 files had the change already"]


def test_a_refusal_on_the_command_line(made: codebatch.Batch, tree: Path, main: Main) -> None:
    (tree / "a.py").write_bytes(b"other")
    done = main(*command(made, tree))
    error = json.loads(done.stdout)["error"]
    assert (done.code, error["code"]) == (1, "PATCH_REFUSED")
    assert error["details"] == {"files": [{"path": "a.py", "reason": "its content is another"}]}
    assert "a.py: its content is another" in main(*command(made, tree)[:-1]).err
