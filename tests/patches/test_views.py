"""Patches and artifacts where results are looked at: ``inspect``, ``diff``, what ``scan`` says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome

import codebatch

Main = Callable[..., Outcome]


TASK = '''
import codebatch


@codebatch.task(version=1)
def upper(file):
    """Write X for x, and keep the text."""
    yield codebatch.Patch.of(file.bytes, file.bytes.replace(b"x", b"X"))
    yield codebatch.Artifact("copy.txt", file.bytes, "text/plain")
'''


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "upper_task.py"
    path.write_text(TASK)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a tree").mkdir()
    (tmp_path / "a tree/a.py").write_bytes(b"x\n\tx = \xff\n")
    (tmp_path / "a tree/b.py").write_bytes(b"y = 1\n")
    return tmp_path


@pytest.fixture
def scan(main: Main, task: Path, folder: Path) -> Callable[[], Outcome]:
    def scanning() -> Outcome:
        done = main("scan", folder / "a tree", "--task", f"{task}:upper", "--scheduler", "sync")
        assert done.code == 0, done
        return done

    return scanning


def test_scan_names_the_next_command(folder: Path, main: Main, scan: Callable[[], Outcome]) -> None:
    batch = scan().out.split()[0]
    command = f"codebatch apply 'a tree' --dry-run --batch {batch}"
    assert command in scan().out
    done = main("apply", "a tree", "--dry-run", "--batch", batch)
    assert (done.code, done.out.splitlines()[0]) == (0, " a.py | 4 ++--")


def test_inspect_shows_the_diff_and_the_file(
    folder: Path, main: Main, scan: Callable[[], Outcome]
) -> None:
    scan()
    text = main("inspect", "a.py").out
    diff = text[text.index("patch of upper") :].splitlines()[1:6]
    assert diff == [
        "  @@ -1,2 +1,2 @@",
        "  -x",
        r"  -       x = \xff",
        "  +X",
        r"  +       X = \xff",
    ]
    assert "artifacts\n  copy.txt  text/plain  9 B  sha256:" in text
    assert "patch of" not in main("inspect", "b.py").out


def test_inspect_where_the_diff_is_lost(
    folder: Path, main: Main, scan: Callable[[], Outcome]
) -> None:
    scan()
    (record,) = codebatch.open_store().find_batch("latest").records(kind="patch")
    digits = str(record["object"]).partition(":")[2]
    (path,) = (folder / ".codebatch").rglob(f"{digits}*")
    path.unlink()
    done = main("inspect", "a.py")
    assert (done.code, "the patch cannot be shown" in done.err) == (0, True)


def test_diff_compares_how_much_is_to_be_changed(
    folder: Path, main: Main, scan: Callable[[], Outcome]
) -> None:
    scan()
    (folder / "a tree/a.py").write_bytes(b"\n\n\nx\n\tx = \xff\n")
    scan()
    found = json.loads(main("diff", "latest~1", "latest", "--kind", "patch", "--json").stdout)
    assert found["summary"] == {
        "added": 0,
        "changed": 0,
        "removed": 0,
        "renamed": 0,
        "unchanged": 1,
    }
    (folder / "a tree/a.py").write_bytes(b"x\n")
    (folder / "a tree/b.py").write_bytes(b"y = x\n")
    scan()
    text = main("diff", "latest~1", "latest", "--kind", "patch").out
    assert "patch of upper changed: +2 -2 " in text
    assert "patch of upper added: +1 -1" in text


def test_task_run_shows_the_diff(folder: Path, task: Path, main: Main) -> None:
    done = main("task", "run", f"{task}:upper", "a tree/a.py")
    lines = done.out.splitlines()
    assert lines[0] == "a tree/a.py: patch +2 -2"
    assert lines[1:6] == [
        "  @@ -1,2 +1,2 @@",
        "  -x",
        r"  -       x = \xff",
        "  +X",
        r"  +       X = \xff",
    ]
    assert lines[6].startswith(
        "a tree/a.py: artifact media_type=text/plain name=copy.txt object=sha256:"
    )
