"""Bars for the progress of runs: in notebooks, and where they are asked for."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import Interrupt, Scanned, cli_environment
from tqdm.auto import tqdm

import codebatch
from codebatch.api import bars


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that looks like the kernel of a notebook, without widgets."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


@pytest.fixture
def parsed(scanned: Scanned, store: codebatch.Store) -> codebatch.Batch:
    """A batch that takes little time."""
    return store.batch(store.snapshot(scanned.tree, progress=False), "parse")


def last_lines(text: str) -> list[str]:
    """The lines of a terminal where each bar was drawn anew."""
    return [line.rpartition("\r")[2] for line in text.split("\n") if line.strip()]


def test_a_bar_for_each_task(parsed: codebatch.Batch, capsys: pytest.CaptureFixture[str]) -> None:
    parsed.run("sync", progress=True)
    lines = "\n".join(last_lines(capsys.readouterr().err))
    for task in parsed.tasks():
        assert f"{task['task_id']}: 100%" in lines


@pytest.mark.usefixtures("notebook")
def test_a_notebook_without_widgets_has_one_line(
    parsed: codebatch.Batch, scanned: Scanned, capsys: pytest.CaptureFixture[str]
) -> None:
    report = parsed.run("sync")
    (line,) = last_lines(capsys.readouterr().err)
    files = scanned.report.file_count
    assert line.startswith("run: 100%")
    assert f"{files}/{files}" in line
    assert report.status == "done"
    assert not tqdm._instances


@pytest.mark.usefixtures("notebook")
def test_it_can_be_left_out_of_a_notebook(
    parsed: codebatch.Batch, capsys: pytest.CaptureFixture[str]
) -> None:
    parsed.run("sync", progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("notebook")
def test_bars_are_closed_where_a_run_is_interrupted(
    parsed: codebatch.Batch,
    interrupt: Interrupt,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = bars._Bars.show

    def show(self: bars._Bars, rows: list[bars._Row]) -> None:
        shown(self, rows)
        if rows[0].done:
            interrupt()

    monkeypatch.setattr(bars._Bars, "show", show)
    with pytest.raises(codebatch.RunInterrupted):
        parsed.run("sync")
    (line,) = last_lines(capsys.readouterr().err)
    assert line.startswith("run: ")
    assert "100%" not in line
    assert not tqdm._instances


@pytest.mark.usefixtures("notebook")
def test_what_went_wrong_is_beside_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    task = codebatch.TaskProgress("lint", 1, 4, 10, 40, failed=1, quarantined=2)
    with bars.run_shown(None) as show:
        assert show is not None
        show(codebatch.RunProgress(1, 4, (task,), 10, 40))
    (line,) = last_lines(capsys.readouterr().err)
    assert "10/40" in line
    assert "failed=1, quarantined=2" in line


@pytest.mark.usefixtures("notebook")
def test_files_are_counted_where_it_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "_FIRST_SECONDS", 0)
    with bars.files_shown(None) as show:
        assert show is not None
        show(12, 3456)
    assert "snapshot: 12 files" in capsys.readouterr().err


def test_filters_of_warnings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of all threads, and bars are made in that of a run."""
    bars.load(progress=True)
    monkeypatch.setattr(bars, "warnings", None)
    assert bars._tqdm() is tqdm


UNUSED = """
import sys, warnings, codebatch
batch, report = codebatch.scan(sys.argv[1], sys.argv[2], scheduler="sync")
assert not {"tqdm", "IPython"} & set(sys.modules)
warnings.simplefilter("error")
batch.run(progress=True)
"""


def test_tqdm_is_imported_for_bars_alone(scanned: Scanned) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNUSED, scanned.tree, scanned.path],
        env=cli_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
